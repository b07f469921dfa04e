"""A draft's rows under the lock of its place: opened, compared, written, and remembered as edits.

What every act on a draft (`actions.py`, `renaming.py`, `undo.py`) is made of:

    held = open_draft(place, head_of(place), keys={"POOL"}, who=who, now=now)
    held.refuse_moved({"POOL"}, expected=7)                     raises DraftIsStale
    held.put("POOL", {"value": 20})
    view = held.finish("edit")                                  rows, edits and the event of it
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

from django.conf import settings
from django.db.models import Q

from confhub.core import rehearsal
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.events.actions import Happened
from confhub.releases.diff import Change, diff, same
from confhub.releases.entries import Entries, answered, changed, check_whole
from confhub.releases.models import Draft, DraftChange, DraftEdit
from confhub.releases.places import Frozen, Place, of_draft, owner
from confhub.releases.queries import DraftView, is_change, view_of

Entry: TypeAlias = Mapping[str, Any]
State: TypeAlias = dict[str, Any]  # {"removed": false, "entry": {"value": 20}}, as in DraftChange
Act = Literal["edit", "restore", "rename", "rebase", "discard", "undo", "redo", "publish"]

AS_PUBLISHED: State = {"removed": False, "entry": {}}
MAX_EDITS = 500  # of one draft; what was done in one act is kept or forgotten as a whole
PRUNE_EVERY = 25  # versions, because most acts are one key and one query more would slow each
MARK = ""  # no key's name: an act that changed no key by itself, which undo still has to know


class DraftIsStale(ConfHubError):
    """Somebody else changed the same key, or published it, since the caller looked."""

    code: ClassVar[str] = "draft.stale"
    status: ClassVar[int] = 412


@dataclass
class OpenDraft:
    """One act on the draft of a place: `rows` of all it changes and of the keys asked for."""

    place: Place
    head: Frozen | None
    draft: Draft
    rows: dict[str, DraftChange]
    who: Actor
    now: datetime
    version: int  # the one that this act makes
    before: dict[str, State] = field(default_factory=dict)  # of the keys that were put

    @property
    def own(self) -> Entries:
        """The place's own entries in its newest release."""
        return self.head.own_entries if self.head is not None else {}

    @property
    def entries(self) -> Entries:
        """The place's own entries as the draft has them. Sealed, not masked."""
        return changed(
            self.own,
            set_={key: row.entry for key, row in self.rows.items() if row.entry},
            unset=[key for key, row in self.rows.items() if row.removed],
        )

    @property
    def changed_keys(self) -> list[str]:
        """The keys that the draft changes now."""
        return [key for key, row in self.rows.items() if is_change(row)]

    def put(self, key: str, entry: Entry, *, removed: bool = False) -> None:
        """Let the draft set `key` to `entry`, remove it, or (neither) have it as published."""
        row = self.rows.get(key) or DraftChange(draft=self.draft, key=key)
        self.before.setdefault(key, state_of(row))
        row.entry, row.removed = dict(entry), removed
        row.version, row.author, row.changed_at = self.version, self.who.name, self.now
        self.rows[key] = row

    def put_back(self, key: str) -> None:
        self.put(key, {})

    def check_sum(self) -> None:
        """Raise BadEntries where the draft could never be published, while its author still looks."""
        check_whole(self.entries, max_bytes=settings.CONFHUB_MAX_RELEASE_BYTES)

    def finish(self, act: Act, *, told: Collection[str] | None = None) -> DraftView:
        """Write what was put, remember it as edits, and tell the pages (of `told`, where given)."""
        self.write(act)
        if rehearsal.is_rehearsal():
            rehearsal.note("draft", str(self.place), changes=self.difference())
        events.record_all([self.happened(self.before if told is None else told)], now=self.now)
        return view_of(self.draft, self.head, self.rows.values())

    def write(self, act: Act, *, mark: State | None = None) -> None:
        """The rows and their edits; with `mark` also an edit of no key."""
        _save([self.rows[key] for key in self.before])
        self._remember(act, mark)
        self.draft.version = self.version
        self.draft.updated_at, self.draft.updated_by = self.now, self.who.name
        self.draft.save(update_fields=["base", "version", "updated_at", "updated_by"])

    def difference(self) -> list[Change]:
        """What this act makes of the draft's own entries, key by key, secrets masked."""
        states = [
            (key, state, state_of(self.rows[key])) for key, state in sorted(self.before.items())
        ]
        old = {key: entry for key, before, _ in states if (entry := self._meant(key, before))}
        new = {key: entry for key, _, after in states if (entry := self._meant(key, after))}
        return diff(old, new)

    def _meant(self, key: str, state: State) -> Entry:
        """The key's entry under a state of its row; {} where it is not there."""
        if state["removed"]:
            return {}
        return state["entry"] or self.own.get(key, {})

    def happened(self, keys: Collection[str]) -> Happened:
        """The event that these keys moved; of many the first hundred are named."""
        data = {"version": self.version, "keys": sorted(keys)[:100], "by": self.who.name}
        return "draft.changed", self.place.stream, data

    def refuse_moved(
        self, keys: Collection[str], *, expected: int | None, yours: Mapping[str, Entry] | None = None
    ) -> None:  # fmt: skip
        """Raise DraftIsStale, with both sides, where one of `keys` was touched after version
        `expected`, unless it became what `yours` wants. None compares nothing."""
        if expected is None:
            return
        if expected > self.draft.version:
            raise DraftIsStale(
                f"The draft of {self.place} is at version {self.draft.version}, and you saw version "
                f"{expected}: the database was set back meanwhile. Nothing was saved. Read the "
                "draft again.",
                extra={"version": self.draft.version, "expected": expected},
            )
        conflicts = {}
        for key in sorted(keys):
            row, mine = self.rows.get(key), (yours or {}).get(key, {})
            if row is None or row.version <= expected:
                continue
            theirs = self.now_at(key)
            if not (mine and theirs and same(mine, theirs)):  # else both want the same
                conflicts[key] = self.conflict(row, mine)
        self.refuse(conflicts, expected)

    def refuse(self, conflicts: Mapping[str, dict[str, Any]], expected: int | None) -> None:
        """Raise DraftIsStale of these, if there are any."""
        if not conflicts:
            return
        first = next(iter(conflicts))
        saw = "" if expected is None else f"you saw version {expected}, "
        raise DraftIsStale(
            f"{conflicts[first]['by']} changed {first} in the draft of {self.place} after you looked "
            f"({saw}it is {self.draft.version}). Nothing was saved. Look at both values and send "
            "yours again with the new version.",
            fields={key: f"Changed by {held['by']} meanwhile." for key, held in conflicts.items()},
            extra={
                "conflicts": dict(conflicts),
                "version": self.draft.version,
                "expected": expected,
            },
        )

    def now_at(self, key: str) -> Entry:
        """The key's entry as the draft has it now; {} where it is not there."""
        row = self.rows.get(key)
        entry: Entry = self.own.get(key, {}) if row is None or not is_change(row) else row.entry
        return entry

    def conflict(self, row: DraftChange, mine: Entry) -> dict[str, Any]:
        """Both sides of one key, as REST answers them."""
        theirs = self.now_at(row.key)
        return {
            "yours": answered(mine) if mine else None,
            "theirs": answered(theirs) if theirs else None,
            "removed": not theirs,
            "by": row.author,
            "at": row.changed_at.isoformat(),
        }

    def _remember(self, act: Act, mark: State | None) -> None:
        moved = [
            (key, before, state_of(self.rows[key]))
            for key, before in self.before.items()
            if before != state_of(self.rows[key])
        ]
        if mark is not None or (not moved and act in ("undo", "redo")):
            moved.append((MARK, AS_PUBLISHED, mark or AS_PUBLISHED))
        DraftEdit.objects.bulk_create(
            [
                DraftEdit(
                    draft=self.draft, version=self.version, act=act, key=key, before=before,
                    after=after, author=self.who.name, at=self.now,
                )
                for key, before, after in moved
            ],
            batch_size=100,
        )  # fmt: skip
        if len(moved) > PRUNE_EVERY or self.version % PRUNE_EVERY == 0:
            _prune(self.draft)


def open_draft(
    place: Place, head: Frozen | None, *, keys: Collection[str], who: Actor, now: datetime
) -> OpenDraft:
    """The draft with the rows of all it changes and of `keys`; not of every key ever touched.

    The caller holds the place's lock.
    """
    wanted = Q(key__in=keys) | Q(removed=True) | ~Q(entry={})
    found = DraftChange.objects.filter(wanted, of_draft(place)).select_related("draft")
    rows = {row.key: row for row in found}
    if rows:
        draft = next(iter(rows.values())).draft
    else:
        draft, _ = Draft.objects.get_or_create(
            **owner(place),
            defaults={"base": place.head, "version": 0, "updated_at": now, "updated_by": who.name},
        )
    if not any(is_change(row) for row in rows.values()):
        draft.base = place.head  # an empty draft stands on the newest release by itself
    return OpenDraft(place, head, draft, rows, who, now, draft.version + 1)


def state_of(row: DraftChange) -> State:
    return {"removed": row.removed, "entry": row.entry}


def empty_draft(held: OpenDraft) -> None:
    """Everything in it was published. The rows keep their versions: who saw a key as it was
    published saw its newest value."""
    DraftChange.objects.filter(draft=held.draft).update(removed=False, entry={})
    held.draft.base = held.place.head


def _save(rows: Iterable[DraftChange]) -> None:
    DraftChange.objects.bulk_create(
        # Without their ids, so that one statement inserts what is new and updates the rest.
        [
            DraftChange(
                draft_id=row.draft_id,
                key=row.key,
                removed=row.removed,
                entry=row.entry,
                version=row.version,
                author=row.author,
                changed_at=row.changed_at,
            )
            for row in rows
        ],
        batch_size=100,
        update_conflicts=True,
        unique_fields=["draft", "key"],
        update_fields=["removed", "entry", "version", "author", "changed_at"],
    )


def _prune(draft: Draft) -> None:
    """Forget whole acts, the oldest first, once MAX_EDITS newer edits are known."""
    rows = DraftEdit.objects.filter(draft=draft)
    oldest_kept = rows.order_by("-id").values_list("version", flat=True)[MAX_EDITS - 1 : MAX_EDITS]
    for version in oldest_kept:
        rows.filter(version__lt=version).delete()
