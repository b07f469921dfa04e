"""One socket of one tab: what happens on its streams, from the page's position on.

The frames are described in docs/protocols/live.md.
"""

import asyncio
import json
import random
import time
from collections import deque
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from confhub.core import clock
from confhub.core.actors import Actor
from dashboard.live import feed, presence
from dashboard.live.nudges import Nudges
from dashboard.live.presence import Presence

log = structlog.get_logger("dashboard")

HEARTBEAT_S = 5.0  # three of them missed is what a page waits before it says so
COALESCE_S = 0.1  # at most ten reads a second a socket, however many nudges
MAX_MESSAGE_BYTES = 32 * 1024  # a subscription of 400 streams has 6 KiB
MAX_MESSAGES = 20  # in FLOOD_WINDOW_S
FLOOD_WINDOW_S = 10.0
LIFE_S = 3600.0  # then the page connects anew, so that no group or session outlives its time
READ_LIMIT_S = 10.0  # a database that does not answer: no heartbeat is sent, and the page says so

# 4000-4999 are the application's own close codes, RFC 6455 section 7.4.2.
REFRESH, SIGNED_OUT, NOT_YOURS = 4000, 4401, 4403
POLICY, TOO_BIG, UNSUPPORTED = 1008, 1009, 1003


class LiveConsumer(AsyncWebsocketConsumer):
    """Streams events to one tab. A nudge or a heartbeat makes it read rows; rows are the truth."""

    channel_layer_alias = None  # listened to by Nudges, which outlives a dead Redis

    async def connect(self) -> None:
        self.streams: frozenset[str] = frozenset()
        self.position = 0
        self.who = feed.NOBODY
        self.resumes = True  # the position is the page's word, not yet compared with ours
        self.rung = asyncio.Event()
        self.probed = False  # a heartbeat is owed before its time
        self.presence = Presence(lambda: self.who.name, self._tell_people)
        self.nudges = Nudges(self.rung.set, self.presence.hear)
        self.work: list[asyncio.Task[None]] = []
        self.heard: deque[float] = deque(maxlen=MAX_MESSAGES)
        await self.accept()
        # Accepted first, because a refused handshake looks to a browser like a dead server.
        if await self._person() is None:
            await self.close(code=SIGNED_OUT)

    async def disconnect(self, code: int) -> None:
        await self._stop_work()
        await self.presence.leave()
        await self.nudges.leave()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A subscription, a probe, or where the page is. Anything else, too much or too large, ends the socket."""
        refusal = self._refusal(text_data)
        if refusal is not None:
            await self.close(code=refusal)
            return
        message = _message(text_data or "")
        if message is None:
            await self.close(code=POLICY)
        elif message.get("probe"):
            self.probed = True
            self.rung.set()  # answered by a heartbeat at once
        elif "here" in message:
            await self._be(message)
        else:
            await self._subscribe(frozenset(message["subscribe"]), message["position"])

    async def _be(self, message: dict[str, Any]) -> None:
        try:
            self.presence.be(presence.read(message, self.streams))
        except presence.NotAPlace:
            await self.close(code=POLICY)

    def _refusal(self, text: str | None) -> int | None:
        """The code with which to close for a message that is not even read; None where it is."""
        now = time.monotonic()
        if len(self.heard) == MAX_MESSAGES and now - self.heard[0] < FLOOD_WINDOW_S:
            return POLICY
        self.heard.append(now)
        if text is None:
            return UNSUPPORTED
        return TOO_BIG if len(text) > MAX_MESSAGE_BYTES else None

    async def _subscribe(self, streams: frozenset[str], position: int) -> None:
        if not await self._may_see(streams):
            return
        await self._stop_work()
        self.streams, self.position, self.resumes = streams, position, True
        self.presence.keep_to(streams)
        self.probed = True  # the first heartbeat says at once where this page stands
        self.rung.set()
        # Joining rings as well, so that nothing falls between the first read and the groups, and a
        # Redis that does not answer delays nobody.
        self.work = [
            asyncio.create_task(self.nudges.listen(streams)),
            asyncio.create_task(self._pump()),
            asyncio.create_task(self.presence.run()),
        ]

    async def _stop_work(self) -> None:
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        self.work = []

    async def _pump(self) -> None:
        """Read rows whenever the bell rings and at each heartbeat; the one place that sends events."""
        ends_at = time.monotonic() + LIFE_S * random.uniform(0.85, 1.15)  # noqa: S311  # so that not all come back at once
        beats_at = 0.0
        while time.monotonic() < ends_at:
            try:
                async with asyncio.timeout(max(0.0, beats_at - time.monotonic())):
                    await self.rung.wait()
            except TimeoutError:
                pass
            self.rung.clear()
            try:
                async with asyncio.timeout(READ_LIMIT_S):
                    await self._catch_up()
                    if self.probed or time.monotonic() >= beats_at:
                        self.probed = False
                        beats_at = time.monotonic() + HEARTBEAT_S
                        if not await self._beat():
                            return
            except (TimeoutError, DatabaseError) as error:
                # Nothing is sent, so the page says that it is not live; the next beat tries again.
                log.warning("live.rows_not_read", error=type(error).__name__)
                beats_at = time.monotonic() + HEARTBEAT_S
            await asyncio.sleep(COALESCE_S)
        await self.close(code=REFRESH)

    async def _catch_up(self) -> None:
        missed = await database_sync_to_async(feed.missed)(
            self.position, self.streams, who=self.who, resumes=self.resumes
        )
        self.resumes = False
        if missed.too_many:
            await self._tell({"kind": "reload-snapshot", "position": missed.newest})
            self.position = missed.newest
            return
        for event in missed.events:
            await self._tell(event)
            self.position = event["position"]

    async def _beat(self) -> bool:
        """Check anew who this is, then say how fresh the page is; False when the socket was closed."""
        if not await self._may_see(self.streams):
            return False
        fresh = await database_sync_to_async(feed.freshness)()
        await self._tell({"kind": "heartbeat", "position": self.position, **fresh})
        return True

    async def _may_see(self, streams: frozenset[str]) -> bool:
        """True when the session stands and may see `streams`; else the socket is closed."""
        who = await self._person()
        if who is None:
            await self.close(code=SIGNED_OUT)
            return False
        self.who = who  # read anew at each heartbeat, so what was taken back is gone within one
        try:
            await database_sync_to_async(feed.check_streams)(who, streams)
        except feed.NotYours:
            await self.close(code=NOT_YOURS)
            return False
        return True

    async def _person(self) -> Actor | None:
        session = self.scope.get("session")
        key = session.session_key if session is not None else None
        try:
            who: Actor = await database_sync_to_async(feed.person_of)(key)
        except feed.NotYours:
            return None
        return who

    async def _tell_people(self, stream: str, people: presence.People) -> None:
        frame = {"kind": "presence", "position": self.position, "stream": stream, "people": people}
        await self._tell(frame)

    async def _tell(self, frame: dict[str, Any]) -> None:
        ts = clock.stamp(clock.now())
        await self.send(text_data=json.dumps({"ts": ts, **frame}, separators=(",", ":")))


def _message(text: str) -> dict[str, Any] | None:
    """{"subscribe": [streams], "position": n}, {"probe": true} or {"here": …}; None for anything
    else. Where the page is, is read by presence.py."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    if message == {"probe": True} or "here" in message:
        return message
    streams, position = message.get("subscribe"), message.get("position")
    if not isinstance(streams, list) or not all(isinstance(each, str) for each in streams):
        return None
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < 2**63:
        return None
    return message
