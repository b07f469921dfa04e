"""A difference between two sets of entries, ready to be drawn."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confhub.releases.diff import Change, diff
from dashboard import textdiff, values
from dashboard.textdiff import Row, Segment
from dashboard.values import Shown

WORDS = {"added": "Added", "changed": "Changed", "removed": "Removed"}


@dataclass(frozen=True)
class DrawnChange:
    """One key that differs. `rows` for texts of several lines; else both sides as segments."""

    key: str
    kind: str  # "added", "changed", "removed"
    old: Shown | None
    new: Shown | None
    old_segments: list[Segment] = field(default_factory=list)
    new_segments: list[Segment] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def word(self) -> str:
        return WORDS[self.kind]

    @property
    def kind_moved(self) -> str:
        """ "Number → Text" where the value is of another kind than before; else empty."""
        if self.old is None or self.new is None or self.old.kind == self.new.kind:
            return ""
        return f"{values.KINDS[self.old.kind]} → {values.KINDS[self.new.kind]}"


def drawn(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]],
    only: Collection[str] | None = None,
) -> list[DrawnChange]:  # fmt: skip
    """What turns `old` into `new`, by key; only those in `only` where given."""
    return [_drawn(each) for each in diff(old, new) if only is None or each.key in only]


def drawn_of(found: Iterable[Change]) -> list[DrawnChange]:
    """The same of a difference that is at hand."""
    return [_drawn(each) for each in found]


def counts(changes: Collection[DrawnChange] | Collection[Change]) -> dict[str, int]:
    """{"added": 1, "changed": 2, "removed": 0}"""
    return {kind: sum(each.kind == kind for each in changes) for kind in WORDS}


def _drawn(change: Change) -> DrawnChange:
    old = None if change.kind == "added" else values.shown(change.old)
    new = None if change.kind == "removed" else values.shown(change.new)
    if any(side is not None and side.is_long for side in (old, new)):
        rows = _rows(old, new)
        return DrawnChange(change.key, change.kind, old, new, rows=rows)
    if old is not None and new is not None:
        left, right = textdiff.words(old.text, new.text)
    else:
        left = [Segment(old.text, changed=False)] if old and old.text else []
        right = [Segment(new.text, changed=False)] if new and new.text else []
    return DrawnChange(change.key, change.kind, old, new, left, right)


def _rows(old: Shown | None, new: Shown | None) -> list[Row]:
    """A text on one side alone has no lines on the other; `"".split` would give it an empty one."""
    if old is not None and new is not None:
        return textdiff.rows(old.text, new.text)
    side = old or new
    assert side is not None  # noqa: S101  # a change has at least one side
    lines = [[Segment(line, changed=False)] for line in side.text.split("\n")]
    found = [
        Row("removed", n, None, line, []) if old else Row("added", None, n, [], line)
        for n, line in enumerate(lines[: textdiff.MAX_ROWS], start=1)
    ]
    if len(lines) > textdiff.MAX_ROWS:
        found.append(Row("skip", skipped=len(lines) - textdiff.MAX_ROWS))
    return found
