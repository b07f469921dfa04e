"""Where is it used? One text looked for in keys, values, places, releases and people.

Values are looked for in the text of every newest release itself, without an index beside it: the
database leaves out what cannot match, and what is left is read. 150,000 keys
in 300 scopes are 10 MB of text, which takes tens of milliseconds (`benchmarks/search.py` keeps the figure); an
index would have to be right after every publish, for less than that.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, get_args

from django.db.models import ExpressionWrapper, F, Q, TextField, Value

from confhub.access import queries as access
from confhub.access.layers import layers_for
from confhub.access.people import people_for
from confhub.access.policies import may
from confhub.catalog.models import Environment, Layer, Scope, Service
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases.entries import Entries, answered
from confhub.releases.models import DraftChange, LayerRelease, Release
from confhub.releases.needle import Needle
from confhub.releases.places import Place
from watchers.wire.canonical import Json

Kind = Literal["keys", "values", "services", "environments", "layers", "releases", "people"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_CHARS = 200
READ_AT_ONCE = 50  # releases, so that a text which is everywhere is not read everywhere
NEWEST_RELEASES = 2000  # whose messages are looked into; older ones are on their scope's page
_NUMBER = re.compile(r"(?:(?P<place>\S+)\s+)?r(?P<number>[0-9]{1,9})", re.IGNORECASE)


class BadSearch(ConfHubError):
    """There is nothing to look for, or too much."""

    code: ClassVar[str] = "search.bad"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Use:
    """One key at one place that matches by its name or its value."""

    place: Place
    key: str
    value: Json  # as REST answers it: of a secret its fingerprint and version
    layer: Layer | None  # the layer that sets it there; None: the place itself
    drafted: Literal["", "set", "removed"] = ""  # by the place's draft; "": in its newest release
    author: str = ""  # of the draft's change


@dataclass(frozen=True)
class Cut:
    """One release that matches by its number, message or author."""

    place: Place
    number: int
    message: str
    author: str
    created_at: datetime


@dataclass(frozen=True)
class Found:
    """What was found, by kind. `more` names the kinds of which only the first are here."""

    keys: list[Use] = field(default_factory=list)
    values: list[Use] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    environments: list[Environment] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    releases: list[Cut] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    more: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, kind) for kind in KINDS)


def search(who: Actor, text: str, *, kinds: Sequence[Kind] = KINDS, limit: int = 20) -> Found:
    """What `who` may see of `kinds` that holds `text`, at most `limit` of each. Raises BadSearch."""
    needle = _needle(text)
    seen = _Seen(access.all_scopes(who), layers_for(who))
    groups: dict[str, list[Any]] = {}
    if "keys" in kinds or "values" in kinds:
        wanted = [kind for kind in ("keys", "values") if kind in kinds]
        groups |= _uses(needle, seen, wanted, limit)
    if "services" in kinds:
        rows = access.services_for(who)
        groups["services"] = [
            each for each in rows if needle.held_by(f"{each.slug}\n{each.name}\n{each.description}")
        ]
    if "environments" in kinds:
        there = access.environments_for(who)
        groups["environments"] = [
            each for each in there if needle.held_by(f"{each.slug}\n{each.name}")
        ]
    if "layers" in kinds:
        groups["layers"] = [
            each for each in seen.layers.values() if needle.held_by(f"{each}\n{each.description}")
        ]
    if "releases" in kinds:
        groups["releases"] = _releases(needle, seen, limit)
    if "people" in kinds and may(who, "see", "people"):
        groups["people"] = [each.name for each in people_for(who) if needle.held_by(each.name)]
    more = frozenset(kind for kind, rows in groups.items() if len(rows) > limit)
    return Found(**{kind: rows[:limit] for kind, rows in groups.items()}, more=more)


def _needle(text: str) -> Needle:
    needle = Needle(text.strip())
    sentence = ""
    if not needle.text:
        sentence = "Write what you look for: a key, a value, a service, a person."
    elif len(needle.text) > MAX_CHARS:
        sentence = f"At most {MAX_CHARS} characters are looked for."
    elif "\x00" in needle.text:
        sentence = "A NUL character (U+0000) stands nowhere. Remove it."
    if sentence:
        raise BadSearch(sentence, fields={"q": sentence})
    return needle


class _Seen:
    """The places that one may see."""

    def __init__(self, scopes: Sequence[Scope], layers: Sequence[Layer]) -> None:
        self.scopes = {scope.pk: scope for scope in scopes}
        self.layers = {layer.pk: layer for layer in layers}
        self.rank = {scope.pk: at for at, scope in enumerate(scopes)}

    def place(self, row: Any) -> Place | None:
        """Of a row that has a scope or a layer; None where one may not see it."""
        if row.scope_id is not None:
            return self.scopes.get(row.scope_id)
        return self.layers.get(row.layer_id)


# --- keys and values ---------------------------------------------------------------------------


def _uses(needle: Needle, seen: _Seen, kinds: Sequence[str], limit: int) -> dict[str, list[Any]]:
    """Of layers first, because they say it for many; then of scopes, then of drafts."""
    found: dict[str, list[Any]] = {kind: [] for kind in kinds}
    heads: dict[tuple[int, str], int] = {}  # {(scope row id, key): its release's row id}
    wanted = set(kinds)  # a kind of which there is enough is looked for no longer
    for (kind, hit), release in _every_use(needle, seen, wanted):
        if kind not in wanted:
            continue
        found[kind].append(hit)
        if release is not None:
            heads[hit.place.pk, hit.key] = release
        if len(found[kind]) > limit:
            wanted.discard(kind)
        if not wanted:
            break
    setters = _setters(heads)
    return {kind: [_set_by(hit, setters) for hit in held] for kind, held in found.items()}


_Hit = tuple[tuple[str, Use], int | None]


def _every_use(needle: Needle, seen: _Seen, kinds: Collection[str]) -> Iterator[_Hit]:
    layers = LayerRelease.objects.filter(
        needle.may_be_in("entries"), number=F("layer__head"), layer__in=list(seen.layers)
    )
    for layer_release in layers.order_by("layer__kind", "layer__slug"):
        layer = seen.layers[layer_release.layer_id]
        for use in _in_entries(needle, layer, layer_release.entries, kinds):
            yield use, None
    yield from _in_drafts(needle, seen, kinds)
    may_match = Release.objects.filter(
        needle.may_be_in("entries", "own"), number=F("scope__head")
    ).values_list("pk", "scope_id")
    ranked = sorted((seen.rank[scope], pk) for pk, scope in may_match if scope in seen.rank)
    for at in range(0, len(ranked), READ_AT_ONCE):
        yield from _in_releases(
            needle, seen, [pk for _, pk in ranked[at : at + READ_AT_ONCE]], kinds
        )


def _in_releases(
    needle: Needle, seen: _Seen, pks: Sequence[int], kinds: Collection[str]
) -> Iterator[_Hit]:
    rows = Release.objects.filter(pk__in=pks).annotate(
        # As text, because most of `own` need not be read: what it says stands in `entries` too.
        text=ExpressionWrapper(F("entries"), output_field=TextField()),
        own_text=ExpressionWrapper(
            # The own keys are among all keys, so only values have to be looked for there.
            F("own") if "values" in kinds else Value(None),
            output_field=TextField(),
        ),
    )
    held = {pk: rest for pk, *rest in rows.values_list("pk", "scope_id", "text", "own_text")}
    for pk in pks:
        if pk not in held:
            continue  # pruned meanwhile
        scope_id, text, own = held[pk]
        scope, shown = seen.scopes[scope_id], set()
        if _may_hold(needle, text, kinds):
            for use in _in_entries(needle, scope, json.loads(text), kinds):
                shown.add((use[0], use[1].key))
                yield use, pk
        if own is not None and "${" in own and "values" in kinds and needle.may_be_a_value(own):
            for use in _in_entries(needle, scope, json.loads(own), kinds):
                if (use[0], use[1].key) not in shown:  # found by the reference that was written
                    yield use, pk


def _may_hold(needle: Needle, text: str, kinds: Collection[str]) -> bool:
    if "values" in kinds:
        return needle.may_be_a_value(text)
    return needle.may_be_a_key(text)


def _in_entries(
    needle: Needle, place: Place, entries: Entries, kinds: Collection[str]
) -> Iterator[tuple[str, Use]]:
    folded = needle.folded
    for key, entry in entries.items():
        if folded in key.lower() and "keys" in kinds:
            yield "keys", Use(place, key, answered(entry), None)
        value = entry.get("value")
        # Most values are texts, and a call for each would double what a search takes.
        is_held = folded in value.lower() if type(value) is str else needle.held_by_entry(entry)
        if is_held and "values" in kinds:
            yield "values", Use(place, key, answered(entry), None)


def _in_drafts(needle: Needle, seen: _Seen, kinds: Collection[str]) -> Iterator[_Hit]:
    rows = DraftChange.objects.filter(Q(removed=True) | ~Q(entry={}))
    rows = rows.filter(needle.may_be_in("key", "entry")).select_related("draft")
    for row in rows.order_by("draft_id", "key"):
        place = seen.place(row.draft)
        if place is None:
            continue
        word: Literal["set", "removed"] = "removed" if row.removed else "set"
        value = answered(row.entry) if row.entry else None
        use = Use(place, row.key, value, None, word, row.author)
        if "keys" in kinds and needle.held_by(row.key):
            yield ("keys", use), None
        if "values" in kinds and row.entry and needle.held_by_entry(row.entry):
            yield ("values", use), None


def _setters(heads: dict[tuple[int, str], int]) -> dict[tuple[int, str], Layer]:
    """{(scope row id, key): the layer that sets it there}, without keys that the scope sets."""
    found: dict[tuple[int, str], Layer] = {}
    keys: dict[int, list[tuple[int, str]]] = {}
    for each, pk in heads.items():
        keys.setdefault(pk, []).append(each)
    used = Release.objects.filter(pk__in=list(keys), own__isnull=False)
    releases = list(used.only("pk", "own", "layers"))
    held = _layers_of(releases)
    for release in releases:
        for scope, key in keys[release.pk]:
            if key in (release.own or {}):
                continue
            for pair in reversed(release.layers or []):
                layer = held.get(tuple(pair))
                if layer is not None and key in layer.entries:
                    found[scope, key] = layer.layer
                    break
    return found


def _layers_of(releases: Iterable[Release]) -> dict[Any, LayerRelease]:
    """{(layer row id, number): its release} of all layers that the releases used; few queries."""
    pairs = {tuple(pair) for release in releases for pair in release.layers or [] if pair[1]}
    found = {}
    numbers = {number for _, number in pairs}
    rows = LayerRelease.objects.filter(layer__in={pk for pk, _ in pairs}, number__in=numbers)
    for row in rows.select_related("layer"):
        if (row.layer_id, row.number) in pairs:
            found[row.layer_id, row.number] = row
    return found


def _set_by(use: Use, setters: dict[tuple[int, str], Layer]) -> Use:
    if use.drafted or not isinstance(use.place, Scope):
        return use
    layer = setters.get((use.place.pk, use.key))
    return Use(use.place, use.key, use.value, layer)


# --- releases ----------------------------------------------------------------------------------


def _releases(needle: Needle, seen: _Seen, limit: int) -> list[Cut]:
    """The newest first: by number ("r42", "checkout r42"), else by message and author."""
    found = _cuts(Release, needle, seen, limit) + _cuts(LayerRelease, needle, seen, limit)
    return sorted(found, key=lambda cut: cut.created_at, reverse=True)[: limit + 1]


def _cuts(model: Any, needle: Needle, seen: _Seen, limit: int) -> list[Cut]:
    rows = model.objects.order_by("-pk").defer("entries", "origins")
    numbered = _NUMBER.fullmatch(needle.text)
    if numbered:
        number = int(numbered["number"])
        if number >= 2**31:
            return []
        rows = rows.filter(number=number)
    else:
        oldest = model.objects.order_by("-pk").values_list("pk", flat=True)
        floor = oldest[NEWEST_RELEASES - 1 : NEWEST_RELEASES].first()
        rows = rows.filter(needle.may_be_in("message", "author"), pk__gte=floor or 0)
    columns = ("scope_id" if model is Release else "layer_id", "number", "message", "author", "created_at")  # fmt: skip
    places: Any = seen.scopes if model is Release else seen.layers
    found: list[Cut] = []
    for pk, *rest in rows.values_list(*columns):
        cut = Cut(places[pk], *rest) if pk in places else None
        if cut is None or not _is_meant(cut, needle, numbered):
            continue
        found.append(cut)
        if len(found) > limit:
            break
    return found


def _is_meant(cut: Cut, needle: Needle, numbered: re.Match[str] | None) -> bool:
    if numbered is not None:
        return (numbered["place"] or "").lower() in str(cut.place)
    return needle.held_by(cut.message) or needle.held_by(cut.author)
