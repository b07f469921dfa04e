"""Read drafts and releases."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, overload

from django.db.models import Count, Q, QuerySet

from confhub.access.policies import NotFound, Verb, require
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.releases.diff import same
from confhub.releases.entries import Entries, answered, changed, masked, masked_entry
from confhub.releases.layering import Ground, Resolved, layer_releases_of, written_of
from confhub.releases.models import Draft, DraftChange, LayerRelease, Release
from confhub.releases.places import Frozen, Place, frozen, of_draft, owner
from watchers.wire.canonical import Json


@dataclass(frozen=True)
class DraftedKey:
    """One key that the draft changes."""

    key: str
    removed: bool
    entry: dict[str, Any]  # masked; {} where removed
    version: int  # the draft's version that wrote it
    author: str
    changed_at: datetime
    overlaps: bool  # a release since the draft's base changed this key as well

    @property
    def value(self) -> Json:
        """As REST answers it; None where removed."""
        return answered(self.entry) if self.entry else None


@dataclass(frozen=True)
class DraftView:
    """A place's draft as one sees it: what it changes, against what, and its version (its ETag)."""

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


@overload
def head_of(place: Scope) -> Release | None: ...
@overload
def head_of(place: Layer) -> LayerRelease | None: ...
@overload
def head_of(place: Place) -> Frozen | None: ...
def head_of(place: Place) -> Frozen | None:
    """The newest release, which is the current one."""
    if isinstance(place, Scope):
        return Release.objects.filter(scope=place).order_by("-number").first()
    return LayerRelease.objects.filter(layer=place).order_by("-number").first()


def entries_of(place: Place) -> Entries:
    """The masked entries of the newest release, as its containers get them; {} before the first."""
    head = head_of(place)
    return head.shown if head is not None else {}


def written_entries(place: Place) -> Entries:
    """The same with `${references}` as people wrote them: what an editor shows."""
    head = head_of(place)
    if head is None:
        return {}
    return masked(written_of(head) if isinstance(head, Release) else head.entries)


def undone_by(place: Place, number: int, *, limit: int = 20) -> list[Frozen]:
    """The releases that a rollback to `number` takes back, newest first, without their entries."""
    model: Any = Release if isinstance(place, Scope) else LayerRelease
    rows = model.objects.filter(**owner(place), number__gt=number).order_by("-number")
    return list(rows.only("number", "author", "message", "created_at")[:limit])


def drafted_layers() -> dict[int, int]:
    """{layer row id: how many keys its draft touches}, without layers whose draft is empty."""
    rows = DraftChange.objects.filter(draft__layer__isnull=False).exclude(removed=False, entry={})
    counted = rows.values("draft__layer").annotate(keys=Count("id"))
    return {row["draft__layer"]: row["keys"] for row in counted}


def layer_names(scope: Scope) -> dict[str, str]:
    """{KEY: "global"}: the layer of each key of the newest release that the scope does not set."""
    head = head_of(scope)
    if head is None:
        return {}
    own = head.own_entries
    return {
        key: str(release.layer)
        for release in layer_releases_of(head)
        for key in release.entries
        if key not in own
    }


@overload
def release_for(who: Actor, verb: Verb, place: Scope, number: int) -> Release: ...
@overload
def release_for(who: Actor, verb: Verb, place: Layer, number: int) -> LayerRelease: ...
@overload
def release_for(who: Actor, verb: Verb, place: Place, number: int) -> Frozen: ...
def release_for(who: Actor, verb: Verb, place: Place, number: int) -> Frozen:
    """Release `number` of the place. Raises NotFound, NotAllowed."""
    require(who, verb, place)
    release = frozen(place, number)
    if release is None:
        there = f"They go from r1 to r{place.head}." if place.head else "Nothing was published yet."
        raise NotFound(
            f"{place} has no release {number}. {there}", fields={"release": "No such release."}
        )
    return release


@overload
def releases_of(place: Scope, *, before: int | None = None, limit: int = 50) -> list[Release]: ...
@overload
def releases_of(
    place: Layer, *, before: int | None = None, limit: int = 50
) -> list[LayerRelease]: ...
@overload
def releases_of(place: Place, *, before: int | None = None, limit: int = 50) -> list[Frozen]: ...
def releases_of(place: Place, *, before: int | None = None, limit: int = 50) -> Any:
    """The newest first, below number `before` where given."""
    model: Any = Release if isinstance(place, Scope) else LayerRelease
    releases = model.objects.filter(**owner(place)).order_by("-number")
    if before is not None:
        releases = releases.filter(number__lt=before)
    return list(releases[:limit])


def draft_of(place: Place) -> DraftView:
    """The draft, without keys that were put back. One that nobody began yet is an empty one."""
    head = head_of(place)
    draft = Draft.objects.filter(**owner(place)).first()
    number = head.number if head else 0
    if draft is None:
        return DraftView(number, number, 0, [], None, "")
    return view_of(draft, head)


def view_of(
    draft: Draft, head: Frozen | None, rows: Iterable[DraftChange] | None = None
) -> DraftView:
    """The same for a row that is at hand, and with `rows`, of which some may change nothing."""
    number = head.number if head else 0
    entries = head.own_entries if head else {}
    if rows is None:
        rows = _open_rows(Q(draft=draft))
    rows = sorted((row for row in rows if is_change(row)), key=lambda row: row.key)
    base_entries = _own_at(draft, draft.base) if rows and draft.base != number else entries
    changes = [
        DraftedKey(
            key=row.key,
            removed=row.removed,
            entry=masked_entry(row.entry) if row.entry else {},
            version=row.version,
            author=row.author,
            changed_at=row.changed_at,
            overlaps=not _same(base_entries.get(row.key), entries.get(row.key)),
        )
        for row in rows
        if not _is_idle(row, entries)
    ]
    return DraftView(draft.base, number, draft.version, changes, draft.updated_at, draft.updated_by)


def drafted_own(place: Place, head: Frozen | None) -> Entries:
    """The place's own entries as the draft has them, as they are kept: secrets are sealed, not
    masked, so this never leaves the server."""
    rows = list(_open_rows(of_draft(place)))
    return changed(
        head.own_entries if head is not None else {},
        set_={row.key: row.entry for row in rows if row.entry},
        unset=[row.key for row in rows if row.removed],
    )


def resolve_draft(scope: Scope) -> Resolved:
    """What would be published now, sealed and unchecked, with what is wrong with its references."""
    ground = Ground.of([scope])
    head = ground.heads.get(scope.pk)
    return ground.resolve(scope, drafted_own(scope, head), ground.numbers(scope))


def both_sides(place: Place) -> tuple[Entries, Entries]:
    """(what is published, what would be published now), both masked, from the same rows."""
    if not isinstance(place, Scope):
        newest = head_of(place)
        return newest.shown if newest is not None else {}, masked(drafted_own(place, newest))
    ground = Ground.of([place])
    head = ground.heads.get(place.pk)
    resolved = ground.resolve(place, drafted_own(place, head), ground.numbers(place))
    return head.shown if head is not None else {}, masked(resolved.entries)


def resolved_draft(place: Place) -> Entries:
    """What would be published now, masked: the newest release with the draft's changes."""
    if isinstance(place, Scope):
        return masked(resolve_draft(place).entries)
    return masked(drafted_own(place, head_of(place)))


def _open_rows(condition: Q) -> QuerySet[DraftChange]:
    """Rows that change something; those of keys that were put back are many after a while."""
    return DraftChange.objects.filter(condition).filter(Q(removed=True) | ~Q(entry={}))


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


def _own_at(draft: Draft, number: int) -> Entries:
    place = draft.scope or draft.layer
    release = frozen(place, number) if place is not None else None
    return release.own_entries if release is not None else {}
