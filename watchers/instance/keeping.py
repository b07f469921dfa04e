"""What every step of an instance builds on: its memory, its surroundings, and how a release fails."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import structlog

from watchers import moments
from watchers.inside import Inside
from watchers.instance.memory import Journal, Memory
from watchers.processes import ProcessId
from watchers.redact import REDACTOR
from watchers.runtimes.base import Workload
from watchers.swap.disk import Directory
from watchers.unsealing import Secrets
from watchers.wire.canonical import Json
from watchers.wire.documents import ReleaseDocument

log = structlog.get_logger("watchers.instance")
HEARD_AFTER_S = (0.05, 0.2, 0.4)  # an engine writes down what a container says a moment later
WORDS = 1500  # characters of a workload's own last words in a reason


class Surroundings(Protocol):
    """What the steps ask of whoever runs them."""

    def workload(self) -> Workload:
        """The instance as it is now."""

    def changed_from(self, process: ProcessId) -> Workload:
        """The instance once its runtime says that `process` has ended, or after a short wait."""

    def directory(self) -> Directory:
        """Its directory, open. Raises CannotReach, CannotWrite."""

    def secrets(self) -> Secrets:
        """The keys that open secret entries here."""

    def keep_proven(self, document: ReleaseDocument) -> None:
        """A release that was confirmed, for a start without etcd."""

    def inside(self) -> Inside:
        """Its files, processes and network, as its own process finds them."""

    def stopping(self) -> bool:
        """True when the agent ends, or the instance is gone."""


class Keeping:
    """An instance's memory, and how a release is refused before anything of it is swapped in."""

    def __init__(
        self,
        instance_id: str,
        journal: Journal,
        around: Surroundings,
        tell: Callable[[], None],
    ) -> None:
        self.memory: Memory = journal.load(instance_id)
        self._id, self._journal, self._around, self._tell = instance_id, journal, around, tell
        self._values: Mapping[str, Json] = {}  # of the memory's release, once its document was seen

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

    def _runs(self, process: ProcessId, *, told_at_ns: int = 0) -> None:
        """`process` has the memory's release from now on; only the proof is open.

        `told_at_ns` 0: it began with the release.
        """
        memory = self.memory
        self._keep(
            memory.but(
                stage="soaking", process=process, applied_at=moments.stamp(), confirmed_at=None,
                failed_at=None, fail_stage="", reason="", told_at_ns=told_at_ns,
                noted=memory.noted if told_at_ns else {}, pending_restart=(),
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

    def _last_words(self) -> str:
        """What the workload wrote since it was told, for a reason; "" where nobody keeps it."""
        since = moments.parse(self.memory.applied_at or self.memory.delivered_at)
        if since is None:
            return ""
        said = ""
        for wait_s in HEARD_AFTER_S:
            time.sleep(wait_s)
            said = self._around.inside().said_since(since.timestamp()).strip()
            if said:
                break
        words = REDACTOR.text(said)
        return f" It said: {words[-WORDS:]}" if words else ""

    def _on_behalf_of(self, request_id: str) -> AbstractContextManager[None]:
        """Log lines inside name the request whose release they are about."""
        if not request_id:
            return nullcontext()
        return structlog.contextvars.bound_contextvars(request_id=request_id)

    # ── refusing ──────────────────────────────────────────────────────────────────────────────

    def _refuse_document(
        self, document: ReleaseDocument, stage: str, reason: str, *, passing: bool = False
    ) -> None:
        self._refuse(
            document.release, document.checksum, stage=stage, reason=reason, passing=passing,
            request_id=document.request_id,
        )  # fmt: skip

    def _refuse(
        self, release: int, checksum: str, *, stage: str, reason: str, passing: bool = False,
        request_id: str = "",
    ) -> None:  # fmt: skip
        """The release is not taken; whatever runs and whatever the files show stays as it was."""
        memory, now, reason = self.memory, moments.stamp(), REDACTOR.text(reason)
        kept = memory.but(
            stage="failed", release=release, checksum=checksum, fail_stage=stage, reason=reason,
            passing=passing, failed_at=now, applied_at=None, confirmed_at=None, generation="",
            delivered_at=now if checksum else None,  # what could not be read was not delivered
            pending_restart=(), request_id=request_id,
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
