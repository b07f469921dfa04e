"""The numbered versions of a service's schema. The newest is the one that counts."""

from datetime import datetime
from typing import Any

from confhub.catalog.models import SchemaVersion, Service


def schema_of(service: Service) -> SchemaVersion | None:
    """The newest version, or None where the service has no schema."""
    return SchemaVersion.objects.filter(service=service).order_by("-number").first()


def document_of(service: Service) -> dict[str, Any] | None:
    """The newest version's document."""
    newest = schema_of(service)
    return newest.document if newest is not None else None


def version_of(service: Service, number: int) -> SchemaVersion | None:
    """Version `number`; None where there is none."""
    if not 0 < number < 2**31:  # beyond it is nothing, and PostgreSQL would refuse to look
        return None
    return SchemaVersion.objects.filter(service=service, number=number).first()


def versions_of(
    service: Service, *, before: int | None = None, limit: int = 50
) -> list[SchemaVersion]:
    """The newest first, below number `before` where given."""
    versions = SchemaVersion.objects.filter(service=service).order_by("-number")
    if before is not None:
        versions = versions.filter(number__lt=before)
    return list(versions[:limit])


def append(
    service: Service, document: dict[str, Any], *, message: str, author: str, now: datetime
) -> SchemaVersion:
    """The next version. The caller has checked it and holds the service's lock (`lock`)."""
    newest = schema_of(service)
    return SchemaVersion.objects.create(
        service=service,
        number=newest.number + 1 if newest else 1,
        document=document,
        message=message,
        author=author,
        created_at=now,
    )


def lock(service: Service) -> bool:
    """Lock the service's row until the transaction ends; False where it was removed meanwhile."""
    return Service.objects.select_for_update().filter(pk=service.pk).first() is not None
