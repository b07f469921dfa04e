"""The channel layer as a doorbell of one socket: whatever Redis does, the socket stays.

A consumer of Channels that has a channel layer ends with the first exception of the layer's
`receive` (channels 4.3, consumer.py and utils.await_many_dispatch), so a restart of Redis would
close every socket at once, and a dead Redis would refuse each new one. A nudge is worth no socket:
here the layer is listened to beside the consumer, and its failures only cost the heartbeat's delay.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog
from channels.layers import get_channel_layer

from dashboard.live.presence import TYPE as PRESENCE

log = structlog.get_logger("dashboard")

LAYER_LIMIT_S = 2.0  # what joining or leaving a group may take
REJOIN_S = 60.0  # a flushed Redis has forgotten us and says nothing
RETRY_S = 1.0  # after a failure; doubled up to RETRY_MAX_S, with jitter
RETRY_MAX_S = 10.0
NEVER = float("-inf")


class Nudges:
    """Calls `ring` for each message on the groups of one socket, until cancelled; or `hear` for
    what other sockets say of themselves (presence.py), which no row stands behind."""

    def __init__(self, ring: Callable[[], None], hear: Callable[[Mapping[str, Any]], None]) -> None:
        self.ring, self.hear = ring, hear
        self._groups: frozenset[str] = frozenset()
        self._channel: str | None = None
        self._joined_at = NEVER

    async def listen(self, groups: Collection[str]) -> None:
        """Ring for every message on `groups`, and once they are joined, for what came before that.

        Joins again after trouble and now and then. Ends by cancellation.
        """
        pause_s = RETRY_S
        left, self._groups = self._groups - set(groups), frozenset(groups)
        self._joined_at = NEVER
        while get_channel_layer() is not None:
            is_due = time.monotonic() - self._joined_at > REJOIN_S
            if await (self._join(left) if is_due else self._receive()):
                pause_s = RETRY_S
                continue
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
            pause_s = min(pause_s * 2, RETRY_MAX_S)

    async def _receive(self) -> bool:
        """Wait for one message; False where the layer broke."""
        layer = get_channel_layer()
        try:
            async with asyncio.timeout(REJOIN_S):
                message = await layer.receive(self._channel)
        except TimeoutError:
            self._joined_at = NEVER
        except Exception as error:  # noqa: BLE001  # redis, its pool, the loop's sockets: all of them mean "no doorbell"
            log.info("live.doorbell_broken", error=type(error).__name__)
            self._joined_at = NEVER
            return False
        else:
            if message.get("type") == PRESENCE:
                self.hear(message)
            else:
                self.ring()
        return True

    async def _join(self, left: Collection[str]) -> bool:
        """Be in our groups and in none of `left`; False where Redis did not answer in time."""
        layer = get_channel_layer()
        try:
            async with asyncio.timeout(LAYER_LIMIT_S):
                if self._channel is None:
                    self._channel = await layer.new_channel()
                for group in left:
                    await layer.group_discard(group, self._channel)
                for group in self._groups:
                    await layer.group_add(group, self._channel)
        except Exception as error:  # noqa: BLE001  # as above
            log.info("live.doorbell_silent", error=type(error).__name__)
            return False
        self._joined_at = time.monotonic()
        self.ring()
        return True

    async def leave(self) -> None:
        """Say goodbye where that is quick; the group's expiry does it otherwise."""
        layer = get_channel_layer()
        if layer is None or self._channel is None:
            return
        try:
            async with asyncio.timeout(LAYER_LIMIT_S):
                for group in self._groups:
                    await layer.group_discard(group, self._channel)
        except Exception as error:  # noqa: BLE001  # as above
            log.info("live.doorbell_silent", error=type(error).__name__)
