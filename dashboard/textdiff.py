"""What changed in a text: by line, and within a line by word. Pure.

Old is left and new is right, everywhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal

CONTEXT = 3  # unchanged lines shown around a change
MAX_COMPARED = 4000  # lines in the part that differs; beyond it the whole part is one change
MAX_ROWS = 1500  # rows drawn of one value
MAX_WORDS = 600  # of a pair of lines; a longer one is marked as a whole

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Segment:
    """A piece of a line; `changed` pieces are marked, with their whitespace made visible."""

    text: str
    changed: bool

    @property
    def visible(self) -> str:
        if not self.changed:
            return self.text
        return self.text.replace(" ", "·").replace("\t", "→\t").replace("\r", "␍")


@dataclass(frozen=True)
class Row:
    """One line on each side, where there is one. A `skip` row stands for `skipped` equal lines."""

    kind: Literal["same", "changed", "removed", "added", "skip"]
    old_number: int | None = None
    new_number: int | None = None
    old: list[Segment] = field(default_factory=list)
    new: list[Segment] = field(default_factory=list)
    skipped: int = 0


def rows(old: str, new: str) -> list[Row]:
    """The lines that differ with CONTEXT around them; at most MAX_ROWS, the last one a skip then."""
    before, after = old.split("\n"), new.split("\n")
    found: list[Row] = []
    for row in _folded(before, after):
        if len(found) == MAX_ROWS:
            found.append(Row("skip", skipped=-1))
            break
        found.append(row)
    return found


def words(old: str, new: str) -> tuple[list[Segment], list[Segment]]:
    """Two lines as segments, with what differs marked."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if len(before) + len(after) > MAX_WORDS or not before or not after:
        return _whole(old), _whole(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < 0.3:  # two lines that share a comma are two lines
        return _whole(old), _whole(new)
    left: list[Segment] = []
    right: list[Segment] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        changed = tag != "equal"
        left += _whole("".join(before[i1:i2]), changed)
        right += _whole("".join(after[j1:j2]), changed)
    return left, right


def _whole(text: str, changed: bool = True) -> list[Segment]:
    return [Segment(text, changed)] if text else []


def _folded(before: list[str], after: list[str]) -> Iterator[Row]:
    codes = _opcodes(before, after)
    for at, (tag, i1, i2, j1, j2) in enumerate(codes):
        if tag != "equal":
            yield from _changed(before[i1:i2], after[j1:j2], i1, j1)
            continue
        head = 0 if at == 0 else CONTEXT
        tail = 0 if at == len(codes) - 1 else CONTEXT
        count = i2 - i1
        if count <= head + tail + 1:
            head, tail = count, 0
        yield from (_same(before, i1 + n, j1 + n) for n in range(head))
        if count - head - tail:
            yield Row("skip", skipped=count - head - tail)
        yield from (_same(before, i2 - n, j2 - n) for n in range(tail, 0, -1))


def _same(before: list[str], i: int, j: int) -> Row:
    line = [Segment(before[i], changed=False)]
    return Row("same", i + 1, j + 1, line, line)


def _changed(old: list[str], new: list[str], i: int, j: int) -> Iterator[Row]:
    for n, (left, right) in enumerate(zip_longest(old, new)):
        if left is None:
            yield Row("added", None, j + n + 1, [], _whole(right))
        elif right is None:
            yield Row("removed", i + n + 1, None, _whole(left), [])
        else:
            yield Row("changed", i + n + 1, j + n + 1, *words(left, right))


def _opcodes(before: list[str], after: list[str]) -> list[tuple[str, int, int, int, int]]:
    """difflib's opcodes, but what both begin and end with is taken off first: it is the most."""
    start = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    inner_old, inner_new = before[start : len(before) - end], after[start : len(after) - end]
    codes: list[tuple[str, int, int, int, int]] = []
    if start:
        codes.append(("equal", 0, start, 0, start))
    if len(inner_old) + len(inner_new) > MAX_COMPARED:
        inner = [("replace", 0, len(inner_old), 0, len(inner_new))]
    else:
        inner = list(SequenceMatcher(None, inner_old, inner_new).get_opcodes())
    codes += [
        (tag, i1 + start, i2 + start, j1 + start, j2 + start) for tag, i1, i2, j1, j2 in inner
    ]
    if end:
        codes.append(("equal", len(before) - end, len(before), len(after) - end, len(after)))
    return codes
