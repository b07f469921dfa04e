"""Freeze windows of an environment."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from pydantic import BaseModel, Field

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text
from confhub.api.idempotency import MAY_REPEAT, once
from confhub.api.lists import After, Limit, page_after
from confhub.api.schemas import Moment, Page
from confhub.catalog import freezes
from confhub.core import clock

if TYPE_CHECKING:
    from confhub.catalog.models import FreezeWindow

router = Router(tags=["environments"])
PATH = "/environments/{environment}/freezes"


class FreezeIn(Body):
    starts_at: Text = Field(examples=["2026-11-27T00:00:00Z"])
    ends_at: Text = Field(description="At most 90 days after the start.")
    reason: Text = Field(description="Why, on one line; whoever wants to publish reads it.")


class FreezeOut(BaseModel):
    id: int
    starts_at: Moment
    ends_at: Moment
    reason: str
    made_by: str
    standing: bool = Field(description="Nothing is published into the environment just now.")


@router.get(PATH, response=Page[FreezeOut])
def list_freezes(
    request: HttpRequest, environment: str, after: After, limit: Limit
) -> Page[FreezeOut]:
    """The windows that are not over, the next to begin first."""
    held, now = access.environment_for(who_asks(request), "see", environment), clock.now()
    found = sorted(freezes.freezes_of([held], now=now).get(held.pk, []), key=_key)
    rows, following = page_after(found, after=after, limit=limit, key=_key)
    return Page(items=[_out(window, now) for window in rows], next=following)


@router.post(PATH, response={201: FreezeOut}, openapi_extra=MAY_REPEAT)
def add_freeze(
    request: HttpRequest, environment: str, body: FreezeIn, response: HttpResponse
) -> Any:
    """Publish nothing into the environment from `starts_at` until `ends_at`, but in an emergency."""
    who, now = who_asks(request), clock.now()
    held = access.environment_for(who, "administer", environment)

    def act() -> Status[FreezeOut]:
        window = freezes.add_freeze(
            held, starts_at=_moment("starts_at", body.starts_at),
            ends_at=_moment("ends_at", body.ends_at), reason=body.reason, who=who, now=now,
        )  # fmt: skip
        response["Location"] = f"{request.path}/{window.pk}"
        return Status(201, _out(window, now))

    return once(request, response, act, who=who, now=now)


@router.delete(PATH + "/{freeze}", response={204: None})
def end_freeze(request: HttpRequest, environment: str, freeze: int) -> Any:
    """End the window now; one that has not begun is removed."""
    who = who_asks(request)
    held = access.environment_for(who, "administer", environment)
    freezes.end_freeze(held, freeze, who=who, now=clock.now())
    return Status(204, None)


def _key(window: "FreezeWindow") -> str:
    return f"{clock.stamp(window.starts_at)} {window.pk:012d}"


def _moment(field: str, text: str) -> datetime:
    """Raises BadFreeze unless it is a time with its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _refuse(field)
    if moment.tzinfo is None:
        _refuse(field)
    try:
        return moment.astimezone(clock.now().tzinfo)
    except OverflowError:  # the year 9999 in the west
        _refuse(field)


def _refuse(field: str) -> NoReturn:
    sentence = "Write a time with its offset, such as 2026-11-27T00:00:00Z."
    raise freezes.BadFreeze(f"{field}: {sentence}", fields={field: sentence})


def _out(window: "FreezeWindow", now: datetime) -> FreezeOut:
    return FreezeOut(
        id=window.pk,
        starts_at=clock.stamp(window.starts_at),
        ends_at=clock.stamp(window.ends_at),
        reason=window.reason,
        made_by=window.made_by,
        standing=window.starts_at <= now < window.ends_at,
    )
