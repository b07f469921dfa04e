"""What confirms a release, and what speaks against it: how its process fares in the soak."""

import time

import structlog

from watchers import moments
from watchers.disk import CannotWrite
from watchers.keeping import Keeping
from watchers.labels import Wishes
from watchers.processes import Gone, Handle, ProcessId
from watchers.runtimes.base import CannotReach

log = structlog.get_logger("watchers.applying")
SLICE_S = 0.1  # how soon a soak notices that the agent stops


class Proving(Keeping):
    """The soak of one instance, and the verdict on a process that ended in it."""

    def _prove(self, wishes: Wishes) -> None:
        """Confirm the release once its process, still the same one, has lived through the soak."""
        process = self.memory.process
        if self.memory.stage != "soaking" or process is None:
            return
        self._tell()
        try:
            with Handle(process) as handle:
                lived = self._outlives(handle, wishes.soak_s)
        except Gone:
            self._ended(process, wishes)
            return
        if lived:
            self._confirm()

    def _outlives(self, handle: Handle, soak_s: float) -> bool:
        """True after the soak; False when the agent stops, so that the next one soaks anew.

        Raises Gone when the process ends in it.
        """
        until = time.monotonic() + soak_s
        while True:
            left_s = until - time.monotonic()
            if handle.ended(max(0.0, min(SLICE_S, left_s))):
                raise Gone(f"process {handle.process.pid} has ended")
            if left_s <= SLICE_S:
                return True
            if self._around.stopping():
                return False

    def _confirm(self) -> None:
        memory = self.memory
        try:
            with self._around.directory() as directory:
                directory.settle(good=memory.generation)
        except (CannotReach, CannotWrite) as error:
            log.warning("directory.away", instance=self._id, reason=str(error))
        self._keep(
            memory.but(
                stage="confirmed", confirmed_at=moments.stamp(),
                good_release=memory.release, good_checksum=memory.checksum,
            )
        )  # fmt: skip
        self._tell()
        log.info("release.confirmed", instance=self._id, release=memory.release)

    def _ended(self, process: ProcessId, wishes: Wishes) -> None:
        """Judge a process that ended in its soak: the release's fault, or somebody's wish?"""
        workload = self._around.changed_from(process)
        memory = self.memory
        if workload.asked_to_stop or self._is_earned():
            return
        how = f" ({workload.ending})" if workload.ending else ""
        self._fail(
            "confirm",
            f"Process {process.pid} ended{how} within {wishes.soak_s:g} s of taking release "
            f"{memory.release}.",
            wishes,
        )

    def _died_unseen(self, wishes: Wishes) -> bool:
        """Judge a process that began with the release and ended before it was looked at."""
        workload, memory = self._around.workload(), self.memory
        lived_s = workload.lived_s
        if workload.process is not None or lived_s is None or not workload.ending:
            return False
        if memory.stage not in ("pending", "soaking") or lived_s >= wishes.soak_s:
            return False
        delivered_at = moments.parse(memory.delivered_at)
        began_with = workload.started_with == memory.generation or bool(
            workload.began_at and delivered_at and workload.began_at > delivered_at
        )
        if workload.asked_to_stop or self._is_earned() or not began_with:
            return False
        self._fail(
            "confirm",
            f"The process ended ({workload.ending}) {lived_s:.1f} s after it began with release "
            f"{memory.release}.",
            wishes,
        )
        return True
