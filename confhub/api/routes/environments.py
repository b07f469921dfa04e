"""Environments."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from confhub.access import queries as access
from confhub.access.policies import require
from confhub.api.auth import who_asks
from confhub.api.lists import After, Limit, page_after
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


@router.post("/environments", response={201: EnvironmentOut})
def create_environment(request: HttpRequest, body: EnvironmentIn, response: HttpResponse) -> Any:
    """Make an environment. Every service has a draft in it at once."""
    who = who_asks(request)
    require(who, "administer", "environments")
    environment = catalog.create_environment(
        slug=body.slug,
        name=body.name,
        protected=body.protected,
        order=body.order,
        approvals=body.approvals,
        who=who,
        now=clock.now(),
    )
    response["Location"] = f"{request.path}/{environment.slug}"
    return Status(201, _out(environment))


@router.get("/environments/{environment}", response=EnvironmentOut)
def get_environment(request: HttpRequest, environment: str) -> EnvironmentOut:
    """One environment."""
    return _out(access.environment_for(who_asks(request), "see", environment))


@router.patch("/environments/{environment}", response=EnvironmentOut)
def change_environment(
    request: HttpRequest, environment: str, body: EnvironmentChange
) -> EnvironmentOut:
    """Change its name, its protection, its approvals or its place in lists."""
    who = who_asks(request)
    held = access.environment_for(who, "administer", environment)
    return _out(
        catalog.change_environment(
            held, **body.model_dump(exclude_unset=True), who=who, now=clock.now()
        )
    )


@router.delete("/environments/{environment}", response={204: None})
def delete_environment(request: HttpRequest, environment: str) -> Any:
    """Remove it; possible while nothing was published in it."""
    who = who_asks(request)
    held = access.environment_for(who, "administer", environment)
    catalog.delete_environment(held, who=who, now=clock.now())
    return Status(204, None)


def _out(environment: Any) -> EnvironmentOut:
    return EnvironmentOut(
        slug=environment.slug,
        name=environment.name,
        protected=environment.protected,
        order=environment.order,
        approvals=environment.approvals,
    )
