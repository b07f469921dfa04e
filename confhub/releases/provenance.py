"""Why is it this? Each resolved key's layer, what it hides there, who set it, when, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confhub.catalog.models import Layer, Scope
from confhub.releases.entries import Entries, masked_entry
from confhub.releases.layering import layer_releases_of
from confhub.releases.models import LayerRelease, Release
from confhub.releases.places import Frozen, Place, owner
from confhub.releases.queries import head_of

MANY = 500  # numbers in one condition; beyond it the heads of the whole history are read
MAX_LOOKED_AT = 400  # releases that are read for one key's history


@dataclass(frozen=True)
class Set:
    """That a layer, or the scope itself, sets a key: where, and the release that set it so."""

    layer: str  # "global", "environment prod", "set common", "service shop", "own"
    kind: str  # "global", "environment", "set", "service", "own"
    slug: str
    entry: Mapping[str, Any]  # masked, references as people wrote them
    release: int  # of that layer
    author: str
    at: datetime
    message: str


@dataclass(frozen=True)
class Provenance:
    """Where a key's value comes from; `hides` are the layers below that set it too, uppermost first."""

    key: str
    set_by: Set
    hides: list[Set]


def provenance_of(scope: Scope, release: Release | None = None) -> dict[str, Provenance]:
    """{KEY: where it comes from} of a release (None: the newest); {} before the first."""
    release = release or head_of(scope)
    if release is None:
        return {}
    release.scope = scope
    levels = [_Level.of(each.layer, each) for each in layer_releases_of(release)]
    levels.append(_Level.of(scope, release))
    found: dict[str, list[Set]] = {}
    for level in reversed(levels):
        for key, entry in level.entries.items():
            found.setdefault(key, []).append(level.set_of(key, entry))
    return {key: Provenance(key, held[0], held[1:]) for key, held in found.items()}


@dataclass(frozen=True)
class _Level:
    layer: str
    kind: str
    slug: str
    release: Frozen
    entries: Entries
    origins: Mapping[str, int]
    setters: Mapping[int, tuple[str, datetime, str]]  # {release: (author, when, message)}

    @classmethod
    def of(cls, place: Place, release: Frozen) -> "_Level":
        origins = release.origins or {}
        names = (
            (str(place), place.kind, place.slug) if isinstance(place, Layer) else ("own", "own", "")
        )
        return cls(
            *names, release, release.own_entries, origins, _setters(place, set(origins.values()))
        )

    def set_of(self, key: str, entry: Mapping[str, Any]) -> Set:
        number = self.origins.get(key, self.release.number)
        own = (self.release.author, self.release.created_at, self.release.message)
        author, at, message = self.setters.get(number, own)
        return Set(
            self.layer, self.kind, self.slug, masked_entry(entry), number, author, at, message
        )


def _setters(place: Place, numbers: set[int]) -> dict[int, tuple[str, datetime, str]]:
    if not numbers:
        return {}
    model: Any = Release if isinstance(place, Scope) else LayerRelease
    rows = model.objects.filter(**owner(place))
    if len(numbers) <= MANY:
        rows = rows.filter(number__in=numbers)
    rows = rows.values_list("number", "author", "created_at", "message")
    return {number: (author, at, message) for number, author, at, message in rows}


@dataclass(frozen=True)
class KeyVersion:
    """What a release made of a key. `entry` is masked; None: it removed the key."""

    release: int
    entry: Mapping[str, Any] | None
    author: str
    at: datetime
    message: str


def history_of(place: Place, key: str, *, limit: int = 50) -> list[KeyVersion]:
    """The releases of the place that changed its own entry for `key`, newest first.

    At most `limit`, and at most as many as MAX_LOOKED_AT releases show.
    """
    found: list[KeyVersion] = []
    newer: Frozen | None = None  # the oldest release seen so far
    for release in _downward(place, key):
        if newer is not None and _differs(release, newer, key):
            found.append(_version(newer, key))
            if len(found) == limit:
                return found
        newer = release
    if newer is not None and newer.number == 1 and key in newer.own_entries:
        found.append(_version(newer, key))
    return found[:limit]


def _downward(place: Place, key: str) -> Iterator[Frozen]:
    """Releases from the newest down, leaving out those that an origin says changed nothing."""
    model: Any = Release if isinstance(place, Scope) else LayerRelease
    number = place.head
    for _ in range(MAX_LOOKED_AT):
        release = model.objects.filter(**owner(place), number=number).first()
        if release is None:
            return
        yield release
        origin = (release.origins or {}).get(key, number)
        # The release of the origin is looked at itself, and then the one before it.
        number = origin if origin < number else number - 1


def _differs(older: Frozen, newer: Frozen, key: str) -> bool:
    return masked_entry(older.own_entries.get(key, {})) != masked_entry(
        newer.own_entries.get(key, {})
    ) or (key in older.own_entries) != (key in newer.own_entries)


def _version(release: Frozen, key: str) -> KeyVersion:
    entry = release.own_entries.get(key)
    return KeyVersion(
        release.number, None if entry is None else masked_entry(entry), release.author,
        release.created_at, release.message,
    )  # fmt: skip
