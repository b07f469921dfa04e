"""What the five formats share: where something stands in a text, and edits of it by position."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from watchers.wire.canonical import Json, canonical
from watchers.wire.names import BadName, check_key, check_value

Format = Literal["yaml", "json", "env", "toml", "properties"]
FORMATS: tuple[Format, ...] = get_args(Format)
MAX_CHARS = 4 << 20  # of one text; a release has 1 MiB by default, and comments may stand beside it
MAX_NESTING = 65  # the text's own mapping, and as deep below it as a value may be
MAX_DIGITS = 4000  # of one integer; Python reads no longer ones
_UNFIT = re.compile(r"[\x00\ud800-\udfff]|\A\ufeff|\r(?!\n)")


class Bad(Exception):
    """The text cannot be read at `at` (an index into it); the sentence says why and the way out."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class CannotWrite(ValueError):
    """A value has no form in the format; the text says which."""


@dataclass(frozen=True)
class Item:
    """One key of a text: where its name begins, and its value (a text in env and properties)."""

    key: str
    at: int
    value: Json


@dataclass(frozen=True)
class Edit:
    """Put `new` for what stands from `start` to `end`."""

    start: int
    end: int
    new: str = ""


def edited(text: str, edits: list[Edit]) -> str:
    """`text` with `edits` made, none of which overlaps another. Insertions at one place keep their
    order, and stand behind what is replaced before it."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        pieces += [text[at : edit.start], edit.new]
        at = max(at, edit.end)
    return "".join([*pieces, text[at:]])


def same(one: Json, other: Json) -> bool:
    """True for the same JSON: 1 is neither 1.0 nor true. False where one of them is none."""
    if one is other:
        return True
    try:
        return canonical(one) == canonical(other)
    except (ValueError, TypeError, RecursionError):
        return False


def same_values(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)


def check_characters(text: str) -> None:
    """Raise Bad for a text that is too long or holds what no format and no database takes."""
    if len(text) > MAX_CHARS:
        raise Bad(MAX_CHARS, f"The text has more than {MAX_CHARS:,} characters. Make it shorter.")
    found = _UNFIT.search(text)
    if found is not None:
        raise Bad(found.start(), f"The character U+{ord(found[0]):04X} cannot be kept. Remove it.")


def check_items(items: list[Item]) -> None:
    """Raise Bad for a bad name, a key that stands twice and a value that no entry can hold."""
    seen: set[str] = set()
    for item in items:
        try:
            check_key(item.key)
            check_value(item.key, item.value)
        except BadName as error:
            raise Bad(item.at, str(error)) from error
        if item.key in seen:
            raise Bad(item.at, f"{item.key} stands here a second time. Remove one of the two.")
        if holds_nul(item.value):
            raise Bad(item.at, f"{item.key}: the value holds a NUL character (U+0000). Remove it.")
        seen.add(item.key)


def holds_nul(value: Json) -> bool:
    match value:
        case str():
            return "\x00" in value
        case list():
            return any(map(holds_nul, value))
        case dict():
            return any("\x00" in name or holds_nul(held) for name, held in value.items())
    return False


def number(word: str, at: int, *, whole: bool) -> int | float:
    """`word` as a JSON number. Raises Bad for one that is too large."""
    if whole:
        if len(word) > MAX_DIGITS:
            raise Bad(at, f"A whole number has at most {MAX_DIGITS:,} digits. Put it in quotes.")
        return int(word)
    found = float(word)
    if found in (float("inf"), float("-inf")) or found != found:
        raise Bad(
            at, f"{word[:40]} is no number that JSON has. Put it in quotes to keep it as text."
        )
    return found


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Both from 1; the column counts characters."""
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Where the line of `at` is over, its line break included."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def newline_of(text: str) -> str:
    """The line break of the text's first line; "\\n" where it has none."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def appended(text: str, at: int, lines: list[str]) -> list[Edit]:
    """The edit that puts whole `lines` (without breaks) at `at`, the start of a line or the end."""
    if not lines:
        return []
    newline = newline_of(text)
    lead = newline if at and text[at - 1] != "\n" else ""
    block = newline.join(line.replace("\n", newline) for line in lines)
    tail = "" if lead and at == len(text) else newline
    return [Edit(at, at, f"{lead}{block}{tail}")]


def parsed_json(word: str) -> Any:
    """`word` as JSON. Raises ValueError, also for NaN and what is too large, and RecursionError."""
    found = json.loads(word, parse_constant=_refuse)
    canonical(found)  # 1e999 was read as infinity
    return found


def _refuse(name: str) -> None:
    raise ValueError(name)
