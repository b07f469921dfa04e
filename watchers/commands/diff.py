"""`confhub agent diff`: the steps of a release up to the swap, and what they found."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.commands.common import DONE, REFUSED, Output
from watchers.commands.looking import Look, look, named, refuse_unknown
from watchers.commands.still import Still
from watchers.etcd import Etcd
from watchers.follow.scopes import Unusable, Wanted
from watchers.inside import CannotRun
from watchers.instance.applying import Applying
from watchers.instance.memory import Memory, ReadOnlyJournal
from watchers.instance.telling import CannotTell
from watchers.labels import Wishes
from watchers.options import Options
from watchers.processes import Gone
from watchers.redact import REDACTOR
from watchers.render.errors import CannotRender
from watchers.render.release import render
from watchers.runtimes.base import CannotReach, Workload
from watchers.swap.disk import CannotWrite, Directory, release_of
from watchers.wire.documents import ReleaseDocument

MASK, CHANGED = "(secret)", "(secret, another one)"
CONTEXT = 2  # lines around a difference
WORDS = {"nothing": "nothing to do", "swap": "would be taken", "refused": "would be refused"}


@dataclass
class Found:
    """What would happen to one instance."""

    instance: str
    container: str
    release: int | None = None  # that it shall run
    shown: int | None = None  # that its files show now
    outcome: str = "nothing"  # nothing, swap, refused
    files: dict[str, str] = field(default_factory=dict)  # {name: a unified diff, or a word}
    check: str = ""  # "passed", "none", or why it did not pass
    action: str = ""
    problems: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        self.outcome = "refused"
        self.problems.append(REDACTOR.text(reason))


def show(told: Options, etcd: Etcd, container: str | None, output: Output) -> int:
    """The exit code, once what was found is shown."""
    held = look(told, etcd)
    chosen = held.workloads
    if container is not None:
        chosen = [named(held, container) or refuse_unknown(held, container)]
    found = [_dry(held, workload) for workload in chosen]
    held.close()
    output.show(
        {"containers": [asdict(one) for one in found]},
        lambda: "\n\n".join(map(_words, found)) or "No container of this engine is labelled.",
    )
    return REFUSED if any(one.outcome == "refused" for one in found) else DONE


def _dry(held: Look, workload: Workload) -> Found:
    found = Found(workload.id, str(workload.container.get("name") or ""))
    view = held.view(workload)
    if isinstance(view, str):
        found.refuse(view)
        return found
    found.release = view.target(workload.id)
    wanted = view.wanted(workload.id)
    if workload.wishes is None:
        found.outcome, found.problems = "refused", list(workload.problems)
    elif isinstance(wanted, Unusable):
        found.refuse(wanted.reason)
    elif wanted is None:
        found.action = view.unreadable or "Nothing is published for it."
    else:
        DryRun(held, workload, found).look(wanted, workload.wishes)
    return found


class _Looked(Exception):
    """Everything was looked at that comes before the swap."""


class DryRun(Applying):
    """An instance's own steps, ended right before the swap. It shares them, so it cannot differ."""

    def __init__(self, held: Look, workload: Workload, found: Found) -> None:
        self._still = Still(held.runtime, workload, held.told.secrets)
        self._found, self._host = found, held
        super().__init__(
            workload.id, ReadOnlyJournal(held.told.state_dir), self._still, lambda: None
        )

    def look(self, wanted: Wanted, wishes: Wishes) -> None:
        """Fill in what was found."""
        try:
            self._begin(wanted.document, wishes)
        except _Looked:
            return
        except (CannotReach, CannotWrite) as error:
            self._found.refuse(str(error))

    def _refuse(
        self, release: int, checksum: str, *, stage: str, reason: str, passing: bool = False,
        request_id: str = "",
    ) -> None:  # fmt: skip
        self._found.refuse(f"{stage}: {reason}")

    def _has_it_already(self, begun: Memory, directory: Directory) -> bool:
        self._found.shown = _release_shown(directory)
        if super()._has_it_already(begun, directory) or self._is_said_to(begun, directory):
            self._found.action = "It runs this release already."
            raise _Looked
        return False

    def _is_said_to(self, begun: Memory, directory: Directory) -> bool:
        """True when its agent, whose journal may be in another container, says that it runs this."""
        workload = self._still.workload()
        status, process = self._host.status(workload), workload.process
        if status is None or process is None or not directory.shows(begun.generation):
            return False
        said = (status.pid, status.running, status.checksum)
        return said == (process.pid, begun.release, begun.checksum)

    def _deliver(
        self,
        directory: Directory,
        begun: Memory,
        document: ReleaseDocument,
        wishes: Wishes,
        files: Mapping[str, bytes],
    ) -> None:
        found, attempt = self._found, self._attempt(begun.generation, files, wishes)
        try:
            found.files = self._differences(directory, document, wishes, files)
            found.outcome = "swap"
            found.action = self._action(attempt, wishes)
            found.check = REDACTOR.text(
                self._outcome_of_check(directory, attempt, document, wishes)
            )
        finally:
            if begun.generation not in self._still.before:
                directory.discard(begun.generation)
        raise _Looked

    def _action(self, attempt: Attempt, wishes: Wishes) -> str:
        if wishes.waits_for_restart:
            return "It reads its environment only, so it waits for a restart."
        try:
            rung, armed = self._arm(attempt, wishes)
        except Gone:
            return "It does not run, so nothing is told; it begins with the new files."
        except CannotTell as error:
            self._found.refuse(f"reload: {error}")
            return "Nothing could be told."
        with armed:
            pid = attempt.process.pid if attempt.process else 0
            later = " ; ".join(str(way) for way in wishes.ladder[rung + 1 :])
            more = f"; should that fail: {later}" if later else ""
            return f"{wishes.ladder[rung]} to process {pid}{more}"

    def _outcome_of_check(
        self, directory: Directory, attempt: Attempt, document: ReleaseDocument, wishes: Wishes
    ) -> str:
        if wishes.check is None and not wishes.needs_check:
            return "none"
        if attempt.process is None:
            return "not asked, because nothing runs"
        try:
            self._check(directory, attempt, document, wishes)
        except (CheckFailed, CannotRun) as error:
            self._found.refuse(f"check: {error}")
            return REDACTOR.text(str(error))
        return "passed"

    # ── what would differ ─────────────────────────────────────────────────────────────────────

    def _differences(
        self,
        directory: Directory,
        document: ReleaseDocument,
        wishes: Wishes,
        files: Mapping[str, bytes],
    ) -> dict[str, str]:
        """{name: how the file would differ} of those that would, with secrets masked."""
        shown = directory.current()
        before = directory.read(shown) or {} if shown else {}
        names = [name for name in sorted({*before, *files}) if before.get(name) != files.get(name)]
        old_document = self._opened(release_of(shown)) if shown else None
        if not document.secret_keys and (old_document is None or not old_document.secret_keys):
            return {name: _diff(name, before.get(name), files.get(name)) for name in names}
        new = self._masked(document, old_document, wishes)
        old = self._masked(old_document, old_document, wishes) if old_document else {}
        if new is None or old is None or (before and not old):
            return dict.fromkeys(names, "differs; not shown, because it may hold secrets")
        return {name: _diff(name, old.get(name), new.get(name)) for name in names}

    def _opened(self, release: int) -> ReleaseDocument | None:
        """An earlier release with its secrets, to be compared with; None where it is not there."""
        document = self._host.document(self._still.workload(), release)
        try:
            return self._still.secrets().opened(document, self._id) if document else None
        except CannotRender:
            return None

    def _masked(
        self, document: ReleaseDocument, against: ReleaseDocument | None, wishes: Wishes
    ) -> dict[str, bytes] | None:
        """The files as they would be with other words for secrets; None where that fails."""
        entries = dict(document.entries)
        for key in document.secret_keys:
            other = against.entries.get(key) if against is not None else None
            entries[key] = {"value": MASK if other in (None, entries[key]) else CHANGED}
        masked = replace(document, entries=entries)
        try:
            return render(masked, wishes.files, read=self._still.inside().read)
        except CannotRender:
            return None


def _release_shown(directory: Directory) -> int | None:
    shown = directory.current()
    return release_of(shown) if shown else None


def _diff(name: str, old: bytes | None, new: bytes | None) -> str:
    """A unified diff of two texts, or a word where one of them is none."""
    try:
        before, after = (raw.decode() if raw else "" for raw in (old, new))
    except UnicodeDecodeError:
        return f"differs: {len(old or b'')} bytes, then {len(new or b'')}"
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "now" if old is not None else "/dev/null",
        name if new is not None else "/dev/null", n=CONTEXT, lineterm="",
    )  # fmt: skip
    return "\n".join(lines)


def _words(found: Found) -> str:
    """One container as a person reads it."""
    head = f"{found.container or found.instance} ({found.instance}): "
    moves = f"release {found.shown or '-'} → {found.release or '-'}, {WORDS[found.outcome]}"
    lines = [head + moves, *(f"  problem: {problem}" for problem in found.problems)]
    if found.check:
        lines.append(f"  check: {found.check}")
    if found.action:
        lines.append(f"  action: {found.action}")
    for name, text in found.files.items():
        lines += [f"  {name}:", *(f"    {line}" for line in text.splitlines())]
    return "\n".join(lines)
