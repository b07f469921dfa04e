"""Read drafts and releases."""

from dataclasses import dataclass
from datetime import datetime

from confhub.access.policies import NotFound, Verb, require
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.releases.diff import same
from confhub.releases.entries import Entries, changed
from confhub.releases.models import Draft, DraftChange, Release
from watchers.wire.canonical import Json


@dataclass(frozen=True)
class DraftedKey:
    """One key that the draft changes."""

    key: str
    removed: bool
    value: Json  # None where removed
    version: int  # the draft's version that wrote it
    author: str
    changed_at: datetime
    overlaps: bool  # a release since the draft's base changed this key as well


@dataclass(frozen=True)
class DraftView:
    """A scope's draft as one sees it: what it changes, against what, and its version (its ETag)."""

    base: int  # the release it was begun on
    head: int  # the newest release
    version: int  # 0 before the first edit
    changes: list[DraftedKey]
    updated_at: datetime | None
    updated_by: str

    @property
    def overlapping(self) -> list[str]:
        """Keys that somebody published since the draft's base; deciding about them comes first."""
        return [change.key for change in self.changes if change.overlaps]

    @property
    def set(self) -> dict[str, Json]:
        return {change.key: change.value for change in self.changes if not change.removed}

    @property
    def unset(self) -> list[str]:
        return [change.key for change in self.changes if change.removed]


def head_of(scope: Scope) -> Release | None:
    """The newest release, which is the current one."""
    return Release.objects.filter(scope=scope).order_by("-number").first()


def entries_of(scope: Scope) -> Entries:
    """The entries of the newest release; {} before the first."""
    head = head_of(scope)
    return head.entries if head is not None else {}


def release_for(who: Actor, verb: Verb, scope: Scope, number: int) -> Release:
    """Release `number` of `scope`. Raises NotFound, NotAllowed."""
    require(who, verb, scope)
    # Beyond what the column holds there is nothing, and PostgreSQL would refuse to look.
    in_range = 0 < number < 2**31
    release = Release.objects.filter(scope=scope, number=number).first() if in_range else None
    if release is None:
        head = Release.objects.filter(scope=scope).order_by("-number").first()
        there = f"They go from r1 to r{head.number}." if head else "Nothing was published yet."
        raise NotFound(
            f"{scope} has no release {number}. {there}", fields={"release": "No such release."}
        )
    release.scope = scope
    return release


def releases_of(scope: Scope, *, before: int | None = None, limit: int = 50) -> list[Release]:
    """The newest first, below number `before` where given."""
    releases = Release.objects.filter(scope=scope).order_by("-number")
    if before is not None:
        releases = releases.filter(number__lt=before)
    return list(releases[:limit])


def draft_of(scope: Scope) -> DraftView:
    """The draft, without keys that were put back. One that nobody began yet is an empty one."""
    head = head_of(scope)
    draft = Draft.objects.filter(scope=scope).first()
    number = head.number if head else 0
    if draft is None:
        return DraftView(number, number, 0, [], None, "")
    return view_of(draft, head)


def view_of(draft: Draft, head: Release | None) -> DraftView:
    """The same for a row that is at hand."""
    number = head.number if head else 0
    entries = head.entries if head else {}
    rows = [
        row for row in DraftChange.objects.filter(draft=draft).order_by("key") if is_change(row)
    ]
    base_entries = (
        _entries_at(draft.scope_id, draft.base) if rows and draft.base != number else entries
    )
    changes = [
        DraftedKey(
            key=row.key,
            removed=row.removed,
            value=row.entry.get("value"),
            version=row.version,
            author=row.author,
            changed_at=row.changed_at,
            overlaps=not _same(base_entries.get(row.key), entries.get(row.key)),
        )
        for row in rows
        if not _is_idle(row, entries)
    ]
    return DraftView(draft.base, number, draft.version, changes, draft.updated_at, draft.updated_by)


def resolved_draft(scope: Scope) -> Entries:
    """What would be published now: the newest release with the draft's changes."""
    draft = draft_of(scope)
    return changed(entries_of(scope), set_=draft.set, unset=draft.unset)


def is_change(row: DraftChange) -> bool:
    return row.removed or bool(row.entry)


def _is_idle(row: DraftChange, entries: Entries) -> bool:
    """True when the row says what the release says already, as after somebody published the same."""
    if row.removed:
        return row.key not in entries
    return row.key in entries and same(row.entry, entries[row.key])


def _same(one: dict[str, object] | None, other: dict[str, object] | None) -> bool:
    if one is None or other is None:
        return one is other
    return same(one, other)


def _entries_at(scope_id: int, number: int) -> Entries:
    release = Release.objects.filter(scope_id=scope_id, number=number).first()
    return release.entries if release is not None else {}
