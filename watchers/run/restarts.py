"""Where a thread that wants the process restarted meets the one that does it."""

import threading
from collections.abc import Callable

from watchers.inside import CannotRun
from watchers.processes import Gone

LATE_S = 5.0  # after KILL, for the kernel to end a process and for us to notice


class Restarts:
    """`ask` is called by the agent's threads, everything else by the supervisor's main thread."""

    def __init__(self, wake: Callable[[], None], *, grace_s: float) -> None:
        self._wake, self._patience_s = wake, grace_s + LATE_S
        self._news = threading.Condition()
        self._wanted = False
        self._round = 0  # of restarts whose old process has ended
        self._why_not = "confhub run has not started its command yet."

    def why_not(self) -> str:
        """Why nobody may ask now; "" when it is possible."""
        with self._news:
            return self._why_not

    def ask(self) -> None:
        """Have the process end and begin anew; return once the old one has ended.

        Raises Gone when it ended by itself meanwhile, CannotRun.
        """
        with self._news:
            if self._why_not:
                raise CannotRun(self._why_not)
            self._wanted, asked_in = True, self._round
            self._wake()
            self._news.wait_for(
                lambda: self._round > asked_in or bool(self._why_not), self._patience_s
            )
            if self._round > asked_in:
                return
            self._wanted = False
            if self._why_not:
                raise Gone(self._why_not)
            raise CannotRun(
                f"The process did not end within {self._patience_s:g} s, KILL included."
            )

    def wanted(self) -> bool:
        with self._news:
            return self._wanted

    def allow(self) -> None:
        """There is a process that can be ended."""
        with self._news:
            self._why_not = ""

    def done(self) -> None:
        """The old process has ended, because it was asked to; the next one is not there yet."""
        with self._news:
            self._wanted, self._why_not = False, "The process is being restarted already."
            self._round += 1
            self._news.notify_all()

    def refuse(self, why: str) -> None:
        """There is no process, and none that would be restarted."""
        with self._news:
            self._wanted, self._why_not = False, why
            self._news.notify_all()
