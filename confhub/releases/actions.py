"""Change a draft, key by key, and freeze releases."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.db import transaction

from confhub.access.policies import NotFound
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.events.actions import Happened
from confhub.releases.diff import same
from confhub.releases.draft_rows import DraftIsStale as DraftIsStale  # its name for other folders
from confhub.releases.draft_rows import empty_draft, open_draft
from confhub.releases.entries import (
    BadEntries,
    Entries,
    as_document,
    check_changes,
    check_whole,
)
from confhub.releases.layering import Numbers
from confhub.releases.models import DraftChange, LayerRelease, Release
from confhub.releases.overlapping import merged_entries
from confhub.releases.places import Frozen, Place, frozen
from confhub.releases.queries import DraftView, head_of, layer_names
from confhub.releases.writing import Writing
from watchers.wire.canonical import Json, checksum

PlaceT = TypeVar("PlaceT", bound=Scope | Layer)


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
    held = open_draft(place, head, keys=touched, who=who, now=now)
    drafted = {key: row.entry for key, row in held.rows.items() if row.entry}
    fresh = Writing(place, head, drafted, now).entries_for(set)
    held.refuse_moved(touched, expected=expected, yours=fresh)
    _refuse_unknown(place, revert=revert, unset=unset, rows=held.rows, entries=entries)
    for key in touched:
        # A key that only the draft has just goes.
        held.put(key, fresh.get(key, {}), removed=key in unset and key in entries)
    held.check_sum()
    return held.finish("edit")


@transaction.atomic
def restore_key(
    place: Place, key: str, *, number: int, expected: int | None, who: Actor, now: datetime
) -> DraftView:
    """Make one key of the draft as the place's release `number` had it: set, or not there.

    Its entry is taken as it was kept, so a secret comes back without being opened. Raises
    BadEntries (no such release), DraftIsStale.
    """
    check_changes(set_={}, unset=[key])  # that it can be a key at all
    place = lock(place)
    head, old = head_of(place), frozen(place, number)
    if head is None or old is None:
        raise BadEntries(
            f"{place} has no release {number}, so {key} cannot be taken from it.",
            fields={"release": "No such release."},
        )
    entry = old.own_entries.get(key)
    held = open_draft(place, head, keys={key}, who=who, now=now)
    held.refuse_moved({key}, expected=expected)
    held.put(key, entry or {}, removed=entry is None and key in held.own)
    held.check_sum()
    return held.finish("restore")


@transaction.atomic
def discard_draft(place: Place, *, expected: int | None, who: Actor, now: datetime) -> DraftView:
    """Put every key back as it is in the newest release. Raises DraftIsStale after `expected`."""
    place = lock(place)
    held = open_draft(place, head_of(place), keys=(), who=who, now=now)
    keys = held.changed_keys
    held.refuse_moved(keys, expected=expected)
    held.draft.base = place.head
    for key in keys:
        held.put_back(key)
    events.audit(
        "draft.discarded", who=who, target=str(place), data={"keys": sorted(keys)}, now=now
    )
    return held.finish("discard")


@transaction.atomic
def rebase_draft(
    place: Place, *, take_theirs: Collection[str], merge: Collection[str] = (),
    expected_release: int, expected: int | None = None, who: Actor, now: datetime,
) -> DraftView:  # fmt: skip
    """Put the draft on the newest release: keys in `take_theirs` as published, those in `merge` with
    both sides' changes, the others as drafted.

    Raises ReleaseIsStale when the newest is not the one that was decided about, DraftIsStale when
    a key that would be given up or merged was drafted anew after version `expected`, and BadEntries
    where two sides do not merge.
    """
    place = lock(place)
    check_newest(place, expected_release)
    held = open_draft(place, head_of(place), keys={*take_theirs, *merge}, who=who, now=now)
    given_up = [key for key in held.changed_keys if key in take_theirs]
    merged = merged_entries(held, merge)
    held.refuse_moved([*given_up, *merged], expected=expected)
    held.draft.base = place.head
    for key in given_up:
        held.put_back(key)
    for key, entry in merged.items():
        held.put(key, entry)
    held.check_sum()
    events.audit(
        "draft.rebased", who=who, target=str(place),
        data={"release": place.head, "given_up": sorted(given_up)}
        | ({"merged": sorted(merged)} if merged else {}),
        now=now,
    )  # fmt: skip
    return held.finish("rebase", told={*take_theirs, *merged})


def settle_draft(
    place: Place, *, keys: Collection[str] | None, who: Actor, now: datetime
) -> Happened:
    """After a release: put back the draft's published `keys` (None: all of them), and let pages
    that were drawn before it know which keys have moved. The caller holds the place's lock.

    Returns the event of it, for the caller to record together with its own.
    """
    held = open_draft(place, None, keys=keys or (), who=who, now=now)
    if keys is None:
        empty_draft(held)
        held.write("publish", mark={"release": place.head})
    else:
        for key in {*keys} - {*held.changed_keys}:
            held.put_back(key)
        if not held.changed_keys:
            held.draft.base = place.head
        held.write("edit")
    return held.happened(keys or held.rows)


def freeze(
    scope: Scope, entries: Entries, *, own: Entries, numbers: Numbers, message: str, who: Actor,
    now: datetime, parent: Release | None, restores: int | None = None, schema: int | None = None,
    emergency: bool = False, image: Mapping[str, str] | None = None,
    annotations: Mapping[str, Any] | None = None,
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
        image=image,
        annotations=annotations or None,
        request_id=who.request_id or None,
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


def _refuse_unknown(
    place: Place, *, revert: Collection[str], unset: Collection[str],
    rows: Mapping[str, DraftChange], entries: Entries,
) -> None:  # fmt: skip
    there = {*entries, *(key for key, row in rows.items() if row.entry)}
    missing = [key for key in unset if key not in there]
    if missing and isinstance(place, Scope) and missing[0] in layer_names(place):
        raise BadEntries(
            f"{missing[0]} of {place} comes from the layer {layer_names(place)[missing[0]]}, so it "
            "cannot be removed here. Remove it there, or set another value here.",
            fields={missing[0]: "It comes from a layer."},
        )
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
