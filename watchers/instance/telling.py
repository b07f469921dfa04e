"""Telling a workload, rung by rung of its ladder, and taking a release back that did not hold."""

import json
from collections.abc import Mapping

import structlog

from watchers import moments
from watchers.attempt import Attempt
from watchers.inside import CannotRun
from watchers.instance.keeping import Keeping
from watchers.labels import Wishes
from watchers.processes import Gone, NotAllowed
from watchers.redact import REDACTOR
from watchers.reload.base import Armed, NotTaken, Vetoed
from watchers.runtimes.base import CannotReach
from watchers.swap.disk import CannotWrite, Directory, release_of
from watchers.wire.canonical import Json

log = structlog.get_logger("watchers.instance")


class CannotTell(Exception):
    """No rung of the ladder may be used. `passing`: this machine's rights are in the way of one."""

    def __init__(self, text: str, *, passing: bool) -> None:
        super().__init__(text)
        self.passing = passing


class Telling(Keeping):
    """The steps that speak to the workload."""

    def _attempt(
        self, generation: str, files: Mapping[str, bytes], wishes: Wishes, **more: object
    ) -> Attempt:
        """The generation on its way to whatever runs now, with what the memory knows of it."""
        workload, memory = self._around.workload(), self.memory
        is_there = workload.process is not None and workload.state == "running"
        attempt = Attempt(
            release=release_of(generation), directory=wishes.directory, generation=generation,
            files=files, values=self._values or values_in(files),
            changed=frozenset(memory.changed), inside=self._around.inside(),
            process=workload.process if is_there else None,
            checksum=memory.checksum, told_at_ns=memory.told_at_ns, noted=memory.noted,
        )  # fmt: skip
        return attempt.but(**more)

    def _arm(
        self, attempt: Attempt, wishes: Wishes, *, first: int = 0, patience_s: float = 0.0
    ) -> tuple[int, Armed]:
        """(which rung, armed): the first one from `first` on that may be used.

        Raises Gone when nothing runs (any more), CannotTell.
        """
        objections: list[str] = []
        passing = False
        for rung, way in enumerate(wishes.ladder[first:], first):
            try:
                return rung, way.arm(attempt, patience_s=patience_s)
            except (Vetoed, NotAllowed, CannotRun) as objection:
                passing |= not isinstance(objection, Vetoed)
                objections.append(str(objection))
        raise CannotTell(" ".join(objections) or "The ladder has no further rung.", passing=passing)

    def _send(self, rung: int, armed: Armed, attempt: Attempt, wishes: Wishes) -> None:
        """Tell the workload, and remember at once that it was told; climb while a rung fails.

        Where it has ended, or the rung restarts it, the release stays pending: its successor begins
        with the new files. Raises NotTaken when the last rung failed.
        """
        told_at_ns = moments.boot_ns()
        try:
            armed.send()
        except Gone:
            return
        except (NotTaken, NotAllowed, CannotRun) as error:
            failed = error
        else:
            if not wishes.ladder[rung].restarts and attempt.process is not None:
                self.memory = self.memory.but(rung=rung)
                self._runs(attempt.process, told_at_ns=told_at_ns)
            return
        log.warning("reload.failed", instance=self._id, way=str(wishes.ladder[rung]),
                    reason=str(failed))  # fmt: skip
        if rung + 1 == len(wishes.ladder):
            raise NotTaken(str(failed)) from failed
        try:
            self._climb(rung + 1, attempt, wishes)
        except CannotTell as error:
            raise NotTaken(f"{failed} {error}") from failed

    def _climb(self, rung: int, attempt: Attempt, wishes: Wishes) -> None:
        """Tell it by the next rung. Raises CannotTell where there is none, NotTaken."""
        try:
            next_rung, armed = self._arm(attempt, wishes, first=rung)
        except Gone:
            return
        # Noted anew: what the rung before has stirred up proves nothing for this one.
        noted = wishes.proof.note(attempt) if wishes.proof else {}
        self._keep(self.memory.but(stage="pending", rung=next_rung, noted=noted), durable=False)
        with armed:
            self._send(next_rung, armed, attempt, wishes)

    # ── taking back ───────────────────────────────────────────────────────────────────────────

    def _fail(
        self,
        stage: str,
        reason: str,
        wishes: Wishes,
        *,
        passing: bool = False,
        listen: bool = False,
    ) -> None:
        """The release was swapped in and did not hold: go back to the last good one.

        `listen`: add what the workload wrote itself, once it is safe: asking may take its time.
        """
        reason = REDACTOR.text(reason)
        log.warning(
            "release.failed",
            instance=self._id,
            release=self.memory.release,
            stage=stage,
            reason=reason,
        )
        self._keep(
            self.memory.but(stage="reverting", fail_stage=stage, reason=reason, passing=passing,
                            failed_at=moments.stamp(), pending_restart=())
        )  # fmt: skip
        self._revert(wishes)
        if listen and (words := self._last_words()):
            self._keep(self.memory.but(reason=f"{reason}{words}"))
        self._tell()

    def _revert(self, wishes: Wishes) -> None:
        try:
            with self._around.directory() as directory:
                good = directory.good()
                if good is not None and good != self.memory.generation:
                    directory.swap(good)
                    self._tell_again(directory, good, wishes)
                    directory.settle()
        except (CannotReach, CannotWrite) as error:
            # Stays reverting, so that the next look tries again: when the container is back, say.
            log.warning("directory.away", instance=self._id, reason=str(error))
        else:
            self._keep(self.memory.but(stage="failed"))

    def _tell_again(self, directory: Directory, good: str, wishes: Wishes) -> None:
        """Have a living process read the last good files; a dead one's successor begins with them."""
        if wishes.waits_for_restart:
            return  # it keeps the environment that it began with
        files = directory.read(good) or {}
        attempt = self._attempt(good, files, wishes, values=values_in(files))
        try:
            _, armed = self._arm(attempt, wishes, first=min(self.memory.rung, len(wishes.ladder)))
            with armed:
                armed.send()
        except (CannotTell, NotTaken, NotAllowed, CannotRun, Gone) as error:
            log.warning("reload.not_possible", instance=self._id, reason=str(error))
            return
        self._keep(self.memory.but(process=attempt.process, **self._known(release_of(good))))
        log.info("release.reverted", instance=self._id, release=release_of(good))


def values_in(files: Mapping[str, bytes]) -> Mapping[str, Json]:
    """The entries as a generation's config.json has them; {} where it is not written."""
    try:
        held = json.loads(files.get("config.json", b"{}"))
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}
