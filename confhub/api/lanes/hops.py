"""From the event loop into a thread for a short look at rows, and back."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.db import connections

from confhub.api.problems import TooManyWait

Found = TypeVar("Found")

MOST_QUEUED = 1000  # looks that wait for a thread; more would only be answered too late


class Hops:
    """`threads` threads at most. A look's database connection is given back after it, but where more
    looks wait than there are threads: then the same thread takes one of them at once."""

    def __init__(self, name: str, *, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._under_way = 0
        self._queued, self._lock = 0, threading.Lock()  # of those no thread has begun with

    async def run(self, look: Callable[..., Found], *given: Any, **named: Any) -> Found:
        """What `look` returns or raises. Raises TooManyWait."""
        if self._under_way >= MOST_QUEUED:
            raise TooManyWait("Too many requests wait for the database. Try again in a second.")
        self._under_way += 1
        with self._lock:
            self._queued += 1
        context = contextvars.copy_context()  # the log's request id
        hop = self._pool.submit(context.run, self._looked, partial(look, *given, **named))
        try:
            return await asyncio.wrap_future(hop)
        finally:
            self._under_way -= 1
            if hop.cancel():  # whoever asked has gone before any thread began
                with self._lock:
                    self._queued -= 1

    def _looked(self, look: Callable[[], Found]) -> Found:
        is_kept = False
        with self._lock:
            self._queued -= 1
        try:
            found = look()
            is_kept = self._queued >= self._threads
            return found
        finally:
            if not is_kept:
                for connection in connections.all(initialized_only=True):
                    connection.close()


sign_ins = Hops("lane", threads=4)  # of the twelve connections that a process may have
looks = Hops("board", threads=1)  # of its own, so that no crowd at the door delays those who wait
