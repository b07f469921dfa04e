"""Proofs by what a supervised process says of itself: `notify` (sd_notify) and `report` (JSON).

Only `confhub run` makes the two sockets, so only there can these proofs hold.
https://man7.org/linux/man-pages/man3/sd_notify.3.html
"""

import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from watchers import moments
from watchers.attempt import Attempt
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.processes import ProcessId
from watchers.wire.canonical import Json

WAIT_S = 30.0
WORKERS_S = 3.0  # after READY=1, for a program that works by processes to have begun a new one
KEPT = 256  # the newest of each kind, so that a chatterbox takes no more memory than that
# HAProxy from 3.0 on ends a failed reload with READY=1 and "STATUS=Reload failed!".
FAILED = re.compile(
    r"\b(re)?load\w*\b.{0,20}\bfail|\bfail\w* to (re)?load|\bconfig\w*\b.{0,20}\b(fail|invalid)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Notice:
    """One datagram of the sd_notify protocol, as far as it matters here."""

    at_ns: int  # boot clock, when it was sent
    ready: bool = False
    reloading: bool = False
    status: str = ""
    errno: int = 0
    monotonic_ns: int | None = None  # MONOTONIC_USEC: when the reload began, on CLOCK_MONOTONIC


@dataclass(frozen=True)
class Report:
    """One datagram of the report socket: {"release": 43, "ok": true}."""

    at_ns: int  # boot clock, when it was sent
    release: int | None  # one of these two names the release
    checksum: str
    ok: bool
    error: str = ""
    pending_restart: tuple[str, ...] = ()

    def names(self, attempt: Attempt) -> bool:
        if self.release is not None:
            return self.release == attempt.release
        return self.checksum == attempt.checksum


class Reports:
    """What the process that runs now has said. Written by the supervisor, read by proofs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: deque[Notice] = deque(maxlen=KEPT)
        self._reports: deque[Report] = deque(maxlen=KEPT)
        self._status = ""

    def begin(self) -> None:
        """Another process starts: what its predecessor said proves nothing for it."""
        with self._lock:
            self._notices.clear()
            self._reports.clear()
            self._status = ""

    def notice(self, said: Notice) -> None:
        with self._lock:
            self._status = said.status or self._status
            # A program may write its STATUS each second; that alone must not push the others out.
            if said.ready or said.reloading or said.errno:
                self._notices.append(said)

    def report(self, said: Report) -> None:
        with self._lock:
            self._reports.append(said)

    def notices(self, *, since_ns: int) -> list[Notice]:
        with self._lock:
            return [one for one in self._notices if one.at_ns >= since_ns]

    def reports(self, *, since_ns: int) -> list[Report]:
        with self._lock:
            return [one for one in self._reports if one.at_ns >= since_ns]

    def status(self) -> str:
        """The last STATUS= text."""
        with self._lock:
            return self._status


class Reporting(Protocol):
    """Surroundings with a process that may speak for itself."""

    reports: Reports | None


def _heard(attempt: Attempt, kind: str) -> Reports:
    reports = (
        cast(Reporting, attempt.inside).reports if hasattr(attempt.inside, "reports") else None
    )
    if reports is None:
        raise Disproved(
            f"confhub.confirm={kind} needs the socket that `confhub run` makes, and this process was "
            "not started by it. Start it with `confhub run`, or write another way to confirm."
        )
    return reports


@dataclass(frozen=True)
class NotifyProof:
    """`notify`: READY=1 from a new process; RELOADING=1 and then READY=1 from one that was told.

    Some programs say both after a failed reload too. So ERRNO and a STATUS that speaks of a failure
    count against the release; and where RELOADING=1 came without MONOTONIC_USEC (an older form of
    the protocol) from a program that works by worker processes, one of them must be new.
    """

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {
            "since_ns": moments.boot_ns(),
            "workers": [list(worker) for worker in sorted(_workers(attempt))],
        }

    def look(self, attempt: Attempt) -> Proven:
        reports = _heard(attempt, "notify")
        notices = reports.notices(since_ns=_since_ns(attempt, attempt.told_at_ns))
        for one in notices:
            if one.errno:
                words = one.status or reports.status() or "it gave no STATUS"
                raise Disproved(f"The process said ERRNO={one.errno}: {words}")
        if not attempt.told_at_ns:
            _need(any(one.ready for one in notices), "READY=1 since it began", reports)
            return Proven()
        return _reloaded(attempt, notices, reports)


def _reloaded(attempt: Attempt, notices: list[Notice], reports: Reports) -> Proven:
    since_ns = _since_ns(attempt, attempt.told_at_ns)
    begun = [one for one in notices if one.reloading and _began_after(one, since_ns)]
    _need(bool(begun), "RELOADING=1 since it was told", reports)
    last = notices[-1]
    _need(last.ready and not last.reloading, "READY=1 after RELOADING=1", reports)
    status = last.status or reports.status()
    if FAILED.search(status):
        raise Disproved(f"The process is ready again, but says: {status}")
    if begun[-1].monotonic_ns is None:
        _need_new_worker(attempt, last)
    return Proven()


def _need(said: bool, what: str, reports: Reports) -> None:
    if not said:
        status = reports.status()
        raise NotYet(
            f"The process has not said {what}." + (f" Its STATUS: {status}" if status else "")
        )


def _since_ns(attempt: Attempt, otherwise_ns: int) -> int:
    """From when on it may speak of the release: one that watches its files sees it before it is told."""
    noted = attempt.noted.get("since_ns") if attempt.told_at_ns else None
    return noted if isinstance(noted, int) else otherwise_ns


def _began_after(notice: Notice, since_ns: int) -> bool:
    """False for a reload that was under way before the files were swapped."""
    if notice.monotonic_ns is None:
        return True
    suspended_ns = moments.boot_ns() - time.monotonic_ns()
    return notice.monotonic_ns + suspended_ns >= since_ns


def _need_new_worker(attempt: Attempt, ready: Notice) -> None:
    noted = attempt.noted.get("workers")
    before = {tuple(worker) for worker in noted} if isinstance(noted, list) else set()
    if not before or _workers(attempt) - before:
        return
    words = (
        "The process said RELOADING=1 and READY=1, but without MONOTONIC_USEC, and all of its worker "
        "processes are those from before; some programs say so after a failed reload too."
    )
    if moments.boot_ns() - ready.at_ns < WORKERS_S * 1e9:
        raise NotYet(words)
    raise Disproved(words)


def _workers(attempt: Attempt) -> set[tuple[int, int]]:
    """(pid, start time) of each process that the told one has begun."""
    told: ProcessId | None = attempt.process
    return {
        (one.process.pid, one.process.start_ticks)
        for one in attempt.inside.processes()
        if told is not None and one.parent == told.pid
    }


@dataclass(frozen=True)
class ReportProof:
    """`report`: the process says {"release": 43, "ok": true} of this very release."""

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {"since_ns": moments.boot_ns()}

    def look(self, attempt: Attempt) -> Proven:
        said = _heard(attempt, "report").reports(since_ns=_since_ns(attempt, 0))
        ours = [one for one in said if one.names(attempt)]
        for one in ours:
            if not one.ok:
                raise Disproved(f"The process reported: {one.error or 'not ok, without an error'}")
        if not ours:
            others = f" It reported release {said[-1].release}." if said else ""
            raise NotYet(f"The process has not reported release {attempt.release}.{others}")
        return Proven(ours[-1].pending_restart)
