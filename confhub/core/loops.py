"""A loop that lives in a Celery worker beside its tasks: a bootstep with one thread.

Workers with loops run the `threads` pool and never fork, because gRPC's threads do not survive a
fork (docs/decisions/0004-celery-is-a-doorbell.md).
"""

import threading
from typing import Any, ClassVar

import structlog
from celery import bootsteps
from django.db import close_old_connections

log = structlog.get_logger("core")

PAUSE_S = 1.0  # after a failure nobody expected; the loop begins anew
STOP_S = 10.0  # a loop looks at its stop event more often than that


class LoopStep(bootsteps.StartStopStep):
    """Runs `loop(stop)` in a thread from the worker's start to its end, again after a failure."""

    abstract: ClassVar[bool] = True
    requires = ("celery.worker.components:Pool",)
    loop_name: ClassVar[str] = ""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def loop(self, stop: threading.Event) -> None:
        """Work until `stop` is set. What it raises is logged once and the loop begins anew."""
        raise NotImplementedError

    def start(self, worker: Any) -> None:
        self._thread = threading.Thread(target=self._run, name=self.loop_name, daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def terminate(self, worker: Any) -> None:
        self.stop(worker)

    def _run(self) -> None:
        log.info("loop.started", loop=self.loop_name)
        while not self._stop.is_set():
            try:
                self.loop(self._stop)
            except Exception:  # a loop that ended would be silence until a restart
                log.exception("loop.failed", loop=self.loop_name)
                self._stop.wait(PAUSE_S)
            finally:
                close_old_connections()
        log.info("loop.stopped", loop=self.loop_name)
