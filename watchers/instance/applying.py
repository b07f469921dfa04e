"""How one instance comes from one release to the next: render, write, swap, tell, soak, confirm.

The state is the memory of memory.py and what the directory shows; every step begins by comparing the
two with what is wanted, so that it does not matter where an agent was killed or what it missed.
"""

from collections.abc import Mapping
from contextlib import nullcontext

import structlog

from watchers import moments
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.follow.scopes import Unusable, Wanted
from watchers.inside import CannotRun
from watchers.instance.memory import Memory
from watchers.instance.proving import Proving
from watchers.instance.rendering import Rendering
from watchers.instance.telling import CannotTell, values_in
from watchers.labels import Wishes
from watchers.processes import Gone, ProcessId
from watchers.reload.base import NotTaken
from watchers.render.errors import CannotRender
from watchers.runtimes.base import CannotReach, Workload
from watchers.swap.disk import CannotWrite, Directory, release_of
from watchers.wire.documents import ReleaseDocument

log = structlog.get_logger("watchers.instance")
FIRST_S = 5.0  # an entrypoint that waited for its files starts its program within this


class Applying(Proving, Rendering):
    """One instance's steps. Only its own thread calls them."""

    # ── one look ──────────────────────────────────────────────────────────────────────────────

    def step(self, wanted: Wanted | Unusable | None, wishes: Wishes) -> None:
        """Bring the instance nearer to `wanted`; None says that nothing is known to be wanted."""
        if isinstance(wanted, Wanted) and wanted.document.secret_keys:
            self._learn(wanted.document)
        if self.memory.stage == "reverting":
            with self._on_behalf_of(self.memory.request_id):
                self._revert(wishes)
        if self.memory.stage == "reverting":
            return
        if isinstance(wanted, Wanted) and self._is_due(wanted.document):
            with self._on_behalf_of(wanted.document.request_id):
                self._begin(wanted.document, wishes)
            self._keep_proven(wanted)
            return
        if isinstance(wanted, Unusable) and wanted.release != self.memory.release:
            self._refuse(wanted.release, "", stage="fetch", reason=wanted.reason)
        with self._on_behalf_of(self.memory.request_id):
            self._carry_on(wanted.document if isinstance(wanted, Wanted) else None, wishes)
        if isinstance(wanted, Wanted):
            self._keep_proven(wanted)

    def _keep_proven(self, wanted: Wanted) -> None:
        """Not a rollout's: what a canary took is not yet what everybody shall begin with."""
        memory, document = self.memory, wanted.document
        is_it = (memory.release, memory.checksum) == (document.release, document.checksum)
        if memory.stage == "confirmed" and is_it and wanted.from_pointer:
            self._around.keep_proven(document)

    def has_nothing(self) -> bool:
        """True where the directory shows no generation. Raises CannotReach, CannotWrite."""
        with self._around.directory() as directory:
            return directory.good() is None and directory.current() is None

    def is_due(self, wanted: Wanted | Unusable | None) -> bool:
        """True when something is to be told, so that its neighbours have to wait for their turn."""
        if self.memory.stage in ("pending", "reverting"):
            return True
        return isinstance(wanted, Wanted) and self._is_due(wanted.document)

    def _is_due(self, document: ReleaseDocument) -> bool:
        """Another release than the newest tried, or that one where only this machine was in its way."""
        memory = self.memory
        is_new = (document.release, document.checksum) != (memory.release, memory.checksum)
        return is_new or (memory.stage == "failed" and memory.passing)

    def saw_pointer(self, release: int, epoch: str | None) -> bool:
        """Remember how far `current` has come; False when the store is older than one seen.

        A restored store leads back to releases that were left behind. ConfHub raises its pointers
        again, so nothing is undone meanwhile. A store with another epoch is another history.
        """
        memory = self.memory
        if epoch is not None and epoch != memory.epoch:
            self.memory = memory.but(pointer_seen=release, epoch=epoch)  # kept with the next step
            return True
        if release < memory.pointer_seen:
            return False
        self.memory = memory.but(pointer_seen=release)
        return True

    def fall_back(self) -> bool:
        """Show the last good generation, for a process that starts while etcd is away.

        Where none was ever proven, the one that is there is better than not starting. False when
        there is none. What was begun is forgotten, so that etcd, once it is back, decides anew;
        that a release failed is not.
        """
        with self._around.directory() as directory:
            good = directory.good() or directory.current()
            if good is None:
                return False
            if not directory.shows(good):
                directory.swap(good)
                directory.settle()
        if self.memory.stage != "failed":
            self._keep(self.memory.but(stage="new", release=0, checksum="", generation=""))
        return True

    def try_again(self) -> None:
        """Forget that the newest release failed."""
        if self.memory.stage == "failed":
            self._keep(
                self.memory.but(stage="new", release=0, checksum="", fail_stage="", reason="")
            )

    # ── a new release ─────────────────────────────────────────────────────────────────────────

    def _begin(self, document: ReleaseDocument, wishes: Wishes) -> None:
        delivered_at = moments.stamp()
        try:
            document, files = self._rendered(document, wishes)
        except CannotRender as error:
            self._refuse_document(document, "render", str(error), passing=error.passing)
            return
        begun = Memory.but(
            self.memory, stage="pending", release=document.release, checksum=document.checksum,
            delivered_at=delivered_at, applied_at=None, confirmed_at=None, failed_at=None,
            fail_stage="", reason="", passing=False, rung=0, told_at_ns=0, noted={},
            pending_restart=(), request_id=document.request_id,
        )  # fmt: skip
        self._values = document.values
        try:
            with self._around.directory() as directory:
                begun = begun.but(
                    generation=self._write(directory, document, files),
                    changed=_changed(
                        directory, document, wishes, self._around.workload().started_with
                    ),
                )
                if not self._has_it_already(begun, directory):
                    self._deliver(directory, begun, document, wishes, files)
        except CheckFailed as error:
            self._refuse_document(document, "check", str(error))
        except CannotRun as error:
            self._refuse_document(document, "check", str(error), passing=True)
        except CannotTell as error:
            self._refuse_document(document, "reload", str(error), passing=error.passing)
        except NotTaken as error:
            self._fail("reload", str(error), wishes)
        except (CannotReach, CannotWrite) as error:
            self._refuse_document(document, "swap", str(error), passing=True)
        else:
            self._tell()
            self._save(durable=True)
            log.info("release.delivered", instance=self._id, release=document.release,
                     told=self.memory.stage == "soaking")  # fmt: skip
            if self.memory.stage == "pending":
                self._carry_on(document, wishes)
            else:
                self._prove(wishes)

    def _deliver(
        self,
        directory: Directory,
        begun: Memory,
        document: ReleaseDocument,
        wishes: Wishes,
        files: Mapping[str, bytes],
    ) -> None:
        """Check the written generation, swap it in, and tell whatever runs.

        Raises CheckFailed, CannotRun, CannotTell with nothing swapped; NotTaken with it swapped;
        CannotReach, CannotWrite.
        """
        attempt = self._attempt(
            begun.generation,
            files,
            wishes,
            changed=frozenset(begun.changed),
            told_at_ns=0,
            noted={},
        )
        armed, rung = None, 0
        try:
            rung, armed = self._arm(attempt, wishes)
        except Gone:
            pass  # its successor begins with the new files
        except CannotTell as objection:
            if not _may_wait(objection, begun, directory):
                # Without any proven generation it may be a program on its way to its handlers.
                raise CannotTell(
                    str(objection), passing=objection.passing or directory.good() is None
                ) from objection
        with armed or nullcontext():
            if attempt.process is not None:
                self._check(directory, attempt, document, wishes)
            if armed is not None:
                noted = wishes.proof.note(attempt) if wishes.proof else {}
                begun = begun.but(noted=noted, rung=rung)
            # Before the swap: from here on a killed agent finds what it had begun.
            self._keep(begun, durable=False)
            before = directory.current()
            directory.swap(begun.generation)
            if attempt.process is not None:
                self._require_seen_or(before, directory, attempt, wishes)
            if wishes.waits_for_restart:
                self._await_restart()
            elif armed is not None:
                self._send(rung, armed, attempt, wishes)
        directory.settle()

    def _require_seen_or(
        self, before: str | None, directory: Directory, attempt: Attempt, wishes: Wishes
    ) -> None:
        """Swap `before` back, and raise CannotReach, unless the workload sees the new generation."""
        try:
            self._require_seen(directory, attempt.inside, wishes, attempt.files)
        except CannotReach:
            if before is None:
                directory.hide()
            else:
                directory.swap(before)
            raise

    def _check(
        self, directory: Directory, attempt: Attempt, document: ReleaseDocument, wishes: Wishes
    ) -> None:
        """Ask the workload's own validator. Raises CheckFailed, CannotRun, CannotWrite."""
        self._ask(directory, attempt, wishes)
        if wishes.check is None:
            return
        if self._write(directory, document, attempt.files) != attempt.generation:
            raise CheckFailed(
                "The files were changed while they were checked; nothing was swapped."
            )

    def _ask(self, directory: Directory, attempt: Attempt, wishes: Wishes) -> None:
        """Raises CheckFailed, CannotRun, CannotWrite; CannotReach where it was frozen meanwhile."""
        if wishes.check is None:
            if wishes.needs_check:
                raise CheckFailed(
                    f"profile:{wishes.profile} reloads nothing unchecked, because a bad file ends "
                    "its process; write confhub.check."
                )
            return
        # It may take its time, and another agent waits for the lock only some seconds.
        try:
            with directory.unlocked():
                wishes.check.run(attempt)
        except CheckFailed as error:
            workload = self._around.workload()
            if (workload.process, workload.state) != (attempt.process, "running"):
                raise CannotReach(
                    f"It was paused, stopped or begun anew while it was asked. ({error})"
                ) from error
            raise

    def _await_restart(self) -> None:
        """The process reads its environment only, so it has the release once it begins anew."""
        memory, process = self.memory, self._around.workload().process
        if process is not None and not memory.changed:
            self._runs(process)
        elif process is not None:
            self._keep(
                memory.but(stage="awaits_restart", process=process, pending_restart=memory.changed)
            )

    def _has_it_already(self, begun: Memory, directory: Directory) -> bool:
        """True when the process runs this very release, so that there is nothing to tell it."""
        workload, memory = self._around.workload(), self.memory
        process = workload.process
        if process is None or not directory.shows(begun.generation):
            return False
        told = (memory.process, memory.running, memory.running_checksum)
        same = told == (process, begun.release, begun.checksum) or _began_with(
            workload, process, directory, begun.generation
        )
        if same:
            self.memory = begun
            self._runs(process)
        return same

    # ── the release that it has already ───────────────────────────────────────────────────────

    def _carry_on(self, document: ReleaseDocument | None, wishes: Wishes) -> None:
        """Finish what was begun, or notice that the files or the process are other ones now."""
        if self.memory.stage == "new" and self._around.workload().process is None:
            return
        if self._died_unseen(wishes):
            return
        unproven = False
        try:
            with self._around.directory() as directory:
                unproven = directory.good() is None
                self._put_right(directory, document, wishes)
                self._meet(directory, wishes)
        except (CannotReach, CannotWrite) as error:
            if self.memory.stage == "pending" and document is not None:
                self._refuse_document(document, "swap", str(error), passing=True)
            log.warning("directory.away", instance=self._id, reason=str(error))
        except CheckFailed as error:
            self._fail("check", str(error), wishes)
        except CannotRun as error:
            self._fail("check", str(error), wishes, passing=True)
        except CannotTell as error:
            self._fail("reload", str(error), wishes, passing=error.passing or unproven)
        except NotTaken as error:
            self._fail("reload", str(error), wishes)
        self._prove(wishes)

    def _put_right(
        self, directory: Directory, document: ReleaseDocument | None, wishes: Wishes
    ) -> None:
        """Have the directory show the memory's generation, as it should have done all along."""
        memory = self.memory
        if memory.stage in ("new", "failed"):
            return
        generation = memory.generation
        if document is not None:
            try:
                document, files = self._rendered(document, wishes)
                generation = self._write(directory, document, files)
            except CannotRender:
                return  # the labels ask for other files now, which this release does not have
        if directory.shows(generation) or directory.read(generation) is None:
            return
        directory.swap(generation)
        directory.settle()
        if generation != memory.generation:
            self._keep(memory.but(generation=generation))
        log.info("files.put_right", instance=self._id, generation=generation)

    def _meet(self, directory: Directory, wishes: Wishes) -> None:
        """Get to know the process: is it the one that was told, one that began later, or neither?"""
        workload, memory = self._around.workload(), self.memory
        process = workload.process
        if process is None or workload.state != "running":
            return
        if process == memory.process and memory.stage != "pending":
            return  # it was told, or is known already
        shown = directory.current()
        began_with = shown is not None and _began_with(workload, process, directory, shown)
        if shown != memory.generation:
            # Nothing was tried yet, or it failed; what runs is the release before.
            if began_with and shown is not None:
                self._keep(memory.but(process=process, **self._known(release_of(shown))))
            elif shown is not None and shown == directory.good() and self._was_taken_back():
                # It began with the files that were taken back a moment later.
                self._tell_again(directory, shown, wishes)
            return
        if began_with:
            files = directory.read(memory.generation) or {}
            self._require_seen(directory, self._around.inside(), wishes, files)
            self._runs(process)
            log.info("release.began_with", instance=self._id, release=memory.release)
        elif memory.stage == "awaits_restart":
            return  # files were put right under a process that begins anew some time
        elif memory.stage != "failed":
            self._tell_late(directory, wishes)
        self._tell()

    def _was_taken_back(self) -> bool:
        """True where the newest release was swapped in before it failed."""
        return self.memory.stage == "failed" and bool(self.memory.generation)

    def _tell_late(self, directory: Directory, wishes: Wishes) -> None:
        """Tell a process whose files were swapped before it could be told."""
        if wishes.waits_for_restart:
            self._await_restart()
            return
        attempt = self._attempt(
            self.memory.generation, directory.read(self.memory.generation) or {}, wishes
        )
        patience_s = FIRST_S if directory.good() is None else 0.0
        try:
            rung, armed = self._arm(attempt, wishes, patience_s=patience_s)
        except Gone:
            return
        with armed:
            self._require_seen(directory, attempt.inside, wishes, attempt.files)
            self._ask(directory, attempt, wishes)
            noted = wishes.proof.note(attempt) if wishes.proof else {}
            self._keep(self.memory.but(noted=noted, rung=rung), durable=False)
            self._send(rung, armed, attempt, wishes)


def _changed(
    directory: Directory, document: ReleaseDocument, wishes: Wishes, began_with: str | None
) -> tuple[str, ...]:
    """Entries that differ from those of the generation that readers see; all where it has no json.

    An environment is that of the generation its process began with, whatever readers see since then.
    Only where somebody asks for them, because reading the old files takes as long as the signal.
    """
    if wishes.deliver != "env" and not wishes.profile:
        return ()
    shown = (wishes.deliver == "env" and began_with) or directory.current()
    before = values_in(directory.read(shown) or {}) if shown else {}
    return tuple(
        sorted(
            key
            for key in {*before, *document.values}
            if (key in before, before.get(key))
            != (key in document.values, document.values.get(key))
        )
    )


def _may_wait(objection: CannotTell, begun: Memory, directory: Directory) -> bool:
    """True where the process may be one that waits for its first configuration: an entrypoint that
    starts its program, with its handlers, once the files are there. Nothing is replaced then."""
    unproven = not objection.passing and directory.good() is None
    return unproven and not directory.shows(begun.generation)


def _began_with(
    workload: Workload, process: ProcessId, directory: Directory, generation: str
) -> bool:
    """True when `process` certainly began while the directory showed `generation`."""
    if workload.started_with == generation:
        return True
    swapped_at_ns = directory.swapped_at_ns(generation)
    return swapped_at_ns is not None and process.started_after(swapped_at_ns)
