"""One service in all its environments at once: every key, as each draft has it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Q

from confhub.catalog.models import Scope
from confhub.releases.diff import same
from confhub.releases.entries import Entries, changed, masked_entry
from confhub.releases.layering import Ground, Numbers
from confhub.releases.models import Draft, DraftChange, LayerRelease, Release
from confhub.releases.needle import readable

Only = Literal["all", "differs", "missing"]


@dataclass(frozen=True)
class Cell:
    """One key in one environment, as the draft has it. `entry` is masked; None: it is not there."""

    entry: Mapping[str, Any] | None
    drafted: bool  # the draft says otherwise than the newest release
    layer: str  # the layer it comes from; "" where the scope sets it, and where it is not there
    inherited: bool = False  # a removal here would let a layer's value through


@dataclass(frozen=True)
class KeyLine:
    """One key with its cell in each scope, in the scopes' order."""

    key: str
    cells: list[Cell]
    differs: bool  # also where it is missing somewhere
    missing: bool


@dataclass(frozen=True)
class Column:
    """One environment: its scope, and which draft the cells were read from (compare-and-set)."""

    scope: Scope
    version: int  # the draft's; 0 before the first edit
    head: int
    drafted: int  # how many keys its draft changes
    entries: Entries  # as the draft has them, sealed: never leaves the server


@dataclass(frozen=True)
class SideBySide:
    """The whole table. `lines` are sorted by key."""

    columns: list[Column]
    lines: list[KeyLine]

    def line(self, key: str) -> KeyLine | None:
        return next((line for line in self.lines if line.key == key), None)

    def narrowed(self, *, wanted: str = "", only: Only = "all") -> list[KeyLine]:
        """Lines whose key or a readable value holds `wanted`, whatever the case of letters."""
        word = wanted.lower()
        return [
            line
            for line in self.lines
            if (only == "all" or (line.differs if only == "differs" else line.missing))
            and (not word or _holds(line, word))
        ]


def side_by_side(scopes: Sequence[Scope]) -> SideBySide:
    """Every key of the scopes, which carry their service and environment. Eight queries at most,
    however many scopes there are.

    Values are as people wrote them, with `${references}`, because that is what one edits.
    """
    ground = Ground.of(scopes)
    numbers = {scope.pk: ground.numbers(scope) for scope in scopes}
    _read_layers(ground, numbers.values())
    drafts = {draft.scope_id: draft for draft in Draft.objects.filter(scope__in=scopes)}
    rows = _open_rows(drafts)
    columns, sides = [], []
    for scope in scopes:
        head, draft = ground.heads.get(scope.pk), drafts.get(scope.pk)
        side = _side(ground, head, numbers[scope.pk], rows.get(draft.pk, []) if draft else [])
        columns.append(
            Column(
                scope=scope,
                version=draft.version if draft else 0,
                head=head.number if head else 0,
                drafted=len(side.drafted),
                entries=side.entries,
            )
        )
        sides.append(side)
    return SideBySide(columns, _lines(sides))


@dataclass(frozen=True)
class _Side:
    entries: Entries
    own: Entries
    layers: Mapping[str, str]  # {KEY: the uppermost layer that sets it}
    drafted: set[str]

    def cell(self, key: str) -> Cell:
        entry = self.entries.get(key)
        return Cell(
            entry=None if entry is None else masked_entry(entry),
            drafted=key in self.drafted,
            layer="" if entry is None or key in self.own else self.layers.get(key, ""),
            inherited=key in self.layers,
        )


def _side(
    ground: Ground, head: Release | None, numbers: Numbers, rows: Sequence[DraftChange]
) -> _Side:
    below: Entries = {}
    layers: dict[str, str] = {}
    for release in ground.layers_at(numbers):
        below.update(release.entries)
        layers.update(dict.fromkeys(release.entries, str(release.layer)))
    before = head.own_entries if head is not None else {}
    own = changed(
        before,
        set_={row.key: row.entry for row in rows if row.entry},
        unset=[row.key for row in rows if row.removed],
    )
    drafted = {row.key for row in rows if not _equal(before.get(row.key), own.get(row.key))}
    return _Side({**below, **own}, own, layers, drafted)


def _lines(sides: Sequence[_Side]) -> list[KeyLine]:
    keys = sorted({key for side in sides for key in [*side.entries, *side.drafted]})
    return [_line(key, sides) for key in keys]


def _line(key: str, sides: Sequence[_Side]) -> KeyLine:
    found = [side.entries.get(key) for side in sides]
    missing = any(entry is None for entry in found)
    differs = missing or any(not _equal(found[0], entry) for entry in found[1:])
    return KeyLine(key, [side.cell(key) for side in sides], differs, missing)


def _equal(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return same(one, other)


def _holds(line: KeyLine, word: str) -> bool:
    texts = (readable(cell.entry) for cell in line.cells if cell.entry is not None)
    return word in line.key.lower() or any(word in text.lower() for text in texts)


def _open_rows(drafts: Mapping[int | None, Draft]) -> dict[int, list[DraftChange]]:
    found: dict[int, list[DraftChange]] = {}
    rows = DraftChange.objects.filter(draft__in=drafts.values())
    for row in rows.filter(Q(removed=True) | ~Q(entry={})).order_by("key"):
        found.setdefault(row.draft_id, []).append(row)
    return found


def _read_layers(ground: Ground, numbers: Iterable[Numbers]) -> None:
    """All layers' releases of all scopes with one query."""
    pairs = {(pk, number) for each in numbers for pk, number in each.items() if number}
    condition = Q(pk__in=[])
    for pk, number in pairs:
        condition |= Q(layer=pk, number=number)
    for release in LayerRelease.objects.filter(condition).select_related("layer"):
        ground.put(release)
