"""The schema of a service: what its keys may hold, in numbered versions."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from ninja import Router, Status

from confhub.access import queries as access
from confhub.access.policies import NotFound
from confhub.api.auth import who_asks
from confhub.api.lists import After, Limit, cursor, number_of
from confhub.api.schema_shapes import InferredOut, SchemaIn, SchemaOut, SchemaVersionOut
from confhub.api.schemas import Page
from confhub.catalog import schema_versions
from confhub.core import clock
from confhub.releases import schemas

if TYPE_CHECKING:
    from confhub.catalog.models import SchemaVersion

router = Router(tags=["schemas"])
PATH = "/services/{service}/schema"


@router.get(PATH, response=SchemaOut)
def get_schema(request: HttpRequest, service: str) -> SchemaOut:
    """The newest version; 404 where the service has no schema."""
    held = access.service_for(who_asks(request), "see", service)
    return _out(service, schema_versions.schema_of(held))


@router.put(PATH, response={201: SchemaOut, 200: SchemaOut})
def save_schema(request: HttpRequest, service: str, body: SchemaIn) -> Any:
    """Save the next version, unless values that stand in an environment now would not fit it.

    201 with the new version; 200 with the newest where it is the same. 409 `schema.breaks` names
    what breaks where, in releases and in drafts.
    """
    who = who_asks(request)
    held = access.service_for(who, "edit", service)
    saved = schemas.save_schema(
        held, body.document, message=body.message, expected_number=body.expected_number, who=who,
        now=clock.now(),
    )  # fmt: skip
    return Status(201 if saved.created else 200, _out(service, saved.version))


@router.post(PATH + "/infer", response=InferredOut)
def infer_schema(request: HttpRequest, service: str) -> InferredOut:
    """A schema that the present values of all environments fit, as a proposal."""
    held = access.service_for(who_asks(request), "edit", service)
    return InferredOut(document=schemas.infer_schema(held))


@router.get(PATH + "/versions", response=Page[SchemaVersionOut])
def list_schema_versions(
    request: HttpRequest, service: str, after: After, limit: Limit
) -> Page[SchemaVersionOut]:
    """The newest first."""
    held = access.service_for(who_asks(request), "see", service)
    rows = schema_versions.versions_of(held, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    return Page(
        items=[SchemaVersionOut(**_facts(service, row)) for row in shown],
        next=cursor(str(shown[-1].number)) if len(rows) > limit else None,
    )


@router.get(PATH + "/versions/{number}", response=SchemaOut)
def get_schema_version(request: HttpRequest, service: str, number: int) -> SchemaOut:
    """One version with its document."""
    held = access.service_for(who_asks(request), "see", service)
    return _out(service, schema_versions.version_of(held, number), number)


def _out(service: str, version: "SchemaVersion | None", number: int | None = None) -> SchemaOut:
    if version is None:
        which = f"no version {number} of its schema" if number is not None else "no schema yet"
        raise NotFound(f"{service} has {which}.", fields={"schema": "No such schema."})
    return SchemaOut(**_facts(service, version), document=version.document)


def _facts(service: str, version: "SchemaVersion") -> dict[str, Any]:
    return {
        "service": service,
        "number": version.number,
        "message": version.message,
        "author": version.author,
        "created_at": clock.stamp(version.created_at),
    }
