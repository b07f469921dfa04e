"""A matrix of two to six sets of entries, key by key. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from confhub.core.errors import ConfHubError
from confhub.releases.diff import same
from confhub.releases.entries import Entries

LEAST, MOST = 2, 6  # sides


class BadComparison(ConfHubError):
    """A side cannot be read, or there are too few or too many."""

    code: ClassVar[str] = "compare.bad"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Side:
    """One set of entries, masked, and what it is: "checkout@dev", "release 42" """

    name: str  # as one asks for it: "checkout@dev", "checkout@dev/draft", "checkout@dev/r42"
    title: str  # "checkout@dev", "draft of checkout@dev", "checkout@dev r42"
    entries: Entries
    release: int | None = None  # None: a draft, or nothing was published


@dataclass(frozen=True)
class Line:
    """One key; of each side its masked entry, or None where it is not there."""

    key: str
    entries: list[Mapping[str, Any] | None]
    differs: bool


def check_count(count: int) -> None:
    """Raises BadComparison."""
    if not LEAST <= count <= MOST:
        sentence = f"Name {LEAST} to {MOST} sides, such as a=checkout@dev and b=checkout@prod."
        raise BadComparison(
            f"{count} side{'s are' if count != 1 else ' is'} no comparison. {sentence}",
            fields={"a": sentence},
        )


def matrix(sides: Sequence[Side], *, everything: bool = False) -> list[Line]:
    """Every key that differs between any two sides (or every key), sorted. Raises BadComparison."""
    check_count(len(sides))
    keys = sorted({key for side in sides for key in side.entries})
    lines = []
    for key in keys:
        entries = [side.entries.get(key) for side in sides]
        differs = any(not _same(entries[0], other) for other in entries[1:])
        if differs or everything:
            lines.append(Line(key, list(entries), differs))
    return lines


def _same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return same(one, other)
