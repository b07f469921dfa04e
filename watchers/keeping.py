"""What every step of an instance builds on: its memory, its process, and the way back."""

from collections.abc import Callable
from typing import Protocol

import structlog

from watchers import moments, reload
from watchers.disk import CannotWrite, Directory, release_of
from watchers.labels import Wishes
from watchers.memory import Journal, Memory
from watchers.processes import Gone, Handle, NotAllowed, ProcessId
from watchers.runtimes.base import CannotReach, Workload
from watchers.wire.documents import ReleaseDocument

log = structlog.get_logger("watchers.applying")


class Surroundings(Protocol):
    """What the steps ask of whoever runs them."""

    def workload(self) -> Workload:
        """The instance as it is now."""

    def changed_from(self, process: ProcessId) -> Workload:
        """The instance once its runtime says that `process` has ended, or after a short wait."""

    def directory(self) -> Directory:
        """Its directory, open. Raises CannotReach, CannotWrite."""

    def stopping(self) -> bool:
        """True when the agent ends, or the instance is gone."""


class Keeping:
    """An instance's memory, and how a release that does not hold is taken back."""

    def __init__(
        self,
        instance_id: str,
        journal: Journal,
        around: Surroundings,
        tell: Callable[[], None],
    ) -> None:
        self.memory: Memory = journal.load(instance_id)
        self._id, self._journal, self._around, self._tell = instance_id, journal, around, tell

    def _keep(self, memory: Memory, *, durable: bool = True) -> None:
        if memory == self.memory:
            return
        self.memory = memory
        self._save(durable=durable)

    def _save(self, *, durable: bool) -> None:
        try:
            self._journal.save(self._id, self.memory, durable=durable)
        except OSError as error:
            # Going on costs one reload more if the agent is killed now; stopping would cost the
            # release.
            log.error("journal.not_written", instance=self._id, reason=error.strerror)

    def _ready(self, wishes: Wishes) -> Handle | None:
        """A handle on the process to tell, or None where none runs. Raises Vetoed, NotAllowed."""
        workload = self._around.workload()
        if workload.process is None or workload.state != "running":
            return None
        try:
            return reload.ready(workload.process, wishes.reload)
        except Gone:
            return None  # its successor will begin with the new files

    def _runs(self, process: ProcessId) -> None:
        """`process` has the memory's release from now on; only the soak is open."""
        memory = self.memory
        self._keep(
            memory.but(
                stage="soaking", process=process, applied_at=moments.stamp(), confirmed_at=None,
                failed_at=None, fail_stage="", reason="",
                running=memory.release, running_checksum=memory.checksum,
            ),
            durable=False,
        )  # fmt: skip

    def _is_earned(self) -> bool:
        """True when this release was proven here before, so that an end now is not its fault."""
        memory = self.memory
        return (memory.release, memory.checksum) == (memory.good_release, memory.good_checksum)

    def _known(self, release: int) -> dict[str, object]:
        good = release == self.memory.good_release
        return {
            "running": release,
            "running_checksum": self.memory.good_checksum if good else None,
        }

    # ── failing ───────────────────────────────────────────────────────────────────────────────

    def _refuse_document(
        self, document: ReleaseDocument, stage: str, reason: str, *, passing: bool = False
    ) -> None:
        self._refuse(
            document.release, document.checksum, stage=stage, reason=reason, passing=passing
        )

    def _refuse(
        self, release: int, checksum: str, *, stage: str, reason: str, passing: bool = False
    ) -> None:
        """The release is not taken; whatever runs and whatever the files show stays as it was."""
        memory, now = self.memory, moments.stamp()
        kept = memory.but(
            stage="failed", release=release, checksum=checksum, fail_stage=stage, reason=reason,
            passing=passing, failed_at=now, applied_at=None, confirmed_at=None, generation="",
            delivered_at=now if checksum else None,  # what could not be read was not delivered
        )  # fmt: skip
        if (memory.release, memory.checksum, memory.reason) == (release, checksum, reason):
            kept = kept.but(
                failed_at=memory.failed_at, delivered_at=memory.delivered_at
            )  # the same as before, said once
        else:
            log.warning(
                "release.refused", instance=self._id, release=release, stage=stage, reason=reason
            )
        self._keep(kept)
        self._tell()

    def _fail(self, stage: str, reason: str, wishes: Wishes, *, passing: bool = False) -> None:
        """The release was swapped in and did not hold: go back to the last good one."""
        log.warning(
            "release.failed",
            instance=self._id,
            release=self.memory.release,
            stage=stage,
            reason=reason,
        )
        self._keep(
            self.memory.but(stage="reverting", fail_stage=stage, reason=reason, passing=passing,
                            failed_at=moments.stamp())
        )  # fmt: skip
        self._revert(wishes)

    def _revert(self, wishes: Wishes) -> None:
        try:
            with self._around.directory() as directory:
                good = directory.good()
                if good is not None and good != self.memory.generation:
                    directory.swap(good)
                    self._tell_again(good, wishes)
                    directory.settle()
        except (CannotReach, CannotWrite) as error:
            # Stays reverting, so that the next look tries again: when the container is back, say.
            log.warning("directory.away", instance=self._id, reason=str(error))
        else:
            self._keep(self.memory.but(stage="failed"))
        self._tell()

    def _tell_again(self, good: str, wishes: Wishes) -> None:
        """Have a living process read the last good files; a dead one's successor begins with them."""
        try:
            handle = self._ready(wishes)
            if handle is None:
                return
            with handle:
                reload.send(handle, wishes.reload)
        except (reload.Vetoed, NotAllowed, Gone) as error:
            log.warning("reload.not_possible", instance=self._id, reason=str(error))
            return
        self._keep(self.memory.but(process=handle.process, **self._known(release_of(good))))
        log.info("release.reverted", instance=self._id, release=release_of(good))
