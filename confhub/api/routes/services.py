"""Services."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from confhub.access import queries as access
from confhub.access.policies import NotFound, require
from confhub.api.auth import who_asks
from confhub.api.bodies import require_match, tag_of
from confhub.api.idempotency import MAY_REPEAT, once
from confhub.api.lists import After, Limit, page_after
from confhub.api.schemas import Page, Place, ServiceChange, ServiceIn, ServiceOut, ServiceWithPlaces
from confhub.catalog import actions as catalog
from confhub.catalog import sets
from confhub.core import clock
from confhub.publishing import layers

router = Router(tags=["services"])
IF_MATCH = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": False,
            "schema": {"type": "string"},
            "description": "Its ETag as you saw it: 412 where somebody changed it since.",
        }
    ]
}


@router.get("/services", response=Page[ServiceOut])
def list_services(request: HttpRequest, after: After, limit: Limit) -> Page[ServiceOut]:
    """Every service, by slug."""
    services = access.services_for(who_asks(request))
    rows, following = page_after(services, after=after, limit=limit, key=lambda row: row.slug)
    return Page(items=[_out(service) for service in rows], next=following)


@router.post("/services", response={201: ServiceOut}, openapi_extra=MAY_REPEAT)
def create_service(request: HttpRequest, body: ServiceIn, response: HttpResponse) -> Any:
    """Make a service. It has a draft in every environment at once."""
    who, now = who_asks(request), clock.now()
    require(who, "administer", "services")

    def act() -> Status[ServiceOut]:
        service = catalog.create_service(
            slug=body.slug, name=body.name, description=body.description, who=who, now=now
        )
        response["Location"] = f"{request.path}/{service.slug}"
        return Status(201, _out(service))

    return once(request, response, act, who=who, now=now)


@router.get("/services/{service}", response=ServiceWithPlaces)
def get_service(request: HttpRequest, service: str, response: HttpResponse) -> ServiceWithPlaces:
    """One service, and its newest release in each environment. Its ETag is of what PATCH changes."""
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
    included = sets.includes_of(held)
    response["ETag"] = f'"{_tag(held, included)}"'
    return ServiceWithPlaces(**_out(held).model_dump(), environments=places, includes=included)


@router.patch("/services/{service}", response=ServiceOut, openapi_extra=IF_MATCH)
def change_service(
    request: HttpRequest, service: str, body: ServiceChange, response: HttpResponse
) -> ServiceOut:
    """Change its name, its description, or the shared sets that it includes."""
    who, now = who_asks(request), clock.now()
    held = access.service_for(who, "edit", service)
    asked = body.model_dump(exclude_unset=True)
    with transaction.atomic():
        if not catalog.lock(held):
            raise NotFound(f"The service {service} was removed meanwhile. Nothing was changed.")
        tag = _tag(held, sets.includes_of(held))
        require_match(request.headers.get("If-Match"), tag, of=f"The service {held}")
        if (includes := asked.pop("includes", None)) is not None:
            sets.set_includes(held, includes, who=who, now=now)
        changed = catalog.change_service(held, **asked, who=who, now=now)
        response["ETag"] = f'"{_tag(changed, sets.includes_of(changed))}"'
        return _out(changed)


@router.delete("/services/{service}", response={204: None})
def delete_service(request: HttpRequest, service: str) -> Any:
    """Remove it; possible while nothing was published."""
    who = who_asks(request)
    held = access.service_for(who, "administer", service)
    catalog.delete_service(held, who=who, now=clock.now())
    return Status(204, None)


class _Tagged(ServiceOut):
    includes: list[str]


def _tag(service: Any, includes: list[str]) -> str:
    return tag_of(_Tagged(**_out(service).model_dump(), includes=includes))


def _out(service: Any) -> ServiceOut:
    return ServiceOut(
        slug=service.slug,
        name=service.name,
        description=service.description,
        created_at=clock.stamp(service.created_at),
    )
