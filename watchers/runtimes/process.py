"""The one process that `confhub run` starts, as a runtime."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from watchers import moments
from watchers.confirm.reported import Reports
from watchers.inside import Inhabitant, Inside
from watchers.processes import ProcessId
from watchers.runtimes.base import Beat, CannotReach, Report, Workload
from watchers.runtimes.here import NOBODY_RESTARTS, Here
from watchers.swap import folders
from watchers.swap.disk import Directory
from watchers.wire.status import Status

LOOK_S = 30.0
NAMED_LOOK_S = 0.5  # a program below the command comes and goes without a word to us
YOUNG_S = 5.0  # a command that starts another program has begun it within this


class Supervised(Here):
    """The surroundings of a process that may also speak for itself (watchers/confirm/reported.py)."""

    reports: Reports | None = None


class ProcessRuntime:
    """Reports one workload, and passes on what the agent says of it."""

    name = "process"

    def __init__(
        self, workload: Workload, directory: Path, *, reports: Reports | None = None
    ) -> None:
        """`directory` is resolved once; afterwards no symbolic link on the way is followed."""
        self._reports = reports
        self._restart: Callable[[], None] | None = None
        self._why_no_restart: Callable[[], str] = lambda: NOBODY_RESTARTS
        self._first: ProcessId | None = None  # the command itself
        self._environment: Mapping[str, str] = {}
        self._began = 0.0
        self._path = directory.resolve()
        self._news = threading.Condition()
        self._workload = workload
        self._again = True
        self._status: Status | None = None

    # ── told by the supervisor ────────────────────────────────────────────────────────────────

    def restarts_by(self, restart: Callable[[], None], why_not: Callable[[], str]) -> None:
        """`restart` ends the process and returns then; it begins anew. `why_not`: "" where it can."""
        self._restart, self._why_no_restart = restart, why_not

    def started(
        self,
        process: ProcessId | None,
        *,
        generation: str,
        started_at: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """The process began with `generation`; None when it has ended before it could be looked at."""
        self._began = time.monotonic()
        self._change(
            process,
            environment or {},
            state="running" if process is not None else "stopped",
            process=process,
            lived_s=None,
            ending="",
            asked_to_stop=False,
            started_with=generation,
            container={**self._workload.container, "started_at": started_at},
            began_at=moments.parse(started_at),
        )

    def ended(self, ending: str, *, asked: bool, lived_s: float) -> datetime | None:
        """The process has ended, `ending` as in "exit code 1"; `asked`: because somebody wished it.

        Returns when it had begun.
        """
        self._change(
            None, {}, state="stopped", process=None, lived_s=lived_s, ending=ending,
            asked_to_stop=asked,
        )  # fmt: skip
        return self._workload.began_at

    def latest(self) -> Status | None:
        """What the agent last said of the workload."""
        with self._news:
            return self._status

    def _change(
        self, first: ProcessId | None, environment: Mapping[str, str], **changes: Any
    ) -> None:
        with self._news:
            self._first, self._environment = first, environment
            self._workload, self._again = replace(self._workload, **changes), True
            self._news.notify_all()

    # ── asked by the agent ────────────────────────────────────────────────────────────────────

    def run(self, stop: threading.Event, report: Report, beat: Beat) -> None:
        while not stop.is_set():
            beat()
            with self._news:
                self._news.wait_for(lambda: self._again or stop.is_set(), self._look_s())
                workload, first, self._again = self._workload, self._first, False
            report([self._as_named(workload, first)])

    def _look_s(self) -> float:
        wishes = self._workload.wishes
        return NAMED_LOOK_S if self._first is not None and wishes and wishes.exe else LOOK_S

    def _as_named(self, workload: Workload, first: ProcessId | None) -> Workload:
        """With the process that `--process` names, instead of the command itself."""
        wishes = workload.wishes
        if first is None or wishes is None or wishes.exe is None:
            return workload
        found = top_of(self._inside(first).processes(), wishes.exe)
        if len(found) == 1:
            return replace(workload, process=found[0])
        if not found and time.monotonic() - self._began < YOUNG_S:
            return replace(workload, process=None, state="stopped")
        text = (
            f"--process=exe={wishes.exe}: {len(found) or 'no'} processes below the command run "
            f"{wishes.exe}, so it is not clear which to tell."
        )
        return replace(workload, process=None, state="stopped", wishes=None, problems=(text,))

    def look_again(self) -> None:
        with self._news:
            self._again = True
            self._news.notify_all()

    def directory(self, workload: Workload) -> Directory:
        try:
            descriptor = folders.open_directory(str(self._path), make=True)
        except OSError as error:
            raise CannotReach(
                f"{self._path} cannot be opened: {error.strerror}. Choose another --dir."
            ) from error
        return Directory(descriptor, str(self._path), seen_from_inside=True)  # the same files

    def inside(self, workload: Workload) -> Inside:
        return self._inside(self._first or workload.process)

    def _inside(self, first: ProcessId | None) -> Inside:
        why_not = self._why_no_restart()
        held = Supervised(
            first,
            self._environment,
            restart=None if why_not else self._restart,
            why_no_restart=why_not,
        )
        held.reports = self._reports
        return held

    def told(self, status: Status) -> None:
        with self._news:
            self._status = status
            self._news.notify_all()


def top_of(found: Sequence[Inhabitant], exe: str) -> list[ProcessId]:
    """Those that run the program `exe` and were not begun by another such."""
    named = [one for one in found if one.exe == exe]
    pids = {one.process.pid for one in named}
    return [one.process for one in named if one.parent not in pids]
