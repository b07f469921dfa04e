"""What confirms a release, and what speaks against it: how its process fares in the soak."""

import time

import structlog

from watchers import moments
from watchers.attempt import Attempt
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.instance.telling import CannotTell, Telling
from watchers.labels import Wishes
from watchers.processes import Gone, Handle, ProcessId
from watchers.reload.base import NotTaken
from watchers.runtimes.base import CannotReach
from watchers.swap.disk import CannotWrite

log = structlog.get_logger("watchers.instance")
SLICE_S = 0.1  # how soon a soak notices that the agent stops, and how often a proof is looked at


class Proving(Telling):
    """The soak of one instance, its proof, and the verdict on a process that ended in it."""

    def _prove(self, wishes: Wishes) -> None:
        """Confirm the release once its process has lived through the soak and the proof holds.

        Climbs the ladder where the proof fails, and takes the release back after its last rung.
        """
        while self.memory.stage == "soaking" and self.memory.process is not None:
            process = self.memory.process
            self._tell()
            try:
                with Handle(process) as handle:
                    proven = self._outlives(handle, wishes)
            except Gone:
                self._ended(process, wishes)
                return
            except Disproved as error:
                if not self._told_otherwise(wishes):
                    self._fail("confirm", str(error), wishes, listen=True)
                    return
                continue
            if proven is None:
                return
            if proven.pending_restart and self._told_otherwise(wishes, restarts=True):
                continue
            self._confirm(proven)
            return

    def _outlives(self, handle: Handle, wishes: Wishes) -> Proven | None:
        """What was proven, after the soak; None when the agent stops or the process is paused, so that
        it soaks anew later.

        Raises Gone when the process ends in it, Disproved.
        """
        began = time.monotonic()
        until, proven, attempt = began + wishes.soak_s, None, None
        while True:
            left_s = until - time.monotonic()
            if wishes.proof is None:
                proven = Proven()
            elif proven is None or left_s <= SLICE_S:  # once more at the end: it shall still hold
                attempt = attempt or self._soaking(wishes)
                proven = self._look(attempt, wishes, began)
            if handle.ended(max(0.0, min(SLICE_S, left_s)) if proven else SLICE_S):
                raise Gone(f"process {handle.process.pid} has ended")
            if self._around.workload().state == "paused":
                return None  # it lives through any soak; another one begins once it goes on
            if left_s <= SLICE_S and proven is not None:
                return proven
            if self._around.stopping():
                return None

    def _look(self, attempt: Attempt, wishes: Wishes, began: float) -> Proven | None:
        """What the proof says; None while it is open. Raises Disproved."""
        assert wishes.proof is not None  # noqa: S101  # the caller looked
        try:
            return wishes.proof.look(attempt)
        except NotYet as error:
            if time.monotonic() - began > max(wishes.soak_s, wishes.proof.wait_s):
                raise Disproved(str(error)) from error
            return None

    def _soaking(self, wishes: Wishes) -> Attempt:
        """The attempt that is being proven, also for an agent that did not begin it."""
        files = {}
        try:
            with self._around.directory() as directory:
                files = directory.read(self.memory.generation) or {}
        except (CannotReach, CannotWrite) as error:
            log.warning("directory.away", instance=self._id, reason=str(error))
        return self._attempt(self.memory.generation, files, wishes, process=self.memory.process)

    def _told_otherwise(self, wishes: Wishes, *, restarts: bool = False) -> bool:
        """Tell it by a higher rung, if there is one (that restarts); False where there is none."""
        first = self.memory.rung + 1
        if restarts:
            first = next(
                (at for at in range(first, len(wishes.ladder)) if wishes.ladder[at].restarts),
                len(wishes.ladder),
            )
        if first >= len(wishes.ladder) or not self.memory.told_at_ns:
            return False
        try:
            self._climb(first, self._soaking(wishes), wishes)
        except (CannotTell, NotTaken) as error:
            log.warning("reload.not_possible", instance=self._id, reason=str(error))
            return False
        return True

    def _confirm(self, proven: Proven) -> None:
        memory = self.memory
        if proven.pending_restart:
            self._keep(
                memory.but(stage="awaits_restart", applied_at=None, running=memory.good_release,
                           running_checksum=memory.good_checksum,
                           pending_restart=proven.pending_restart)
            )  # fmt: skip
            self._tell()
            log.info("release.awaits_restart", instance=self._id, release=memory.release,
                     because=list(proven.pending_restart))  # fmt: skip
            return
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
            listen=True,
        )

    def _died_unseen(self, wishes: Wishes) -> bool:
        """Judge a process that began with the release and ended before it was looked at."""
        workload, memory = self._around.workload(), self.memory
        lived_s = workload.lived_s
        if workload.process is not None or lived_s is None or not workload.ending:
            return False
        if memory.stage not in ("pending", "soaking", "awaits_restart") or lived_s >= wishes.soak_s:
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
            listen=True,
        )
        return True
