"""Take back what one did in a draft, and do it again.

Everybody has a stack of their own: undo takes back the newest act of theirs that is not undone, all
of its keys together, and only while nobody else (or they themselves, elsewhere) changed those keys
since. A discard is such an act, so it can be undone whole. A publish of the draft ends every stack:
what it took is in the release.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Max, Q

from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases.actions import lock
from confhub.releases.diff import same
from confhub.releases.draft_rows import MARK, OpenDraft, State, open_draft
from confhub.releases.entries import masked_entry
from confhub.releases.models import Draft, DraftChange, DraftEdit
from confhub.releases.places import Place, owner
from confhub.releases.queries import DraftView, head_of

KEYS_SHOWN = 100  # of one act in the list of edits


class NothingToUndo(ConfHubError):
    """This person did nothing in the draft that could be taken back, or done again."""

    code: ClassVar[str] = "draft.nothing_to_undo"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Stacks:
    """Versions of one person's acts: what undo and redo take next stands last."""

    undoable: list[int]
    redoable: list[int]


@dataclass(frozen=True)
class KeyEdit:
    """One key of an act, before and after; entries are masked, {} as published."""

    key: str
    before: State
    after: State


@dataclass(frozen=True)
class Edit:
    """One act on the draft. `release` where it published the draft."""

    version: int
    act: str
    author: str
    at: datetime
    undone: bool
    keys: list[KeyEdit]  # of many the first KEYS_SHOWN, by name
    count: int  # how many they are
    release: int | None = None


@transaction.atomic
def undo(
    place: Place, *, keep: Collection[str] = (), expected: int | None = None, who: Actor,
    now: datetime,
) -> DraftView:  # fmt: skip
    """Take back the newest act of `who` that is not undone. Keys in `keep` stay as they are now.

    `expected` is the draft version that the caller saw. Raises DraftIsStale with both sides of every
    key that has changed since the act (then nothing is changed), NothingToUndo, BadEntries.
    """
    return _turn(place, "undo", keep=keep, expected=expected, who=who, now=now)


@transaction.atomic
def redo(
    place: Place, *, keep: Collection[str] = (), expected: int | None = None, who: Actor,
    now: datetime,
) -> DraftView:  # fmt: skip
    """Do again what `who` undid last, unless they did something else since. Raises as `undo`."""
    return _turn(place, "redo", keep=keep, expected=expected, who=who, now=now)


def stacks_of(place: Place, who: Actor) -> Stacks:
    """What `who` can undo and redo now."""
    draft = Draft.objects.filter(**owner(place)).first()
    return Stacks([], []) if draft is None else _stacks(draft, who)


def edits_of(place: Place, *, before: int | None = None, limit: int = 50) -> list[Edit]:
    """The newest acts on the draft, newest first; below version `before` where given."""
    rows = DraftEdit.objects.filter(
        **{f"draft__{name}": held for name, held in owner(place).items()}
    )
    if before is not None:
        rows = rows.filter(version__lt=before)
    newest = rows.values("version").annotate(last=Max("id")).order_by("-last")
    versions = list(newest.values_list("version", flat=True)[:limit])
    found = rows.filter(version__in=versions).order_by("-version", "key")
    return [_edit(list(group)) for _, group in groupby(found, key=lambda row: row.version)]


def stacks(acts: Iterable[tuple[int, str]]) -> Stacks:
    """What can be undone and redone after (version, act) of one person, and everybody's publishes,
    in their order. Pure."""
    undoable: list[int] = []
    redoable: list[int] = []
    for version, act in acts:
        if act == "publish":
            undoable, redoable = [], []
        elif act == "undo":
            redoable += [undoable.pop()] if undoable else []
        elif act == "redo":
            undoable += [redoable.pop()] if redoable else []
        else:
            undoable.append(version)
            redoable = []
    return Stacks(undoable, redoable)


def _turn(
    place: Place, act: Any, *, keep: Collection[str], expected: int | None, who: Actor, now: datetime
) -> DraftView:  # fmt: skip
    """Undo or redo: the two differ in the side that is put, and in the side that must be there."""
    place = lock(place)
    is_undo = act == "undo"
    edits = _next(place, who, is_undo=is_undo)
    keys = {edit.key for edit in edits if edit.key not in keep}
    held = open_draft(place, head_of(place), keys=keys, who=who, now=now)
    wanted = {e.key: e.before if is_undo else e.after for e in edits if e.key in keys}
    there = {e.key: e.after if is_undo else e.before for e in edits if e.key in keys}
    held.refuse_moved(keys, expected=expected, yours=_entries(held, wanted))
    _refuse_changed(held, there, wanted, expected)
    for key, state in wanted.items():
        # Removed there, but a release removed it as well: then nothing is left to remove.
        held.put(key, state["entry"], removed=state["removed"] and key in held.own)
    held.check_sum()
    view = held.finish(act)
    DraftEdit.objects.filter(draft=held.draft, version=edits[0].version).update(undone=is_undo)
    return view


def _next(place: Place, who: Actor, *, is_undo: bool) -> list[DraftEdit]:
    """The rows of the act that is next. Raises NothingToUndo."""
    draft = Draft.objects.filter(**owner(place)).first()
    found = _stacks(draft, who) if draft is not None else Stacks([], [])
    stack = found.undoable if is_undo else found.redoable
    if draft is None or not stack:
        said = (
            f"You changed nothing in the draft of {place} that could be undone. What was published "
            "is taken back by a rollback."
            if is_undo
            else f"You undid nothing in the draft of {place} that could be done again."
        )
        raise NothingToUndo(said)
    return list(DraftEdit.objects.filter(draft=draft, version=stack[-1]).order_by("key"))


def _stacks(draft: Draft, who: Actor) -> Stacks:
    rows = DraftEdit.objects.filter(Q(author=who.name) | Q(act="publish"), draft=draft)
    return stacks(rows.order_by("version").values_list("version", "act").distinct())


def _refuse_changed(
    held: OpenDraft, there: dict[str, State], wanted: dict[str, State], expected: int | None
) -> None:
    """Raise DraftIsStale unless each key is as the act left it, and by the same hand."""
    rows = {key: held.rows.get(key) for key in sorted(there)}
    conflicts = {
        key: held.conflict(row, _entry(held, key, wanted[key]))
        for key, row in rows.items()
        if row is not None and not (row.author == held.who.name and _is_as(row, there[key]))
    }
    held.refuse(conflicts, expected)


def _is_as(row: DraftChange, state: State) -> bool:
    entry = state["entry"]
    if not row.entry or not entry:
        return row.removed == state["removed"] and not row.entry and not entry
    return same(row.entry, entry)


def _entries(held: OpenDraft, states: dict[str, State]) -> dict[str, Any]:
    return {key: _entry(held, key, state) for key, state in states.items()}


def _entry(held: OpenDraft, key: str, state: State) -> Any:
    """What the key would be: its entry, {} for not there."""
    if state["removed"]:
        return {}
    return state["entry"] or held.own.get(key, {})


def _edit(rows: Sequence[DraftEdit]) -> Edit:
    first, keyed = rows[0], [row for row in rows if row.key != MARK]
    return Edit(
        version=first.version,
        act=first.act,
        author=first.author,
        at=first.at,
        undone=any(row.undone for row in rows),
        keys=[KeyEdit(row.key, *_shown(row.before, row.after)) for row in keyed[:KEYS_SHOWN]],
        count=len(keyed),
        release=next((row.after.get("release") for row in rows if row.key == MARK), None),
    )


def _shown(before: State, after: State) -> tuple[State, State]:
    """Both masked; beside a secret a plain value is hidden too, because it may be the same one."""
    is_secret = any(state["entry"].get("secret") for state in (before, after))
    return _masked(before, is_secret=is_secret), _masked(after, is_secret=is_secret)


def _masked(state: State, *, is_secret: bool) -> State:
    entry = state["entry"]
    if not entry:
        return state
    hidden = is_secret and not entry.get("secret")
    return {**state, "entry": {"secret": True} if hidden else masked_entry(entry)}
