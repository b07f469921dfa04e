"""One instance: what it is and what it said; its host is asked to look again, or to try again."""

from typing import TYPE_CHECKING, Any, Literal

from django.http import HttpRequest
from ninja import Router, Status
from pydantic import BaseModel

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.lists import After, Limit, cursor, number_of
from confhub.api.schemas import Moment, Page
from confhub.core import clock
from confhub.fleet import actions as asks
from confhub.fleet import queries as fleet
from confhub.fleet.receipts import receipts_of

if TYPE_CHECKING:
    from confhub.fleet.models import Receipt

router = Router(tags=["instances"])
PATH = "/services/{service}/environments/{environment}/instances/{instance}"


class ReceiptOut(BaseModel):
    """How far an instance came with a release. Moments are of its agent's clock."""

    release: int
    state: str
    stage: str
    reason: str
    delivered_at: Moment | None
    applied_at: Moment | None
    confirmed_at: Moment | None
    at: Moment


class AskedOut(BaseModel):
    """A host that is there does it within seconds; one that is away when it comes back, by itself."""

    asked: Literal["look-again", "retry"]
    host: str


@router.get(PATH, response=dict[str, Any])
def get_instance(
    request: HttpRequest, service: str, environment: str, instance: str
) -> dict[str, Any]:
    """One container or process, as the list of instances has it."""
    who = who_asks(request)
    scope = access.scope_for(who, "see", service, environment)
    return fleet.tile_for(who, scope, instance)


@router.get(PATH + "/receipts", response=Page[ReceiptOut])
def list_receipts(
    request: HttpRequest, service: str, environment: str, instance: str, after: After, limit: Limit
) -> Page[ReceiptOut]:
    """What it said of each release that it met, the newest first."""
    who = who_asks(request)
    scope = access.scope_for(who, "see", service, environment)
    fleet.tile_for(who, scope, instance)
    rows = receipts_of(scope, instance, before=number_of(after), limit=limit + 1)
    following = cursor(str(rows[limit - 1].release)) if len(rows) > limit else None
    return Page(items=[_receipt(row) for row in rows[:limit]], next=following)


@router.post(PATH + "/look-again", response={202: AskedOut})
def look_again(request: HttpRequest, service: str, environment: str, instance: str) -> Any:
    """Ask its host to look for containers and check their releases now."""
    who = who_asks(request)
    scope = access.scope_for(who, "publish", service, environment)
    host = fleet.tile_for(who, scope, instance)["host"]
    asks.ask_to_look_again(host, who=who, now=clock.now())
    return Status(202, AskedOut(asked="look-again", host=host))


@router.post(PATH + "/retry", response={202: AskedOut})
def retry_release(request: HttpRequest, service: str, environment: str, instance: str) -> Any:
    """Ask its host to try once more the release that the instance refused."""
    who = who_asks(request)
    scope = access.scope_for(who, "publish", service, environment)
    host = fleet.tile_for(who, scope, instance)["host"]
    asks.ask_to_retry(scope, instance, host, who=who, now=clock.now())
    return Status(202, AskedOut(asked="retry", host=host))


def _receipt(row: "Receipt") -> ReceiptOut:
    def stamp(moment: Any) -> str | None:
        return clock.stamp(moment) if moment is not None else None

    return ReceiptOut(
        release=row.release,
        state=row.state,
        stage=row.stage,
        reason=row.reason,
        delivered_at=stamp(row.delivered_at),
        applied_at=stamp(row.applied_at),
        confirmed_at=stamp(row.confirmed_at),
        at=clock.stamp(row.at),
    )
