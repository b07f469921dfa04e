"""The threads that send, of one worker: bounded for all, and for each webhook.

A receiver that answers nothing keeps a thread for fifteen seconds. So a webhook has few threads at
once, one while it fails, and all failing ones together never more than half of them.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import structlog
from django.db import DatabaseError, close_old_connections

from confhub.webhooks import sending
from confhub.webhooks.sending import Clock

log = structlog.get_logger("webhooks")

THREADS = 16
OF_ONE = 4  # at most for one webhook
OF_FAILING = THREADS // 2
TURN_S = 30.0  # then another webhook has its turn


class Senders:
    """`fill` gives work to whoever is free, and returns at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._lock = threading.Lock()
        self._serving: Counter[int] = Counter()  # {webhook: how many threads}
        self._failing: Counter[int] = Counter()  # the same, of those that fail

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What is on its way is finished within its limit; nothing new is begun."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def fill(self) -> None:
        now = self._clock()
        if not sending.some_due(now=now):
            return
        heads = sorted(sending.due(now=now), key=lambda head: head.is_failing)
        for head in heads:
            if self._begin(head.webhook_id, is_failing=head.is_failing):
                self._pool.submit(self._serve, head.webhook_id, is_failing=head.is_failing)

    def is_idle(self) -> bool:
        with self._lock:
            return not self._serving.total()

    def _begin(self, webhook_id: int, *, is_failing: bool) -> bool:
        with self._lock:
            has_room = self._serving.total() < THREADS and self._serving[webhook_id] < OF_ONE
            if is_failing:
                has_room &= not self._serving[webhook_id] and self._failing.total() < OF_FAILING
                self._failing[webhook_id] += has_room
            self._serving[webhook_id] += has_room
            return has_room

    def _end(self, webhook_id: int, *, is_failing: bool) -> None:
        with self._lock:
            for counted in (self._serving, self._failing) if is_failing else (self._serving,):
                counted[webhook_id] -= 1
                counted += Counter()  # forget those at zero

    def _serve(self, webhook_id: int, *, is_failing: bool) -> None:
        """One delivery of the webhook after the other, until none is due, one fails, or the turn
        is over."""
        until = time.monotonic() + TURN_S
        try:
            while time.monotonic() < until and not self._stop.is_set():
                if not self._send_some(webhook_id):
                    return
        except DatabaseError as error:  # the claim runs out, and it is sent again
            log.warning("webhook.database_away", error=type(error).__name__)
        except Exception:  # a thread's failure is else seen by nobody
            log.exception("webhook.broken", webhook=webhook_id)
        finally:
            self._end(webhook_id, is_failing=is_failing)
            close_old_connections()

    def _send_some(self, webhook_id: int) -> bool:
        """Send the first that no other thread takes; False where none is left, or it failed."""
        for head in sending.due(now=self._clock(), webhook_id=webhook_id):
            arrived = sending.send_one(head.pk, self._clock)
            if arrived is not None:
                return arrived
        return False
