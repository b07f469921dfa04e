"""Environments."""

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
from confhub.api.routes.services import IF_MATCH
from confhub.api.schemas import EnvironmentChange, EnvironmentIn, EnvironmentOut, Page
from confhub.catalog import actions as catalog
from confhub.core import clock

router = Router(tags=["environments"])


@router.get("/environments", response=Page[EnvironmentOut])
def list_environments(request: HttpRequest, after: After, limit: Limit) -> Page[EnvironmentOut]:
    """Every environment, by its order and then its slug."""
    environments = access.environments_for(who_asks(request))
    rows, following = page_after(
        environments, after=after, limit=limit, key=lambda row: f"{row.order:010d} {row.slug}"
    )
    return Page(items=[_out(environment) for environment in rows], next=following)


@router.post("/environments", response={201: EnvironmentOut}, openapi_extra=MAY_REPEAT)
def create_environment(request: HttpRequest, body: EnvironmentIn, response: HttpResponse) -> Any:
    """Make an environment. Every service has a draft in it at once."""
    who, now = who_asks(request), clock.now()
    require(who, "administer", "environments")

    def act() -> Status[EnvironmentOut]:
        environment = catalog.create_environment(**body.model_dump(), who=who, now=now)
        response["Location"] = f"{request.path}/{environment.slug}"
        return Status(201, _out(environment))

    return once(request, response, act, who=who, now=now)


@router.get("/environments/{environment}", response=EnvironmentOut)
def get_environment(
    request: HttpRequest, environment: str, response: HttpResponse
) -> EnvironmentOut:
    """One environment."""
    return _tagged(access.environment_for(who_asks(request), "see", environment), response)


@router.patch("/environments/{environment}", response=EnvironmentOut, openapi_extra=IF_MATCH)
def change_environment(
    request: HttpRequest, environment: str, body: EnvironmentChange, response: HttpResponse
) -> EnvironmentOut:
    """Change its name, its protection, its approvals or its place in lists."""
    who = who_asks(request)
    held = access.environment_for(who, "administer", environment)
    with transaction.atomic():
        if not catalog.lock(held):
            raise NotFound(f"{environment} was removed meanwhile. Nothing was changed.")
        of = f"The environment {held}"
        require_match(request.headers.get("If-Match"), tag_of(_out(held)), of=of)
        asked = body.model_dump(exclude_unset=True)
        return _tagged(
            catalog.change_environment(held, **asked, who=who, now=clock.now()), response
        )


@router.delete("/environments/{environment}", response={204: None})
def delete_environment(request: HttpRequest, environment: str) -> Any:
    """Remove it; possible while nothing was published in it."""
    who = who_asks(request)
    held = access.environment_for(who, "administer", environment)
    catalog.delete_environment(held, who=who, now=clock.now())
    return Status(204, None)


def _tagged(environment: Any, response: HttpResponse) -> EnvironmentOut:
    shown = _out(environment)
    response["ETag"] = f'"{tag_of(shown)}"'
    return shown


def _out(environment: Any) -> EnvironmentOut:
    return EnvironmentOut(
        slug=environment.slug,
        name=environment.name,
        protected=environment.protected,
        order=environment.order,
        approvals=environment.approvals,
    )
