"""What the board asks of rows, for everybody who waits there, in a handful of queries. No event loop.

Rows are the truth: whatever rang, or did not ring, a look finds what has moved since the last one.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from django.http import HttpRequest

from confhub.access import standing
from confhub.access.policies import may_at
from confhub.access.standing import Credential
from confhub.api.interface import api
from confhub.api.routes.instances import converged
from confhub.fleet import queries as fleet
from confhub.publishing import queries as publishing

Why: TypeAlias = Literal["rights", "removed", "leaving", "database"]


@dataclass(frozen=True)
class Outcome:
    """A gate's answer, as JSON."""

    body: bytes


@dataclass(frozen=True)
class Releases:
    """What a stream that last sent `after` sends now, oldest first; the last one is the current."""

    after: int
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class End:
    """Nothing more comes, and why."""

    why: Why


News: TypeAlias = Outcome | Releases | End


@dataclass(eq=False, slots=True)
class Seat:
    """One request that waits. Only the event loop writes to it."""

    credential: Credential
    scope_id: int
    service: str
    environment: str
    release: int | None = None  # that a gate waits for; None: a stream
    sent: int = 0  # the newest release that a stream has sent
    is_due: bool = False  # a gate's wait is over: it is answered with whatever is
    news: News | None = None
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, news: News) -> None:
        """The newest news; older ones that were not taken yet are worth nothing beside it."""
        if not isinstance(self.news, End):
            self.news = news
        self.rung.set()

    def take(self) -> News | None:
        news, self.news = self.news, None
        self.rung.clear()
        return news


@dataclass(frozen=True)
class _Settled:
    mark: Any  # of the scope's instances, at which it was worked out
    is_decided: bool
    body: bytes


@dataclass
class Memory:
    """What the last look found, so that the next works out only what has moved."""

    settled: dict[tuple[int, int], _Settled] = field(default_factory=dict)


def look(
    seats: Collection[Seat], memory: Memory, *, checks_all: bool, now: datetime
) -> dict[Seat, News]:
    """The news there is for each of `seats`; nothing for those who wait on.

    Whoever gets news may still see the scope, or the news is that they may not; with `checks_all`
    everybody is asked about.
    """
    written = publishing.newest_written({seat.scope_id for seat in seats})
    _settle(memory, {(s.scope_id, s.release) for s in seats if s.release is not None}, seats)
    news: dict[Seat, News] = {}
    replayed: dict[tuple[int, int, int], tuple[int, ...]] = {}
    for seat in seats:
        if seat.scope_id not in written:
            news[seat] = End("removed")
        elif seat.release is not None:
            settled = memory.settled[seat.scope_id, seat.release]
            if settled.is_decided or seat.is_due:
                news[seat] = Outcome(settled.body)
        elif written[seat.scope_id] not in (0, seat.sent):
            news[seat] = _releases(seat.scope_id, seat.sent, written[seat.scope_id], replayed)
    asked = seats if checks_all else list(news)
    actors = standing.actors_behind({seat.credential for seat in asked}, now=now)
    for seat in asked:
        who = actors.get(seat.credential)
        if who is None or not may_at(who, "see", seat.service, seat.environment):
            news[seat] = End("rights")
    return news


def as_json(held: Any) -> bytes:
    """As the interface writes a call's answer."""
    return str(api.renderer.render(HttpRequest(), held, response_status=200)).encode()


def _settle(memory: Memory, wanted: set[tuple[int, int]], seats: Iterable[Seat]) -> None:
    """Work out how far each wanted release has come, where its scope's instances have changed."""
    marks = fleet.marks_of({scope_id for scope_id, _ in wanted})
    memory.settled = {at: held for at, held in memory.settled.items() if at in wanted}
    stale = {
        at
        for at in wanted
        if at not in memory.settled or memory.settled[at].mark != marks.get(at[0])
    }
    if not stale:
        return
    names = {seat.scope_id: (seat.service, seat.environment) for seat in seats}
    for at, found in fleet.convergence_at(stale).items():
        body = as_json(converged(*names[at[0]], found).model_dump())
        decided = found.state in ("confirmed", "failed")
        # The mark is older than the outcome or as old, so a change in between is looked at again.
        memory.settled[at] = _Settled(marks.get(at[0]), decided, body)


def _releases(
    scope_id: int, sent: int, newest: int, replayed: dict[tuple[int, int, int], tuple[int, ...]]
) -> Releases:
    at = (scope_id, sent, newest)
    if at not in replayed:
        replayed[at] = publishing.releases_to_send(*at)
    return Releases(sent, replayed[at])
