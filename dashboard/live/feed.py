"""What the socket asks of rows: who is this still, may they see it, what happened, how fresh is it."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from confhub.access import queries as access
from confhub.access.layers import layer_by_id
from confhub.access.policies import may_see_slug
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as event_actions
from confhub.events import queries as events
from confhub.fleet import queries as fleet

CATALOG = "catalog"  # services and environments that come and go
MAX_STREAMS = 400  # of one tab; the largest list page shows fewer scopes than this
ASK_ONE_BY_ONE = 5  # streams; for more, one query for all of them is cheaper
NOBODY = Actor(name="nobody", user_id=None, active=False)
REPLAY_LIMIT = 500  # events; a page that missed more is drawn anew, which is quicker


class NotYours(Exception):
    """The session ended, the account was switched off, or a stream may not be seen."""


@dataclass(frozen=True)
class Missed:
    """What happened on some streams after a position. `too_many`: more than REPLAY_LIMIT, or more
    than is still known."""

    events: list[dict[str, Any]]
    newest: int
    too_many: bool


def person_of(session_key: str | None) -> Actor:
    """Who is behind the session now, read anew. Raises NotYours."""
    if not session_key:
        raise NotYours("No session.")
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request = HttpRequest()
    request.session = store(session_key=session_key)
    user = get_user(request)  # checks the session's hash too: a changed password ends it
    if not user.is_authenticated or not user.is_active:
        raise NotYours("This session has ended.")
    return access.actor_of_user(user)


def check_streams(who: Actor, streams: Collection[str]) -> None:
    """Return when `who` may see each of `streams` ("scope.42", "catalog"). Raises NotYours."""
    if len(streams) > MAX_STREAMS:
        raise NotYours(f"{len(streams)} streams; a tab may follow {MAX_STREAMS}.")
    wanted = {_row_id(stream, "scope") for stream in streams if stream.startswith("scope.")}
    layers = {stream for stream in streams if stream != CATALOG and not stream.startswith("scope.")}
    try:
        if len(wanted) > ASK_ONE_BY_ONE:
            wanted -= {scope.pk for scope in access.all_scopes(who)}
        for pk in wanted:
            access.scope_by_id(who, "see", pk)
        for stream in layers:
            layer_by_id(who, "see", _row_id(stream, "layer"))
    except ConfHubError as error:
        raise NotYours(error.detail) from error


def _row_id(stream: str, wanted: str) -> int:
    kind, _, pk = stream.partition(".")
    if kind != wanted or not pk.isdecimal() or len(pk) > 18:
        raise NotYours(f"There is no stream {stream[:80]!r}.")
    return int(pk)


def missed(position: int, streams: Collection[str], *, who: Actor, resumes: bool) -> Missed:
    """What came after `position`. Numbers waiting events first, so that nothing depends on a worker.

    `resumes`: `position` is what a page said, which may have slept for a month. Everybody follows
    the catalog, but hears no name of a service or environment that they may not see.
    """
    if events.some_wait_for_a_position():
        event_actions.number_new_events()
    if resumes and not events.can_go_on_from(position):
        return Missed([], events.newest_position(), too_many=True)
    found = events.since(position, streams=streams, limit=REPLAY_LIMIT + 1)
    if len(found) > REPLAY_LIMIT:
        return Missed([], events.newest_of(streams), too_many=True)
    newest = int(found[-1]["position"]) if found else position
    return Missed([_for(who, each) for each in found], newest, too_many=False)


def _for(who: Actor, event: dict[str, Any]) -> dict[str, Any]:
    """The event; without its data where that names what `who` may not see. It is not left out,
    because a page takes a gap between its position and a heartbeat's for frames that were lost."""
    if event["stream"] != CATALOG:
        return event  # the stream itself was checked
    told = event["data"]
    seen = may_see_slug(who, service=told.get("service"), environment=told.get("environment"))
    return event if seen else event | {"data": {}}


def freshness() -> dict[str, Any]:
    """{"as_of": "…Z" or null, "age_s": 1.2 or null}: up to when the instances shown are complete."""
    fresh = fleet.freshness(now=clock.now())
    return {
        "as_of": clock.stamp(fresh.as_of) if fresh.as_of else None,
        "age_s": None if fresh.age_s is None else round(fresh.age_s, 1),
    }
