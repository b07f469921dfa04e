"""The one process that `confhub run` starts, as a runtime."""

import threading
from dataclasses import replace
from pathlib import Path

from watchers import moments
from watchers.inside import Inside
from watchers.processes import ProcessId
from watchers.runtimes.base import Beat, CannotReach, Report, Workload
from watchers.runtimes.here import Here
from watchers.swap import folders
from watchers.swap.disk import Directory
from watchers.wire.status import Status

LOOK_S = 30.0


class ProcessRuntime:
    """Reports one workload, and passes on what the agent says of it."""

    name = "process"

    def __init__(self, workload: Workload, directory: Path) -> None:
        """`directory` is resolved once; afterwards no symbolic link on the way is followed."""
        self._path = directory.resolve()
        self._news = threading.Condition()
        self._workload = workload
        self._again = True
        self._status: Status | None = None

    # ── told by the supervisor ────────────────────────────────────────────────────────────────

    def started(self, process: ProcessId | None, *, generation: str, started_at: str) -> None:
        """The process began with `generation`; None when it has ended before it could be looked at."""
        self._change(
            replace(
                self._workload,
                state="running" if process is not None else "stopped",
                process=process,
                lived_s=None,
                ending="",
                started_with=generation,
                container={**self._workload.container, "started_at": started_at},
                began_at=moments.parse(started_at),
            )
        )

    def ended(self, ending: str, *, asked: bool, lived_s: float) -> None:
        """The process has ended, `ending` as in "exit code 1"; `asked`: because somebody wished it."""
        self._change(
            replace(
                self._workload,
                state="stopped",
                process=None,
                lived_s=lived_s,
                ending=ending,
                asked_to_stop=asked,
            )
        )

    def latest(self) -> Status | None:
        """What the agent last said of the workload."""
        with self._news:
            return self._status

    def _change(self, workload: Workload) -> None:
        with self._news:
            self._workload, self._again = workload, True
            self._news.notify_all()

    # ── asked by the agent ────────────────────────────────────────────────────────────────────

    def run(self, stop: threading.Event, report: Report, beat: Beat) -> None:
        while not stop.is_set():
            beat()
            with self._news:
                self._news.wait_for(lambda: self._again or stop.is_set(), LOOK_S)
                workload, self._again = self._workload, False
            report([workload])

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
        return Directory(descriptor, str(self._path))

    def inside(self, workload: Workload) -> Inside:
        return Here(workload.process, {})

    def told(self, status: Status) -> None:
        with self._news:
            self._status = status
            self._news.notify_all()
