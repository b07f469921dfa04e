"""Ring for a task by its name after commit, without ever waiting for the broker.

A request puts the name into a set and goes on; one thread of this process sends it. Where the
broker does not answer, the ring is dropped: a sweep by beat does the work then, because every
task that is rung for here finds its work in rows (docs/decisions/0004-celery-is-a-doorbell.md).
"""

import os
import threading
from collections.abc import Mapping
from functools import partial

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError

from confhub.core import requests

log = structlog.get_logger("core")

EXPIRES_S = 300  # what nobody heard for so long is done by a sweep, or was a wish of the moment
MAX_WAITING = 1000  # distinct rings; beyond it the sweep is the faster way anyway


def after_commit(task: str, *, queue: str | None = None, **kwargs: str | int) -> None:
    """Ask for `task` once the open transaction is committed; at once where none is open.

    Equal rings that still wait are one ring, with the id of the first request that rang: the work
    is in rows, which have their own. Returns at once, whatever the broker's state.
    """
    transaction.on_commit(partial(_doorbell.ring, task, queue, kwargs, requests.current()))


class _Doorbell:
    """The waiting rings of one process, and the thread that sends them."""

    def __init__(self) -> None:
        # The ring: the id of the request that rang first.
        self._waiting: dict[tuple[str, str | None, tuple[tuple[str, str | int], ...]], str] = {}
        self._changed = threading.Condition()
        self._pid: int | None = None

    def ring(
        self, task: str, queue: str | None, kwargs: Mapping[str, str | int], request_id: str
    ) -> None:
        with self._changed:
            if self._pid != os.getpid():  # threads do not survive a fork
                self._pid = os.getpid()
                threading.Thread(target=self._send_all, name="doorbell", daemon=True).start()
            if len(self._waiting) < MAX_WAITING:
                self._waiting.setdefault((task, queue, tuple(sorted(kwargs.items()))), request_id)
            self._changed.notify()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                (task, queue, kwargs), request_id = next(iter(self._waiting.items()))
                del self._waiting[task, queue, kwargs]
            try:
                current_app.send_task(
                    task, kwargs=dict(kwargs), queue=queue, retry=False, expires=EXPIRES_S,
                    headers={"request_id": request_id} if request_id else None,
                )  # fmt: skip
            except (KombuError, OSError) as error:
                log.info("doorbell.unheard", task=task, error=type(error).__name__)


_doorbell = _Doorbell()
