"""Change a draft, key by key, and freeze releases."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from confhub.access.policies import NotFound
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.events.actions import Happened
from confhub.releases.diff import same
from confhub.releases.entries import (
    BadEntries,
    Entries,
    answered,
    as_document,
    changed,
    check_changes,
    check_whole,
)
from confhub.releases.layering import Numbers
from confhub.releases.models import Draft, DraftChange, LayerRelease, Release
from confhub.releases.places import Frozen, Place, of_draft, owner
from confhub.releases.queries import DraftView, head_of, is_change, view_of
from watchers.wire.canonical import Json, checksum

PlaceT = TypeVar("PlaceT", bound=Scope | Layer)


class DraftIsStale(ConfHubError):
    """Somebody else changed the same key, or published it, since the caller looked."""

    code: ClassVar[str] = "draft.stale"
    status: ClassVar[int] = 412


class ScopeIsGone(NotFound):
    """Its service or environment was removed meanwhile."""

    code: ClassVar[str] = "scope.gone"


class ReleaseIsStale(ConfHubError):
    """Another release is the newest one than the caller expects."""

    code: ClassVar[str] = "release.stale"
    status: ClassVar[int] = 409


@transaction.atomic
def change_draft(
    place: Place, *, set: Mapping[str, Json], unset: Collection[str] = (),  # REST's word
    revert: Collection[str] = (), expected: int | None, who: Actor, now: datetime,
) -> DraftView:  # fmt: skip
    """Set and unset keys of the draft; `revert` makes a key as it is in the newest release again.

    `expected` is the draft version that the caller saw. It refuses only keys that were touched
    after it, so that two people who edit different keys never meet. None means: do not compare.
    Raises BadEntries, and DraftIsStale with both sides of every such key; then nothing is changed.
    """
    check_changes(set_=set, unset=unset)
    place = lock(place)
    head = head_of(place)
    entries = head.own_entries if head else {}
    touched = {*set, *unset, *revert}
    draft, rows = _opened(place, keys=touched, who=who, now=now)
    if expected is not None:
        _refuse_moved(place, rows, entries, touched, yours=set, expected=expected, draft=draft)
    _refuse_unknown(place, revert=revert, unset=unset, rows=rows, entries=entries)
    draft.version += 1
    for key in touched:
        row = rows.get(key) or DraftChange(draft=draft, key=key)
        row.entry = {"value": set[key]} if key in set else {}
        row.removed = key in unset and key in entries  # a key that only the draft has just goes
        row.version, row.author, row.changed_at = draft.version, who.name, now
        rows[key] = row
    _check_sum_of(rows, entries)
    _save([rows[key] for key in touched])
    _touch(draft, who=who, now=now)
    _tell(place, draft, keys=touched, who=who, now=now)
    return view_of(draft, head)


@transaction.atomic
def discard_draft(place: Place, *, expected: int | None, who: Actor, now: datetime) -> DraftView:
    """Put every key back as it is in the newest release. Raises DraftIsStale after `expected`."""
    place = lock(place)
    head = head_of(place)
    draft, rows = _opened(place, keys=(), who=who, now=now)
    open_rows = {key: row for key, row in rows.items() if is_change(row)}
    if expected is not None:
        entries = head.own_entries if head else {}
        _refuse_moved(place, rows, entries, open_rows, yours={}, expected=expected, draft=draft)
    draft.version += 1
    draft.base = place.head
    for row in open_rows.values():
        _put_back(row, version=draft.version, who=who, now=now)
    _save(open_rows.values())
    _touch(draft, who=who, now=now)
    events.audit(
        "draft.discarded", who=who, target=str(place), data={"keys": sorted(open_rows)}, now=now
    )
    _tell(place, draft, keys=open_rows, who=who, now=now)
    return view_of(draft, head)


@transaction.atomic
def rebase_draft(
    place: Place, *, take_theirs: Collection[str], expected_release: int,
    expected: int | None = None, who: Actor, now: datetime,
) -> DraftView:  # fmt: skip
    """Put the draft on the newest release: keys in `take_theirs` as published, the others as drafted.

    Raises ReleaseIsStale when the newest is not the one that was decided about, and DraftIsStale
    when a key that would be given up was drafted anew after version `expected`.
    """
    place = lock(place)
    check_newest(place, expected_release)
    head = head_of(place)
    draft, rows = _opened(place, keys=take_theirs, who=who, now=now)
    given_up = [rows[key] for key in take_theirs if key in rows and is_change(rows[key])]
    if expected is not None:
        entries, keys = (head.own_entries if head else {}), [row.key for row in given_up]
        _refuse_moved(place, rows, entries, keys, yours={}, expected=expected, draft=draft)
    draft.version += 1
    draft.base = place.head
    for row in given_up:
        _put_back(row, version=draft.version, who=who, now=now)
    _save(given_up)
    _touch(draft, who=who, now=now)
    events.audit(
        "draft.rebased", who=who, target=str(place),
        data={"release": place.head, "given_up": sorted(row.key for row in given_up)}, now=now,
    )  # fmt: skip
    _tell(place, draft, keys=take_theirs, who=who, now=now)
    return view_of(draft, head)


def settle_draft(
    place: Place, *, keys: Collection[str] | None, who: Actor, now: datetime
) -> Happened:
    """After a release: put back the draft's published `keys` (None: all of them), and let pages
    that were drawn before it know which keys have moved. The caller holds the place's lock.

    Returns the event of it, for the caller to record together with its own.
    """
    draft, rows = _opened(place, keys=keys or (), who=who, now=now)
    draft.version += 1
    if keys is None:
        # The rows keep their versions: who saw the key as it was published saw its newest value.
        DraftChange.objects.filter(draft=draft).update(removed=False, entry={})
        draft.base = place.head
    else:
        idle = [rows.get(key) or DraftChange(draft=draft, key=key) for key in keys]
        idle = [row for row in idle if not is_change(row)]
        for row in idle:
            _put_back(row, version=draft.version, who=who, now=now)
        _save(idle)
        if not any(is_change(row) for row in rows.values()):
            draft.base = place.head
    _touch(draft, who=who, now=now)
    return _changed(place, draft, keys=keys or rows, who=who)


def freeze(
    scope: Scope, entries: Entries, *, own: Entries, numbers: Numbers, message: str, who: Actor,
    now: datetime, parent: Release | None, restores: int | None = None, schema: int | None = None,
    emergency: bool = False,
) -> Release:  # fmt: skip
    """Make `entries` the scope's next release. The caller holds the scope's lock (`lock`).

    `own` are the scope's own entries and `numbers` the layers' releases that `entries` were
    resolved from. Raises BadEntries. The number comes from the scope's row and is given to it in
    the same transaction, so numbers rise without a gap.
    """
    check_whole(entries, max_bytes=settings.CONFHUB_MAX_RELEASE_BYTES)
    number = _next_number(scope)
    release = Release.objects.create(
        scope=scope,
        number=number,
        entries=entries,
        checksum=checksum(as_document(entries)),
        message=message,
        author=who.name,
        created_at=now,
        parent=parent.number if parent else None,
        restores=restores,
        own=None if own == entries else own,
        layers=list(numbers.items()),
        origins=_origins(own, parent, number),
        schema=schema,
        emergency=emergency,
    )
    data: dict[str, Any] = {"release": release.number, "checksum": release.checksum}
    _audit_release(scope, data, restores=restores, emergency=emergency, who=who, now=now)
    return release


def freeze_layer(
    layer: Layer, entries: Entries, *, message: str, who: Actor, now: datetime,
    parent: LayerRelease | None, restores: int | None = None, emergency: bool = False,
) -> LayerRelease:  # fmt: skip
    """Make `entries` the layer's next release. The caller holds the layer's lock. Raises BadEntries."""
    check_whole(entries, max_bytes=settings.CONFHUB_MAX_RELEASE_BYTES)
    number = _next_number(layer)
    release = LayerRelease.objects.create(
        layer=layer,
        number=number,
        entries=entries,
        origins=_origins(entries, parent, number),
        message=message,
        author=who.name,
        created_at=now,
        parent=parent.number if parent else None,
        restores=restores,
        emergency=emergency,
    )
    _audit_release(
        layer, {"release": number}, restores=restores, emergency=emergency, who=who, now=now
    )
    return release


def _next_number(place: Place) -> int:
    place.head += 1
    rows: Any = type(place).objects  # a scope's or a layer's
    rows.filter(pk=place.pk).update(head=place.head)
    return place.head


def _origins(own: Entries, parent: Frozen | None, number: int) -> dict[str, int]:
    """{KEY: the release that set its own entry as it is}; what the parent had keeps its number."""
    if parent is None:
        return dict.fromkeys(own, number)
    before, known = parent.own_entries, parent.origins or {}
    return {
        key: known.get(key, parent.number) if key in before and same(before[key], entry) else number
        for key, entry in own.items()
    }


def _audit_release(
    place: Place, data: dict[str, Any], *, restores: int | None, emergency: bool, who: Actor,
    now: datetime,
) -> None:  # fmt: skip
    if restores is not None:
        data["restores"] = restores
    if emergency:
        data["emergency"] = True
    events.audit(
        "release.published", who=who, target=f"{place} r{data['release']}", data=data, now=now
    )


def check_newest(place: Place, expected: int | None) -> None:
    """Raise ReleaseIsStale unless `expected` is the newest release; None expects nothing.

    The caller holds the place's lock.
    """
    if expected is not None and expected != place.head:
        raise ReleaseIsStale(
            f"{place} is at r{place.head}, not at r{expected} as you expected. Nothing was "
            "changed. Look at what came in between and send it again.",
            fields={"expected_release": f"The newest release is r{place.head}."},
            extra={"release": place.head, "expected": expected},
        )


def lock(place: PlaceT) -> PlaceT:
    """The place with its row locked until the transaction ends, and its head as it is now.

    Raises ScopeIsGone where it was removed meanwhile.
    """
    rows: Any = type(place).objects  # a scope's or a layer's
    head = rows.select_for_update().filter(pk=place.pk).values_list("head", flat=True).first()
    if head is None:
        raise ScopeIsGone(
            f"{place} was removed while you worked on it, so nothing was saved. Copy what you still need."
        )
    place.head = head
    return place


def _opened(
    place: Place, *, keys: Collection[str], who: Actor, now: datetime
) -> tuple[Draft, dict[str, DraftChange]]:
    """The draft, and the rows of all it changes and of `keys`; not of every key ever touched."""
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
    return draft, rows


def _touch(draft: Draft, *, who: Actor, now: datetime) -> None:
    draft.updated_at, draft.updated_by = now, who.name
    draft.save(update_fields=["base", "version", "updated_at", "updated_by"])


def _put_back(row: DraftChange, *, version: int, who: Actor, now: datetime) -> None:
    row.removed, row.entry = False, {}
    row.version, row.author, row.changed_at = version, who.name, now


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


def _changed(place: Place, draft: Draft, *, keys: Collection[str], who: Actor) -> Happened:
    data = {"version": draft.version, "keys": sorted(keys)[:100], "by": who.name}
    return "draft.changed", place.stream, data


def _tell(place: Place, draft: Draft, *, keys: Collection[str], who: Actor, now: datetime) -> None:
    events.record_all([_changed(place, draft, keys=keys, who=who)], now=now)


def _refuse_moved(
    place: Place, rows: Mapping[str, DraftChange], entries: Entries, touched: Collection[str], *,
    yours: Mapping[str, Json], expected: int, draft: Draft,
) -> None:  # fmt: skip
    moved = [rows[key] for key in sorted(touched) if key in rows and rows[key].version > expected]
    if expected > draft.version:
        raise DraftIsStale(
            f"The draft of {place} is at version {draft.version}, and you saw version {expected}: "
            "the database was set back meanwhile. Nothing was saved. Read the draft again.",
            extra={"version": draft.version, "expected": expected},
        )
    conflicts = {}
    for row in moved:
        mine = {"value": yours[row.key]} if row.key in yours else {}
        theirs = row.entry or ({} if row.removed else entries.get(row.key, {}))
        if mine and theirs and same(mine, theirs):
            continue  # both want the same
        conflicts[row.key] = {
            "yours": mine.get("value"),
            "theirs": answered(theirs) if theirs else None,
            "removed": not theirs,
            "by": row.author,
            "at": row.changed_at.isoformat(),
        }
    if conflicts:
        first = next(iter(conflicts))
        raise DraftIsStale(
            f"{conflicts[first]['by']} changed {first} in the draft of {place} after you looked "
            f"(you saw version {expected}, it is {draft.version}). Nothing was saved. Look at both "
            "values and send yours again with the new version.",
            fields={key: f"Changed by {held['by']} meanwhile." for key, held in conflicts.items()},
            extra={"conflicts": conflicts, "version": draft.version, "expected": expected},
        )


def _refuse_unknown(
    place: Place, *, revert: Collection[str], unset: Collection[str],
    rows: Mapping[str, DraftChange], entries: Entries,
) -> None:  # fmt: skip
    there = {*entries, *(key for key, row in rows.items() if row.entry)}
    missing = [key for key in unset if key not in there]
    if missing:
        raise BadEntries(
            f"{place} has no key {missing[0]}, so it cannot be removed.",
            fields={key: f"There is no key {key}." for key in missing},
        )
    unknown = [key for key in revert if key not in rows]
    if unknown:
        raise BadEntries(
            f"The draft of {place} does not change {unknown[0][:140]}, so there is nothing to undo.",
            fields={key[:140]: "The draft does not change this key." for key in unknown},
        )


def _check_sum_of(rows: Mapping[str, DraftChange], entries: Entries) -> None:
    """Raise BadEntries where the draft could never be published, while its author still looks."""
    after = changed(
        entries,
        set_={key: row.entry for key, row in rows.items() if row.entry},
        unset=[key for key, row in rows.items() if row.removed],
    )
    check_whole(after, max_bytes=settings.CONFHUB_MAX_RELEASE_BYTES)
