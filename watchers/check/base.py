"""What a check is."""

from typing import Protocol

from watchers.attempt import Attempt


class CheckFailed(Exception):
    """The workload would not take the release. The text is its validator's own, or says why not."""


class Check(Protocol):
    """Asked of the generation that is written and that nothing points at yet."""

    def run(self, attempt: Attempt) -> None:
        """Return when the workload would take it.

        Raises CheckFailed; also for a check that is missing, ran out of time or was killed,
        because whoever cannot answer has not agreed. Raises CannotRun (watchers.inside) where this
        machine's rights are in the way, so that it is tried again.
        """
