"""Who runs what, and the wait of a deploy gate."""

import random
import time
from asyncio import sleep
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest
from ninja import Query, Router

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.lists import After, Limit, page_after
from confhub.api.problems import NothingPublished
from confhub.api.schemas import ConvergenceOut, Page
from confhub.core.actors import Actor
from confhub.fleet import queries as fleet
from confhub.releases import queries as releases

if TYPE_CHECKING:
    from confhub.catalog.models import Scope

router = Router(tags=["instances"])
PATH = "/services/{service}/environments/{environment}"

MAX_WAIT_S = 60
FIRST_PAUSE_S = 0.1  # a fleet on one machine confirms within a second or two
LONGEST_PAUSE_S = 1.0  # a hundred gates that wait are then a hundred small queries a second

Wait = Annotated[
    float, Query(0, ge=0, le=MAX_WAIT_S, description="Seconds to wait for the end at most.")
]
Asked = Annotated[
    int | None, Query(None, ge=1, le=2**31 - 1, description="The newest where left out.")
]


@router.get(PATH + "/instances", response=Page[dict[str, Any]])
def list_instances(
    request: HttpRequest, service: str, environment: str, after: After, limit: Limit
) -> Page[dict[str, Any]]:
    """Every container and process that runs this, with its receipt, as the live page shows it."""
    scope = access.scope_for(who_asks(request), "see", service, environment)
    tiles = sorted(fleet.instances_of(scope), key=_tile_id)
    rows, following = page_after(tiles, after=after, limit=limit, key=_tile_id)
    return Page(items=rows, next=following)


@router.get(PATH + "/convergence", response=ConvergenceOut)
async def get_convergence(
    request: HttpRequest, service: str, environment: str, release: Asked, wait: Wait
) -> ConvergenceOut:
    """Whether every instance confirmed the release. For deploy gates.

    Answers as soon as all have confirmed it, one failed, or `wait` is over; `state` says which.
    """
    # In a server confhub.api.lanes answers this call, by the same functions, and without a thread
    # for each that waits; here it is for whoever calls Django without that server.
    who = who_asks(request)
    deadline = time.monotonic() + wait
    scope, number = await _briefly(lambda: target_of(who, service, environment, release))
    pause_s = FIRST_PAUSE_S
    while True:
        found = await _briefly(lambda: fleet.convergence(scope, number))
        left_s = deadline - time.monotonic()
        if found.state in ("confirmed", "failed") or left_s <= 0:
            break
        spread = random.uniform(0.8, 1.2)  # noqa: S311  # gates of one deploy begin together
        await sleep(min(pause_s * spread, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    return converged(scope.service.slug, scope.environment.slug, found)


def converged(service: str, environment: str, found: fleet.Convergence) -> ConvergenceOut:
    """What a gate is answered."""
    return ConvergenceOut(
        service=service,
        environment=environment,
        release=found.release,
        state=found.state,
        counts=found.counts,
        behind=found.behind,
    )


def target_of(who: Actor, service: str, environment: str, asked: int | None) -> "tuple[Scope, int]":
    """The scope, and the release that a gate waits for. Raises NotFound, NothingPublished."""
    scope = access.scope_for(who, "see", service, environment)
    if asked is not None:
        return scope, releases.release_for(who, "see", scope, asked).number
    if not scope.head:
        raise NothingPublished(
            f"{scope} has no release yet, so there is nothing to wait for. Publish one first."
        )
    return scope, scope.head


async def _briefly(look: Callable[[], Any]) -> Any:
    """The result of `look` in a thread of its own, with its database connection given back."""

    def look_and_let_go() -> Any:
        try:
            return look()
        finally:
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:  # a transaction would end with it
                    connection.close()

    return await sync_to_async(look_and_let_go)()


def _tile_id(tile: dict[str, Any]) -> str:
    return str(tile["id"])
