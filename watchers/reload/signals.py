"""A signal: who gets it, whether it may be sent, and the sending."""

import signal
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from watchers import processes
from watchers.attempt import Attempt
from watchers.inside import Inside
from watchers.metrics import VETOES
from watchers.processes import Gone, Handle, NotAllowed, ProcessId
from watchers.reload.base import Vetoed

YOUNG_S = 3.0  # a process that has just begun gets this long to install its handler
LOOK_S = 0.02


@dataclass(frozen=True)
class Signal:
    """`signal:HUP`, to exactly one process, through a pidfd."""

    number: signal.Signals
    by_engine: bool = False  # through the Engine's kill where this user may not signal it

    restarts = False

    def __str__(self) -> str:
        return f"signal:{self.number.name.removeprefix('SIG')}"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "ArmedSignal":
        """Wait `patience_s` for a handler, and at least until the process is no longer young."""
        if attempt.process is None:
            raise Gone("nothing runs")
        handle = Handle(attempt.process)
        try:
            engine = self._engine(handle, attempt.inside)
            _need_handler(handle, self.number, until=time.monotonic() + patience_s)
        except BaseException:
            handle.close()
            raise
        return ArmedSignal(handle, self.number, engine)

    def _engine(self, handle: Handle, inside: Inside) -> Inside | None:
        """The surroundings whose engine shall send it, or None where this process may itself."""
        try:
            handle.send(0)
        except NotAllowed:
            if not self.by_engine:
                raise
            return inside
        return None


class ArmedSignal:
    """A handle on the process that was looked at, so that no other one is told."""

    def __init__(self, handle: Handle, number: signal.Signals, engine: Inside | None) -> None:
        self._handle, self._number, self._engine = handle, number, engine

    def send(self) -> None:
        if self._engine is None:
            self._handle.send(self._number)
        else:
            self._engine.engine_kill(self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._handle.close()


def _need_handler(handle: Handle, number: signal.Signals, *, until: float) -> None:
    process = handle.process
    while not processes.catches(process.pid, number):
        if handle.ended():
            raise Gone(f"process {process.pid} has ended")
        if processes.uptime_s(process) > YOUNG_S and time.monotonic() >= until:
            VETOES.add()
            raise Vetoed(_no_handler(process, number.name.removeprefix("SIG")))
        time.sleep(LOOK_S)


def _no_handler(process: ProcessId, name: str) -> str:
    return (
        f"Process {process.pid} has no handler for {name}, so the signal was not sent: it would end "
        f"the process, or be lost if it is the first one of its container. Handle {name} in the "
        "program, name the right process with confhub.process=exe=NAME, or write "
        "confhub.reload=none if it watches its files itself."
    )
