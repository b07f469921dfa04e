"""The switchboard: everybody who waits in this process waits here, and one look at rows serves all.

A look follows a nudge of the channel layer, and comes once a second where none does, so Redis may be
away. Looks never overlap, and pause for as long as they took, so that a busy fleet costs a part of
one thread and no more. The board runs only while somebody waits.
"""

import asyncio
import contextvars
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from channels.layers import get_channel_layer
from django.conf import settings

from confhub.api.lanes import hops
from confhub.api.lanes.looks import End, Memory, News, Releases, Seat, look
from confhub.api.problems import ServerLeaves, TooManyWait
from confhub.core import clock
from confhub.events.actions import EVERY_STREAM

log = structlog.get_logger("api")

LOOK_EVERY_S = 1.0
GLANCE_S = 0.25  # how soon it is noticed that the server stops
COALESCE_S = 0.05
REST = 2.0  # times as long as the look took, before the next
LONGEST_REST_S = 2.0
RIGHTS_EVERY_S = 3.0
STALE_S = 10.0  # since rights were last checked; then no heartbeat says that all is well
LAYER_LIMIT_S = 2.0
REJOIN_S = 60.0  # a flushed Redis has forgotten us and says nothing
RETRY_S, RETRY_MAX_S = 0.5, 10.0


class Board:
    """The seats of one event loop."""

    def __init__(self) -> None:
        self._seats: set[Seat] = set()
        self._rung = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._memory = Memory()
        self._checked_at = 0.0

    @contextmanager
    def seat(self, seat: Seat) -> Iterator[Seat]:
        """Wait here inside. Raises TooManyWait, ServerLeaves."""
        if server_leaves():
            raise ServerLeaves("This server is stopping. Ask again in a second.")
        if len(self._seats) >= settings.CONFHUB_MAX_WAITING:
            raise TooManyWait(
                f"{len(self._seats)} requests wait here already, which is the most "
                "(CONFHUB_MAX_WAITING). Try again in a moment."
            )
        self._seats.add(seat)
        if self._task is None:
            self._checked_at = asyncio.get_running_loop().time()  # whoever sits down has just been
            # In no request's context, because it runs on for whoever comes later.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())
        self.ring()
        try:
            yield seat
        finally:
            self._seats.discard(seat)
            if not self._seats:
                self.ring()

    def ring(self) -> None:
        """Have rows looked at soon."""
        self._rung.set()

    @property
    def is_sure(self) -> bool:
        """Rights were checked lately, so a heartbeat may be sent."""
        return asyncio.get_running_loop().time() - self._checked_at < STALE_S

    def __len__(self) -> int:
        return len(self._seats)

    async def _run(self) -> None:
        bell = asyncio.create_task(_listen(self.ring))
        try:
            while self._seats:
                await self._until_rung()
                if server_leaves():
                    self._tell({seat: End("leaving") for seat in self._seats})
                    await asyncio.sleep(GLANCE_S)
                elif self._seats:
                    await self._look()
        finally:
            self._task = None  # at once, because whoever sits down from here on needs another one
            bell.cancel()
            await asyncio.gather(bell, return_exceptions=True)

    async def _until_rung(self) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + LOOK_EVERY_S
        while loop.time() < ends_at and not self._rung.is_set() and not server_leaves():
            try:
                async with asyncio.timeout(GLANCE_S):
                    await self._rung.wait()
            except TimeoutError:
                pass
        self._rung.clear()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        began, seats = loop.time(), list(self._seats)
        checks_all = began - self._checked_at >= RIGHTS_EVERY_S
        try:
            news = await hops.looks.run(
                look, seats, self._memory, checks_all=checks_all, now=clock.now()
            )
        except Exception as error:  # noqa: BLE001  # a board that ended would leave everybody waiting for nothing
            log.warning("board.rows_not_read", error=type(error).__name__, waiting=len(seats))
            self._tell({seat: End("database") for seat in seats if seat.is_due})
            await asyncio.sleep(RETRY_S)
            return
        if checks_all:
            self._checked_at = began
        self._tell(news)
        await asyncio.sleep(min(max(COALESCE_S, REST * (loop.time() - began)), LONGEST_REST_S))

    def _tell(self, news: dict[Seat, News]) -> None:
        for seat, held in news.items():
            if isinstance(held, Releases) and held.after != seat.sent:
                self.ring()  # it has sent something meanwhile: look again from there
            else:
                seat.give(held)


_boards: WeakKeyDictionary[asyncio.AbstractEventLoop, Board] = WeakKeyDictionary()


def board() -> Board:
    """The running event loop's; a server has one."""
    loop = asyncio.get_running_loop()
    held = _boards.get(loop)
    if held is None:
        held = _boards[loop] = Board()
    return held


def server_leaves() -> bool:
    """Was uvicorn told to stop? It says so to nobody before the last request has ended.

    Its handler of SIGTERM is a method of the server, whose `should_exit` is public.
    https://www.uvicorn.org/server-behavior/#graceful-process-shutdown
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


async def _listen(ring: Callable[[], None]) -> None:
    """Ring for everything that happens, until cancelled; a broken layer costs the nudges alone."""
    pause_s = RETRY_S
    while get_channel_layer() is not None:
        try:
            async with _joined() as (layer, channel):
                pause_s = RETRY_S
                ring()  # for what came before we were in
                rejoins_at = asyncio.get_running_loop().time() + REJOIN_S
                while asyncio.get_running_loop().time() < rejoins_at:
                    async with asyncio.timeout(REJOIN_S):
                        await layer.receive(channel)
                    ring()
        except TimeoutError:
            continue
        except Exception as error:  # noqa: BLE001  # redis, its pool, the loop's sockets: all of them mean "no doorbell"
            log.info("board.doorbell_silent", error=type(error).__name__)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
            pause_s = min(pause_s * 2, RETRY_MAX_S)


@asynccontextmanager
async def _joined() -> AsyncIterator[tuple[Any, str]]:
    """The channel layer, and a channel of it that is told of everything inside."""
    layer = get_channel_layer()
    async with asyncio.timeout(LAYER_LIMIT_S):
        channel = await layer.new_channel()
        await layer.group_add(EVERY_STREAM, channel)
    try:
        yield layer, channel
    finally:
        with suppress(Exception):  # the group forgets us by itself
            async with asyncio.timeout(LAYER_LIMIT_S):
                await layer.group_discard(EVERY_STREAM, channel)
