"""Who else has a draft open, and at which key: what one socket tells the others and hears from them.

Messages of the channel layer and nothing else: no rows, no keys in Redis. A lost message costs a
name on a page for a moment, a dead Redis all names. Whoever is not heard of for FORGET_S is gone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, TypeAlias

import structlog
from channels.layers import get_channel_layer

from watchers.wire.names import BadName, check_key

log = structlog.get_logger("dashboard")

TYPE = "draft.presence"  # of our messages among the layer's
ANNOUNCE_S = 10.0  # how often a tab says again where it is
FORGET_S = 25.0
ANSWER_S = 2.0  # to a new tab, at most this often
COALESCE_S = 0.2
SEND_LIMIT_S = 2.0  # what telling the others may take; it delays nothing else
MAX_HEARD = 200  # tabs
NEVER = float("-inf")

People: TypeAlias = list[dict[str, Any]]  # [{"name": "ben", "keys": ["POOL"]}, …], by name


class NotAPlace(ValueError):
    """A page said that it is where nothing is, or what it does not follow."""


@dataclass(frozen=True)
class Here:
    """Where a tab is. `key`: "" for none in particular."""

    stream: str
    key: str


@dataclass(frozen=True)
class _Heard:
    here: Here
    name: str
    until: float  # on the monotonic clock


def read(message: Mapping[str, Any], streams: frozenset[str]) -> Here:
    """{"here": "scope.42", "key": "POOL" or null} as the page sent it. Raises NotAPlace."""
    stream, key = message.get("here"), message.get("key")
    is_followed = isinstance(stream, str) and stream in streams and stream != "catalog"
    if set(message) != {"here", "key"} or not is_followed:
        raise NotAPlace("no such place")
    if key is None:
        return Here(str(stream), "")
    try:
        check_key(key if isinstance(key, str) else "")
    except BadName as error:
        raise NotAPlace("no such key") from error
    return Here(str(stream), str(key))


class Presence:
    """One tab's part: `be` where it is, `hear` of others, `run` beside the socket."""

    def __init__(
        self, name: Callable[[], str], tell: Callable[[str, People], Awaitable[None]]
    ) -> None:
        """`name` is the person's as it is now; `tell(stream, people)` sends a frame to the page."""
        self._name, self._tell = name, tell
        self._tab = token_hex(8)
        self._here: Here | None = None
        self._left: str | None = None  # a stream that has to be told that this tab went elsewhere
        self._others: dict[str, _Heard] = {}
        self._moved = asyncio.Event()
        self._announce_at = NEVER  # the next time; NEVER: now
        self._answered_at = NEVER
        self._told: tuple[str, People] | None = None

    def be(self, here: Here) -> None:
        if self._here is not None and self._here.stream != here.stream:
            self._left, self._others = self._here.stream, {}
        self._here, self._announce_at = here, NEVER
        self._moved.set()

    def keep_to(self, streams: frozenset[str]) -> None:
        """The page follows these now; it is nowhere else any more."""
        if self._here is not None and self._here.stream not in streams:
            self._left, self._here, self._others = self._here.stream, None, {}
            self._moved.set()

    def hear(self, message: Mapping[str, Any]) -> None:
        """What another tab said, if it is about the draft that is open here."""
        tab, stream = str(message.get("tab")), message.get("stream")
        if self._here is None or stream != self._here.stream or tab == self._tab:
            return
        if message.get("gone"):
            self._others.pop(tab, None)
        elif tab in self._others or len(self._others) < MAX_HEARD:
            now = time.monotonic()
            if tab not in self._others and now - self._answered_at > ANSWER_S:
                self._answered_at, self._announce_at = now, NEVER  # so that it knows of us at once
            here = Here(str(stream), str(message.get("key", "")))
            self._others[tab] = _Heard(here, str(message.get("name", "")), now + FORGET_S)
        self._moved.set()

    async def run(self) -> None:
        """Tell the page and the others what has moved, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(ANNOUNCE_S / 4 if self._here else None):
                    await self._moved.wait()
            except TimeoutError:
                pass
            self._moved.clear()
            if self._left is not None:
                left, self._left = self._left, None
                await self._send({"stream": left, "gone": True})
            if self._here is not None:
                await self._announce(self._here)
                await self._show(self._here)
            await asyncio.sleep(COALESCE_S)

    async def leave(self) -> None:
        """Say goodbye where that is quick; the others forget this tab otherwise."""
        if self._here is not None:
            await self._send({"stream": self._here.stream, "gone": True})

    async def _announce(self, here: Here) -> None:
        if time.monotonic() >= self._announce_at:
            self._announce_at = time.monotonic() + ANNOUNCE_S
            await self._send({"stream": here.stream, "key": here.key, "name": self._name()})

    async def _show(self, here: Here) -> None:
        now = time.monotonic()
        self._others = {tab: held for tab, held in self._others.items() if held.until > now}
        keys: dict[str, set[str]] = {}
        for held in self._others.values():
            keys.setdefault(held.name, set()).update([held.here.key] if held.here.key else [])
        people = [{"name": name, "keys": sorted(keys[name])} for name in sorted(keys)]
        told = (here.stream, people)
        if told != self._told and (people or self._told is not None):
            self._told = told
            await self._tell(here.stream, people)

    async def _send(self, said: Mapping[str, Any]) -> None:
        layer = get_channel_layer()
        if layer is None:
            return
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await layer.group_send(said["stream"], {"type": TYPE, "tab": self._tab, **said})
        except Exception as error:  # noqa: BLE001  # redis, its pool, the loop's sockets: nobody hears, no more
            log.info("live.presence_unheard", error=type(error).__name__)
