"""`GET …/watch`: a stream of releases that costs a seat at the board while nothing happens."""

import asyncio
import random
from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog
from django.http import HttpResponse

from confhub.access.standing import Credential
from confhub.api import streams
from confhub.api.interface import api
from confhub.api.lanes import hops
from confhub.api.lanes.board import Board, board
from confhub.api.lanes.looks import End, Releases, Seat
from confhub.api.lanes.requests import Receive, Scope, Send, request_of, sign_in, until_gone
from confhub.api.routes.watch import last_id, target_of
from confhub.publishing import queries as publishing

log = structlog.get_logger("api")

BEAT_S = 9.0  # the docs promise ten
LIFE_S = 3600.0  # then the client comes back, perhaps to another process
PIECE_BYTES = 32 * 1024  # at once, so that a reader who is slow holds this much and not a document
SLOW_S = 30.0  # that a reader may take for one piece
KEPT_BYTES = 16 * 1024 * 1024  # of events, for whoever sends the same


@dataclass(frozen=True)
class Begun:
    """A stream that may begin."""

    credential: Credential
    scope_id: int
    sent: int


def begin(scope: Scope, service: str, environment: str, request_id: str) -> Begun | HttpResponse:
    """Looks at rows; a response where it is refused."""
    request = request_of(scope, request_id)
    try:
        who, credential = sign_in(request)
        place, sent = target_of(who, service, environment, last_id(request))
    except Exception as error:  # noqa: BLE001  # as ninja does with whatever a route raises
        return api.on_exception(request, error)
    return Begun(credential, place.pk, sent)


async def run(begun: Begun, seat: Seat, receive: Receive, send: Send) -> None:
    """Send events until the client goes, its right ends, the server stops or its time is over.

    The head was sent, and `seat` has been taken.
    """
    loop, held = asyncio.get_running_loop(), board()
    ends_at = loop.time() + LIFE_S * random.uniform(0.85, 1.15)  # noqa: S311  # so that not all come back at once
    beats_at = loop.time() + BEAT_S
    gone = asyncio.create_task(until_gone(receive))
    gone.add_done_callback(lambda _: seat.rung.set())
    try:
        await _send(send, streams.opening())
        while loop.time() < ends_at:
            try:
                async with asyncio.timeout_at(min(beats_at, ends_at)):
                    await seat.rung.wait()
            except TimeoutError:
                pass
            if gone.done():
                return
            news = seat.take()
            if isinstance(news, End):
                break
            if isinstance(news, Releases):
                await _send_releases(news, seat, held, send)
            if loop.time() >= beats_at:
                beats_at = loop.time() + BEAT_S
                if held.is_sure:
                    await _send(send, streams.BEAT)
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        log.info("watch.too_slow", service=seat.service, environment=seat.environment)
    finally:
        gone.cancel()


async def _send_releases(news: Releases, seat: Seat, held: Board, send: Send) -> None:
    """Each of them; what comes meanwhile is told anew, from where this ends."""
    seat.sent = news.numbers[-1]  # at once, because the board looks on while a reader is slow
    for number in news.numbers:
        if isinstance(seat.news, End):
            return
        event = await _events_of().get(seat.scope_id, number)
        for start in range(0, len(event), PIECE_BYTES):
            await _send(send, event[start : start + PIECE_BYTES])
    held.ring()


async def _send(send: Send, piece: bytes) -> None:
    """Raises TimeoutError for a reader who does not take what was sent before."""
    async with asyncio.timeout(SLOW_S):
        await send({"type": "http.response.body", "body": piece, "more_body": True})


class _Events:
    """Releases as events, each read once for all streams that send it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], asyncio.Future[bytes]] = OrderedDict()
        self._bytes = 0

    async def get(self, scope_id: int, number: int) -> bytes:
        at = scope_id, number
        held = self._kept.get(at)
        if held is None:
            held = self._kept[at] = asyncio.ensure_future(hops.looks.run(_event, scope_id, number))
            held.add_done_callback(lambda done: self._read(at, done))
        self._kept.move_to_end(at)
        return await asyncio.shield(held)

    def _read(self, at: tuple[int, int], done: "asyncio.Future[bytes]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._kept.pop(at, None)
            return
        self._bytes += len(done.result())
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            oldest, held = next(iter(self._kept.items()))
            if not held.done():
                break
            del self._kept[oldest]
            self._bytes -= len(held.result())


def _event(scope_id: int, number: int) -> bytes:
    document = publishing.document_shown(scope_id, number)
    return b"" if document is None else streams.release_event(number, document)


_events: WeakKeyDictionary[asyncio.AbstractEventLoop, _Events] = WeakKeyDictionary()


def _events_of() -> _Events:
    loop = asyncio.get_running_loop()
    held = _events.get(loop)
    if held is None:
        held = _events[loop] = _Events()
    return held
