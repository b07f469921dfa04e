"""A draft's values as texts that people write: read, write, and patch without losing a comment.

    yaml        the core schema of YAML 1.2; no anchors, aliases and tags
    json        one object
    toml        no dates
    env         texts only: a key keeps the type that its value had
    properties  the same

Each keeps these: `read(patch(text, values)) == values`, and `patch(text, read(text)) == text`, byte
for byte. A secret stands in a text as its mask (`masks.py`), never as its value.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from confhub.core import limited
from confhub.core.errors import ConfHubError
from confhub.releases.texts.base import FORMATS, MAX_CHARS, CannotWrite, Format
from confhub.releases.texts.reading import written
from watchers.wire.canonical import Json

__all__ = ["FORMATS", "Format", "Reading", "TextUnreadable", "TextUnwritable", "has_same_notes", "patch", "read", "read_with_lines", "write"]  # fmt: skip
_LIMITS = limited.Limits(cpu_s=10.0)  # 5,000 keys take about half a second


class TextUnreadable(ConfHubError):
    """The text does not read in its format. `line` and `column` count from 1."""

    code: ClassVar[str] = "text.unreadable"
    status: ClassVar[int] = 422

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(
            f"Line {line}: {message}",
            fields={"text": f"Line {line}: {message}"},
            extra={"line": line, "column": column},
        )
        self.line, self.column, self.message = line, column, message


class TextUnwritable(ConfHubError):
    """A value has no form in the format: null in TOML, say."""

    code: ClassVar[str] = "text.unwritable"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Reading:
    """What a text says, and on which line each key begins."""

    values: dict[str, Json]
    lines: dict[str, int]


def read(format: Format, text: str, held: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """{KEY: value}. env and properties hold texts only: a key that `held` has keeps its type where
    the text can be of it. Raises TextUnreadable."""
    return read_with_lines(format, text, held).values


def read_with_lines(format: Format, text: str, held: Mapping[str, Json] | None = None) -> Reading:
    """The same with the line of each key."""
    answer = _call("read", format, text, dict(held or {}))
    return Reading(answer["values"], answer["lines"])


def write(format: Format, values: Mapping[str, Json]) -> str:
    """A first text with sorted keys. Raises TextUnwritable."""
    try:
        return written(format, dict(values))
    except CannotWrite as error:
        raise TextUnwritable(f"{error} Choose another format.") from error


def patch(format: Format, text: str, values: Mapping[str, Json]) -> str:
    """`text` with only the keys that differ from `values` replaced, removed and added. Comments,
    blank lines, quotes and order stay. Raises TextUnreadable and TextUnwritable."""
    answer = _call("patch", format, text, dict(values))
    if "cannot" in answer:
        raise TextUnwritable(f"{answer['cannot']} Choose another format.")
    patched: str = answer["text"]
    return patched


def has_same_notes(format: Format, one: str, other: str) -> bool:
    """True where two texts differ in nothing but values, and in keys that only one of them has.
    False where one of them does not read."""
    try:
        both = read(format, one).keys() & read(format, other).keys()
        return bool(_noted(format, one, both) == _noted(format, other, both))
    except TextUnreadable:
        return False


def _noted(format: Format, text: str, keys: Collection[str]) -> list[str]:
    answer: list[str] = _limited("notes", format, text, sorted(keys))
    return answer


def _call(function: str, format: str, text: str, values: dict[str, Json]) -> dict[str, Any]:
    answer: dict[str, Any] = _limited(function, format, text, values)
    if "problem" in answer:
        raise TextUnreadable(**answer["problem"])
    return answer


def _limited(function: str, format: str, text: str, argument: Any) -> Any:
    if format not in FORMATS:
        raise ValueError(f"{format!r} is not a format: {', '.join(FORMATS)}")
    if len(text) > MAX_CHARS:
        raise TextUnreadable(
            1, 1, f"The text has more than {MAX_CHARS:,} characters. Make it shorter."
        )
    name = f"confhub.releases.texts.reading:{function}"
    try:
        return limited.call(name, format, text, argument, limits=_LIMITS)
    except limited.Limited as error:
        raise TextUnreadable(1, 1, f"The text was not read to its end. {error.detail}") from error
