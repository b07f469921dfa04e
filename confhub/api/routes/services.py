"""Services."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from confhub.access import queries as access
from confhub.access.policies import require
from confhub.api.auth import who_asks
from confhub.api.lists import After, Limit, page_after
from confhub.api.schemas import Page, Place, ServiceChange, ServiceIn, ServiceOut, ServiceWithPlaces
from confhub.catalog import actions as catalog
from confhub.catalog import sets
from confhub.core import clock
from confhub.publishing import layers

router = Router(tags=["services"])


@router.get("/services", response=Page[ServiceOut])
def list_services(request: HttpRequest, after: After, limit: Limit) -> Page[ServiceOut]:
    """Every service, by slug."""
    services = access.services_for(who_asks(request))
    rows, following = page_after(services, after=after, limit=limit, key=lambda row: row.slug)
    return Page(items=[_out(service) for service in rows], next=following)


@router.post("/services", response={201: ServiceOut})
def create_service(request: HttpRequest, body: ServiceIn, response: HttpResponse) -> Any:
    """Make a service. It has a draft in every environment at once."""
    who = who_asks(request)
    require(who, "administer", "services")
    service = catalog.create_service(
        slug=body.slug,
        name=body.name,
        description=body.description,
        who=who,
        now=clock.now(),
    )
    response["Location"] = f"{request.path}/{service.slug}"
    return Status(201, _out(service))


@router.get("/services/{service}", response=ServiceWithPlaces)
def get_service(request: HttpRequest, service: str) -> ServiceWithPlaces:
    """One service, and its newest release in each environment."""
    who = who_asks(request)
    held = access.service_for(who, "see", service)
    scopes = access.scopes_of(who, held)
    behind = layers.behind(scopes)
    places = [
        Place(
            environment=scope.environment.slug,
            release=scope.head or None,
            holds_back=scope.holds_back,
            behind=scope.pk in behind,
        )
        for scope in scopes
    ]
    return ServiceWithPlaces(
        **_out(held).model_dump(), environments=places, includes=sets.includes_of(held)
    )


@router.patch("/services/{service}", response=ServiceOut)
def change_service(request: HttpRequest, service: str, body: ServiceChange) -> ServiceOut:
    """Change its name, its description, or the shared sets that it includes."""
    who, now = who_asks(request), clock.now()
    held = access.service_for(who, "edit", service)
    asked = body.model_dump(exclude_unset=True)
    with transaction.atomic():
        if (includes := asked.pop("includes", None)) is not None:
            sets.set_includes(held, includes, who=who, now=now)
        return _out(catalog.change_service(held, **asked, who=who, now=now))


@router.delete("/services/{service}", response={204: None})
def delete_service(request: HttpRequest, service: str) -> Any:
    """Remove it; possible while nothing was published."""
    who = who_asks(request)
    held = access.service_for(who, "administer", service)
    catalog.delete_service(held, who=who, now=clock.now())
    return Status(204, None)


def _out(service: Any) -> ServiceOut:
    return ServiceOut(
        slug=service.slug,
        name=service.name,
        description=service.description,
        created_at=clock.stamp(service.created_at),
    )
