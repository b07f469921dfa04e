"""The database as a doorbell: PostgreSQL tells its listeners what was committed, within a millisecond.

A bell of Celery's has to pass through two clients, Redis and a worker's event loop; this one is heard
by the loop that does the work. Like every bell it may be lost: who waits here wakes up anyway.
docs/decisions/0011-postgresql-rings-by-itself.md
"""

import threading
from typing import Any, Self

import psycopg
import structlog
from django.db import connection

log = structlog.get_logger("core")

GLANCE_S = 0.5  # how soon a waiting loop notices that it shall stop
CONNECT_S = 3
_NAMES = (
    "dbname",
    "user",
    "password",
    "host",
    "port",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
)


def rings_by_itself() -> bool:
    """True where a commit is told to listeners, so that no other bell is needed."""
    return connection.vendor == "postgresql"


class DatabaseBell:
    """Hears `channels` on a connection of its own; on SQLite it is deaf, and waiting is sleeping."""

    def __init__(self, *channels: str) -> None:
        self._channels = channels
        self._held: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def wait(self, stop: threading.Event, timeout_s: float) -> frozenset[str]:
        """The channels that rang; all of them after `timeout_s`, because a bell may have been lost.

        Empty once `stop` is set.
        """
        waited_s = 0.0
        while waited_s < timeout_s and not stop.is_set():
            if heard := self._hear(min(GLANCE_S, timeout_s - waited_s), stop):
                return heard
            waited_s += GLANCE_S
        return frozenset() if stop.is_set() else frozenset(self._channels)

    def _hear(self, timeout_s: float, stop: threading.Event) -> frozenset[str]:
        if not rings_by_itself():
            stop.wait(timeout_s)
            return frozenset()
        try:
            heard = self._line().notifies(timeout=timeout_s, stop_after=1)
            return frozenset(notify.channel for notify in heard)
        except psycopg.Error as error:
            log.info("database_bell.silent", error=type(error).__name__)
            self._hang_up()
            stop.wait(timeout_s)
            return frozenset()

    def _line(self) -> psycopg.Connection[Any]:
        if self._held is None:
            told = connection.get_connection_params()
            wanted = {name: told[name] for name in _NAMES if told.get(name)}
            self._held = psycopg.connect(**wanted, autocommit=True, connect_timeout=CONNECT_S)
            for channel in self._channels:
                self._held.execute(f'LISTEN "{channel}"')
            log.info("database_bell.listening", channels=self._channels)
        return self._held

    def _hang_up(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
