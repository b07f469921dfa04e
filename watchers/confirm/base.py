"""What a proof is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from watchers.attempt import Attempt
from watchers.wire.canonical import Json


class NotYet(Exception):
    """Nothing speaks for the release so far, and nothing against it. The text says what is awaited."""


class Disproved(Exception):
    """The workload does not run the release. The text says how that is known, in its own words."""


@dataclass(frozen=True)
class Proven:
    """It runs the release; of these settings or entries only after a restart."""

    pending_restart: tuple[str, ...] = ()


class Proof(Protocol):
    """How it is known that a workload runs a release, beside that its process lived through the soak."""

    @property
    def wait_s(self) -> float:
        """How long after the reload NotYet may last before it counts as Disproved."""

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """What must be remembered from right before the reload, to be compared with afterwards.

        It is kept on disk, so an agent that is killed in between goes on with it.
        """

    def look(self, attempt: Attempt) -> Proven:
        """Look once, without waiting long. Raises NotYet, Disproved.

        `attempt.noted` is empty and `told_at_ns` 0 for a process that began with the release.
        """
