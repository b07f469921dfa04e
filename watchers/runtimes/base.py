"""What the agent needs to know of a place where workloads run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from watchers.inside import Inside
from watchers.labels import Wishes
from watchers.processes import ProcessId
from watchers.stopping import Stop
from watchers.swap.disk import Directory
from watchers.wire.status import Status


class CannotReach(Exception):
    """The workload's directory cannot be written from here; the text says why and the way out."""


@dataclass(frozen=True)
class Workload:
    """One container or process as its runtime sees it now."""

    id: str
    service: str
    environment: str
    runtime: Literal["docker", "podman", "process"]
    wishes: Wishes | None  # None when `problems` says why nothing may be touched
    state: Literal["running", "paused", "stopped"]
    process: ProcessId | None = None  # the one that is told; None where there is none
    problems: tuple[str, ...] = ()
    container: Mapping[str, Any] = field(default_factory=dict)  # as the status shows it
    health: str = ""  # the runtime's own health check; "" where none is declared
    asked_to_stop: bool = False  # somebody ended the process, so its end proves nothing
    ending: str = ""  # how the last process ended by itself, if badly: "exit code 1"
    began_at: datetime | None = None  # when the last process began, by the wall clock
    lived_s: float | None = None  # how long it lived; None while it does
    started_with: str | None = None  # the generation it began with, where its runtime knows that
    # What only its runtime understands, such as where the directory is. Not compared, because
    # two looks at the same container differ in it without anything having changed.
    detail: Any = field(default=None, compare=False)


Report = Callable[[Sequence[Workload]], None]  # takes all workloads that there are, each time
Beat = Callable[[], None]  # says that the loop is alive


class Runtime(Protocol):
    """A place where workloads run. The agent gives each one a thread."""

    name: str

    def run(self, stop: Stop, report: Report, beat: Beat) -> None:
        """Report everything there is, again whenever it changes, until `stop` is set.

        Never raises for trouble: an engine that is away is tried again. It reports nothing while
        it does not know, so that nobody believes that everything has gone.
        """

    def look_again(self) -> None:
        """Report soon, whether or not anything seems to have changed. Any thread may ask."""

    def directory(self, workload: Workload) -> Directory:
        """The directory where `workload` reads its files. Raises CannotReach, CannotWrite."""

    def inside(self, workload: Workload) -> Inside:
        """The surroundings of `workload`, as it was last seen."""

    def told(self, status: Status) -> None:
        """What the agent now says of one of its workloads."""
