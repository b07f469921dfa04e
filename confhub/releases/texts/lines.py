"""Formats of one key a line, `KEY=text`, whose values are texts: .env and properties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confhub.releases.texts.base import (
    Edit,
    appended,
    edited,
    line_end,
    line_start,
    parsed_json,
    same,
)
from watchers.wire.canonical import Json
from watchers.wire.documents import plain_value


@dataclass(frozen=True)
class Line:
    """One key with its text. The value is written from `start` to `end`, in the style `style`."""

    key: str
    at: int
    text: str
    start: int
    end: int
    style: str = ""
    glue: str = ""  # what has to stand before a value that is put in


def as_text(value: Json) -> str:
    """A text as it is, anything else as JSON."""
    return plain_value(value).decode()


def typed(text: str, held: Json) -> Json:
    """`text` as a value of the type that `held` has; a text where it cannot be one."""
    if isinstance(held, str):
        return text
    try:
        found: Json = parsed_json(text)
    except (ValueError, RecursionError):
        return text
    return found if _kind(found) == _kind(held) else text


def spliced(
    text: str, lines: list[Line], values: Mapping[str, Json],
    *, value: Callable[[str, str], str], line: Callable[[str, str], str],
) -> str:  # fmt: skip
    """`text` with the lines that differ replaced, removed and added.

    `value(text, style)` writes a value, `line(key, text)` a whole new line without its break.
    """
    edits: list[Edit] = []
    for each in lines:
        if each.key not in values:
            edits.append(Edit(line_start(text, each.at), line_end(text, each.end)))
            continue
        wanted = values[each.key]
        if not same(typed(each.text, wanted), wanted):
            new = each.glue + value(as_text(wanted), each.style)
            edits.append(Edit(each.start, each.end, new))
    there = {each.key for each in lines}
    fresh = [line(key, as_text(values[key])) for key in sorted(values.keys() - there)]
    return edited(text, [*edits, *appended(text, len(text), fresh)])


def _kind(value: Json) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__
