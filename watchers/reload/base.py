"""What a way to reload is."""

from types import TracebackType
from typing import Protocol, Self

from watchers.attempt import Attempt


class Vetoed(Exception):
    """The reload would end the process or be lost, so it is not sent. The text says why."""


class NotTaken(Exception):
    """The workload refused the reload, or it could not be done. The text is its own words."""


class Armed(Protocol):
    """A reload that may be sent now. Use it in a `with` block: it holds what it needs."""

    def send(self) -> None:
        """Tell the workload. Raises Gone, NotAllowed (watchers.processes), NotTaken, CannotRun."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...


class Way(Protocol):
    """One way to tell a workload. A ladder is a tuple of them: the next one when one fails."""

    @property
    def restarts(self) -> bool:
        """True when another process runs the release afterwards."""

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> Armed:
        """Look whether it may be sent, before anything is swapped; nothing is sent yet.

        Waits `patience_s` for the process to become ready. Raises Gone when it has ended,
        NotAllowed, Vetoed, CannotRun.
        """

    def __str__(self) -> str:
        """As a label says it: "signal:HUP"."""
