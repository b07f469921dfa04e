"""Is this process alive, and what of the rest of the house does not answer?"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from confhub.core import clock
from confhub.fleet import queries as fleet
from confhub.publishing import queries as publishing

log = structlog.get_logger("api")

LIMIT_S = 1.0  # orchestrators give a probe a few seconds in all
OUTBOX_STALE_S = 15.0  # the relay's sweep comes every 2 s
STALE_S = 90.0  # etcd proves every half a minute that no status is missing

Finding = tuple[str, float | None]  # ("" or the sentence why it is not ok, age in seconds)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: this process answers requests. Nothing else is asked, because a restart of this
    process mends nothing else."""
    return _answer({"status": "alive"}, 200)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Which dependency is not there: `{"status", "dependencies": {name: {"ok", "why", "age_s"}}}`.

    503 only without the database, because without it no call works. Without etcd or Redis, or
    with an old view of the fleet, edits and publishes still work and catch up later; taking every
    web process out of the balancer for it would turn a delay into an outage. Then: 200, "degraded".
    """
    deadline = time.monotonic() + LIMIT_S
    # All are asked at once, so that the whole takes no longer than the slowest.
    asked = {name: probe.ask() for name, probe in PROBES.items()}
    findings = {name: _found(name, pending, deadline) for name, pending in asked.items()}
    document = {
        name: {"ok": not why, "why": why, "age_s": age_s} for name, (why, age_s) in findings.items()
    }
    if findings["database"][0]:
        return _answer({"status": "down", "dependencies": document}, 503)
    status = "degraded" if any(why for why, _ in findings.values()) else "ready"
    return _answer({"status": status, "dependencies": document}, 200)


@dataclass
class Probe:
    """A question to a dependency that may hang, asked in a thread of its own, once at a time.

    A probe that still hangs is not asked again but waited for, so that an endless outage costs
    one thread for each dependency and not one for each request.
    """

    name: str
    look: Callable[[], Finding]
    _pending: Future[Finding] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_asking(self) -> bool:
        return self._pending is not None

    def ask(self) -> Future[Finding]:
        """Ask, unless an earlier question is still open; that one's answer is as good."""
        with self._lock:
            if self._pending is None:
                self._pending = Future()
                threading.Thread(
                    target=self._run, args=(self._pending,), name=f"probe-{self.name}", daemon=True
                ).start()
            return self._pending

    def _run(self, pending: Future[Finding]) -> None:
        try:
            finding = self.look()
        except (DatabaseError, InterfaceError, redis.RedisError, OSError) as error:
            finding = f"{self.name} cannot be reached ({type(error).__name__}).", None
        except Exception:
            log.exception("probe.broke", dependency=self.name)
            finding = f"The question to {self.name} failed; the log says why.", None
        finally:
            connection.close()
        with self._lock:
            self._pending = None
        pending.set_result(finding)


def _found(name: str, pending: Future[Finding], deadline: float) -> Finding:
    """The finding, or that none came before `deadline` (of the monotonic clock)."""
    try:
        return pending.result(timeout=max(0.0, deadline - time.monotonic()))
    except NotYet:
        return f"{name} did not answer within {LIMIT_S:g} s.", None


def _database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "", 0.0


def _etcd() -> Finding:
    return publishing.store_answers(timeout_s=LIMIT_S), 0.0


def _redis() -> Finding:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=LIMIT_S, socket_connect_timeout=LIMIT_S
    )
    with client:
        client.ping()
    return "", 0.0


def _follower() -> Finding:
    """How old the rows of the live pages are; a worker follows etcd and proves it (fleet.follow)."""
    freshness = fleet.freshness(now=clock.now())
    if freshness.age_s is None:
        return "No worker has followed the instances yet. Is a worker running?", None
    if freshness.age_s > STALE_S:
        return (
            f"The instances were last proved complete {freshness.age_s:.0f} s ago. Look at the "
            "workers, and at etcd."
        ), freshness.age_s
    return "", freshness.age_s


def _outbox() -> Finding:
    """How long the oldest release waits on its way into etcd."""
    state = publishing.store_state(now=clock.now())
    if state.parked:
        return f"{_counted(state.parked, 'is', 'are')} parked: etcd refuses for good.", None
    if state.oldest_waiting_s is not None and state.oldest_waiting_s > OUTBOX_STALE_S:
        return (
            f"{_counted(state.waiting, 'waits', 'wait')} for etcd, the oldest for "
            f"{state.oldest_waiting_s:.0f} s."
        ), state.oldest_waiting_s
    return state.trouble, state.oldest_waiting_s or 0.0


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} release {one}" if number == 1 else f"{number} releases {several}"


PROBES = {
    "database": Probe("database", _database),
    "etcd": Probe("etcd", _etcd),
    "redis": Probe("redis", _redis),
    "follower": Probe("follower", _follower),
    "outbox": Probe("outbox", _outbox),
}


def _answer(document: dict[str, object], status: int) -> HttpResponse:
    response = JsonResponse(document, status=status)
    response["Cache-Control"] = "no-store"
    return response
