"""Where each value of a TOML text stands. The text was read already, so what it means is known."""

import re
import tomllib
from dataclasses import dataclass

from confhub.releases.texts.base import Bad

_BETWEEN = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_PART = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+')
_BASIC = re.compile(r'"(?:\\.|[^"\\\n])*"')
_BASIC_LINES = re.compile(r'"""(?:\\[\s\S]|"{0,2}[^"\\])*"{3,5}')
_LITERAL_LINES = re.compile(r"'''(?:'{0,2}[^'])*'{3,5}")
_LITERAL = re.compile(r"'[^'\n]*'")
_PLAIN = re.compile(r"[^\n#]*")
_INSIDE = re.compile(r"[^\[\]{}\"'#]+|#[^\n]*")


@dataclass(frozen=True)
class Statement:
    """One `path = value`, or a header where `start` is None; `path` with its table's."""

    path: tuple[str, ...]
    at: int
    start: int | None
    end: int
    table: tuple[str, ...]  # the header it stands below
    in_array: bool = False  # of tables, so that its path names several values


def statements(text: str) -> list[Statement]:
    """Every header and every value of a text that TOML readers take, in its order."""
    found: list[Statement] = []
    table: tuple[str, ...] = ()
    arrays: set[tuple[str, ...]] = set()
    at = _skip(text, 0)
    while at < len(text):
        if text[at] == "[":
            begin = at + (2 if text.startswith("[[", at) else 1)
            table, end = _path(text, begin)
            if begin == at + 2:
                arrays.add(table)
            end = text.index("]", end) + begin - at
            found.append(Statement(table, at, None, end, table, _is_in(table, arrays)))
        else:
            path, end = _path(text, at)
            start = _skip_blanks(text, text.index("=", end) + 1)
            end = _value_end(text, start)
            whole = (*table, *path)
            found.append(Statement(whole, at, start, end, table, _is_in(whole, arrays)))
        at = _skip(text, end)
    return found


def _is_in(path: tuple[str, ...], arrays: set[tuple[str, ...]]) -> bool:
    return any(path[: len(each)] == each for each in arrays)


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _skip_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at


def _path(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """A dotted key from `at`: its parts, and where it ends."""
    parts: list[str] = []
    while True:
        found = _PART.match(text, at := _skip_blanks(text, at))
        if found is None:  # never in a text that was read
            raise Bad(at, "A key belongs here.")
        parts.append(_name(found[0]))
        at = _skip_blanks(text, found.end())
        if text[at : at + 1] != ".":
            return tuple(parts), at
        at += 1


def _name(part: str) -> str:
    if part.startswith('"'):
        return next(iter(tomllib.loads(f"{part} = 0")))
    return part.strip("'")


def _value_end(text: str, at: int) -> int:
    if text[at] in "[{":
        return _nested_end(text, at)
    if text[at] in "\"'":
        return _string_end(text, at)
    found = _PLAIN.match(text, at)
    return at + len(found[0].rstrip()) if found else at


def _string_end(text: str, at: int) -> int:
    for pattern in (_BASIC_LINES, _LITERAL_LINES, _BASIC, _LITERAL):
        if found := pattern.match(text, at):
            return found.end()
    raise Bad(at, "This quote is never closed.")  # never in a text that was read


def _nested_end(text: str, at: int) -> int:
    depth = 0
    while True:
        if text[at] in "[{":
            depth += 1
            at += 1
        elif text[at] in "]}":
            depth -= 1
            at += 1
            if depth == 0:
                return at
        elif text[at] in "\"'":
            at = _string_end(text, at)
        elif found := _INSIDE.match(text, at):
            at = found.end()
