"""A difference as Markdown, fit for a comment at a pull request. Pure.

Whatever stands in a value stays a value: it is quoted as JSON in a code span, where neither HTML, a
link nor an @name means anything, and it is cut. A secret is its fingerprint.
"""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

MAX_VALUE_CHARS = 160  # in a cell of a table
MAX_TEXT_LINES = 60  # of a difference between texts
MAX_TEXT_CHARS = 4000
MAX_CHARS = 60_000  # of the whole; GitHub takes 65,536 in a comment
_HIDDEN = "plain before or after it was a secret; not shown"


class Changed(Protocol):
    """One key that differs: `releases.diff.Change`, or the same in REST."""

    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> Literal["added", "changed", "removed"]: ...
    @property
    def old(self) -> Any: ...
    @property
    def new(self) -> Any: ...


def document(title: str, parts: Iterable[str]) -> str:
    """`title` and as many of `parts` as a comment takes; the last line says how many it does not.

    `title` and `parts` are Markdown already: `line`, `section`.
    """
    made, left, size = [f"## {title}"], 0, len(title)
    for part in parts:
        size += len(part) + 2
        if size > MAX_CHARS:
            left += 1
        else:
            made.append(part)
    if left:
        made.append(f"_{left} more part{'s' if left > 1 else ''} left out, because they are long._")
    return "\n\n".join(made) + "\n"


def section(heading: str, changes: Sequence[Changed], *, nothing: str = "Nothing differs.") -> str:
    """A heading (Markdown), a table of the changes, and below it what is longer than a cell."""
    if not changes:
        return f"### {heading}\n\n{nothing}"
    rows, texts, size = [], [], 0
    for change in changes:
        row, text = _row(change), _text(change)
        size += len(row) + len(text)
        if size > MAX_CHARS // 2:
            break
        rows.append(row)
        texts += [text] if text else []
    left = len(changes) - len(rows)
    table = "\n".join(["| Key | | Before | After |", "| --- | --- | --- | --- |", *rows])
    more = [f"_{left} more key{'s' if left > 1 else ''} left out._"] if left else []
    return "\n\n".join([f"### {heading}", table, *texts, *more])


def code(text: str) -> str:
    """`text` as a code span on one line, whatever stands in it."""
    shown = _visible(text)
    ticks = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if not shown or shown[0] in "` " or shown[-1] in "` " else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _row(change: Changed) -> str:
    old = "" if change.kind == "added" else _cell(change.old, beside=change.new)
    new = "" if change.kind == "removed" else _cell(change.new, beside=change.old)
    # GitHub reads a bar behind a backslash as a bar, also in a code span.
    cells = (code(change.key), change.kind, old, new)
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |"


def _cell(value: Any, *, beside: Any) -> str:
    if _is_secret(value):
        mark = value.get("fingerprint") or "sealed"
        version = f", version {value['version']}" if "version" in value else ""
        return f"secret {code(str(mark))}{version}"
    if _is_secret(beside):
        return f"_{_HIDDEN}_"
    if isinstance(value, str) and "\n" in value:
        lines = value.count("\n") + (not value.endswith("\n"))
        return f"text of {lines} line{'s' if lines != 1 else ''}"
    told = json.dumps(value, ensure_ascii=False)
    if len(told) <= MAX_VALUE_CHARS:
        return code(told)
    return f"{code(told[:MAX_VALUE_CHARS])}… ({len(told):,} characters)"


def _text(change: Changed) -> str:
    """The difference of texts of several lines, fenced; "" where the table says all of it."""
    sides = [each if isinstance(each, str) else "" for each in (change.old, change.new)]
    if _is_secret(change.old) or _is_secret(change.new) or not any("\n" in each for each in sides):
        return ""
    before, after = (each.splitlines() for each in sides)
    found = difflib.unified_diff(before, after, lineterm="", n=3)
    lines = [_visible(line) for line in list(found)[2:]]
    shown = "\n".join(lines[:MAX_TEXT_LINES])[:MAX_TEXT_CHARS]
    if len(shown) < len("\n".join(lines)):
        shown += "\n… (cut)"
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{code(change.key)}\n\n{fence}diff\n{shown}\n{fence}"


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get("$secret") is True


def _visible(text: str) -> str:
    """Characters that turn, hide or end a line as their code points."""
    return "".join(
        each if each.isprintable() else f"\\u{ord(each):04x}" for each in text.replace("\t", "    ")
    )
