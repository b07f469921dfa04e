"""A long list in parts, by number; for lists that are drawn from memory. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class Part(Generic[Row]):
    """Part `number` of `of` (both from 1), and where it begins in the whole."""

    rows: Sequence[Row]
    number: int
    of: int
    total: int
    first: int  # the number of its first row, from 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def before(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def after(self) -> int | None:
        return self.number + 1 if self.number < self.of else None


def part(rows: Sequence[Row], asked: str, *, size: int) -> Part[Row]:
    """The part that `asked` names; the nearest one where it is no number or out of range."""
    of = max(1, -(-len(rows) // size))
    wanted = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 9 else 1
    number = min(max(1, wanted), of)
    at = (number - 1) * size
    return Part(rows[at : at + size], number, of, len(rows), at + 1)
