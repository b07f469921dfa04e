"""Two sides' changes of one value put together, where they do not touch the same part of it. Pure.

Texts merge by line, objects by member; anything else only where one side left it alone. What does
not merge cleanly is not merged at all: nobody wants conflict marks in a configuration.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeAlias

from watchers.wire.canonical import Json, canonical

MAX_COMPARISONS = 1_000_000  # of lines; beyond it a person is quicker than the merge
Block: TypeAlias = tuple[int, int, int]  # (start in base, start in the other, how many lines)


class _Missing:
    """A member that is not there; null is a value."""


MISSING = _Missing()
Side: TypeAlias = "Json | _Missing"


@dataclass(frozen=True)
class Merged:
    """A wrapper, because a merge can be null."""

    value: Json


def merge(base: Json, mine: Json, theirs: Json) -> Merged | None:
    """Both sides' changes of `base`; None where they touch the same part."""
    found = _merged(base, mine, theirs)
    return None if found is None or isinstance(found[0], _Missing) else Merged(found[0])


def merge_text(base: str, mine: str, theirs: str) -> str | None:
    """The same for texts, line by line. Changes that stand side by side are a conflict as well."""
    lines = [text.splitlines(keepends=True) for text in (base, mine, theirs)]
    to_mine, to_theirs = _blocks(lines[0], lines[1]), _blocks(lines[0], lines[2])
    if to_mine is None or to_theirs is None:
        return None
    merged: list[str] = []
    at = [0, 0, 0]  # how far each is read
    for start, in_mine, in_theirs, length in _common(to_mine, to_theirs):
        part = _part(
            lines[0][at[0] : start], lines[1][at[1] : in_mine], lines[2][at[2] : in_theirs]
        )
        if part is None:
            return None
        merged += part
        merged += lines[0][start : start + length]
        at = [start + length, in_mine + length, in_theirs + length]
    return "".join(merged)


def _merged(base: Side, mine: Side, theirs: Side) -> tuple[Side] | None:
    if _equal(mine, theirs) or _equal(base, theirs):
        return (mine,)
    if _equal(base, mine):
        return (theirs,)
    if isinstance(base, str) and isinstance(mine, str) and isinstance(theirs, str):
        text = merge_text(base, mine, theirs)
        return None if text is None else (text,)
    if isinstance(base, dict) and isinstance(mine, dict) and isinstance(theirs, dict):
        return _members(base, mine, theirs)
    return None


def _members(
    base: dict[str, Json], mine: dict[str, Json], theirs: dict[str, Json]
) -> tuple[Side] | None:
    merged: dict[str, Json] = {}
    for name in dict.fromkeys([*mine, *theirs]):
        part = _merged(*(side.get(name, MISSING) for side in (base, mine, theirs)))
        if part is None:
            return None
        if not isinstance(part[0], _Missing):
            merged[name] = part[0]
    return (merged,)


def _equal(one: Side, other: Side) -> bool:
    if isinstance(one, _Missing) or isinstance(other, _Missing):
        return one is other
    return one == other and canonical(one) == canonical(other)  # 1 == 1.0 == True to Python


def _part(base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Sequence[str] | None:
    """What stands between two places where all three agree."""
    if mine == theirs or base == theirs:
        return mine
    return theirs if base == mine else None


def _common(to_mine: Sequence[Block], to_theirs: Sequence[Block]) -> Iterator[tuple[int, int, int, int]]:  # fmt: skip
    """(start in base, in mine, in theirs, lines) of each part that both sides kept; last the end."""
    i = j = 0
    while i < len(to_mine) and j < len(to_theirs):
        (base_a, mine, length_a), (base_b, theirs, length_b) = to_mine[i], to_theirs[j]
        start, end = max(base_a, base_b), min(base_a + length_a, base_b + length_b)
        if start < end:
            yield start, mine + start - base_a, theirs + start - base_b, end - start
        if base_a + length_a < base_b + length_b:
            i += 1
        else:
            j += 1
    (base_end, mine_end, _), (_, theirs_end, _) = to_mine[-1], to_theirs[-1]
    yield base_end, mine_end, theirs_end, 0


def _blocks(base: Sequence[str], other: Sequence[str]) -> list[Block] | None:
    """The runs of equal lines, in order, and an empty one at both ends; None for texts that would
    take too long. Equal beginnings and ends are left out of the comparison."""
    shorter = min(len(base), len(other))
    head = 0
    while head < shorter and base[head] == other[head]:
        head += 1
    tail = 0
    while tail < shorter - head and base[-1 - tail] == other[-1 - tail]:
        tail += 1
    inner, changed = base[head : len(base) - tail], other[head : len(other) - tail]
    if len(inner) * len(changed) > MAX_COMPARISONS:
        return None
    found = SequenceMatcher(None, inner, changed, autojunk=False).get_matching_blocks()
    blocks = [(head + a, head + b, size) for a, b, size in found if size]
    ends = [(len(base) - tail, len(other) - tail, tail), (len(base), len(other), 0)]
    return [block for block in [(0, 0, head), *blocks, *ends[:1]] if block[2]] + ends[1:]
