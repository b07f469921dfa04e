""".env: `KEY=value`, as shells and Compose read it, without putting variables in.

A value is unquoted (to the end of the line, or to ` #`), or a word of pieces in single quotes (as
they are) and double quotes (with \\n, \\r, \\t, \\", \\$, \\` and \\\\). `$NAME` stays as it is
written. Quotes may go over several lines. `export ` may stand before the key.
"""

import re
from collections.abc import Mapping

from confhub.releases.texts.base import Bad, Item
from confhub.releases.texts.lines import Line, as_text, spliced
from watchers.wire.canonical import Json

_HEAD = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[^\s=#'\"]+)[ \t]*=")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_BLANKS = re.compile(r"[ \t]*")
_AFTER = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "$": "$", "`": "`", "\\": "\\", "\n": ""}
_ESCAPED = {"\\": "\\\\", '"': '\\"', "$": "\\$", "`": "\\`", "\n": "\\n", "\r": "\\r"}


def parse(text: str) -> list[Item]:
    """Every key with its text. Raises Bad."""
    return [Item(line.key, line.at, line.text) for line in _lines(text)]


def write(values: Mapping[str, Json]) -> str:
    """Keys sorted, each in quotes only where it must."""
    return "".join(f"{_line(key, as_text(values[key]))}\n" for key in sorted(values))


def splice(text: str, values: Mapping[str, Json]) -> str:
    """`text` with the lines that differ replaced, removed and added."""
    return spliced(text, _lines(text), values, value=_value, line=_line)


def _lines(text: str) -> list[Line]:
    found: list[Line] = []
    at = 0
    while at < len(text):
        blank = _AFTER.match(text, at)
        if blank:
            at = blank.end()
            continue
        line, at = _read(text, at)
        found.append(line)
    return found


def _read(text: str, at: int) -> tuple[Line, int]:
    head = _HEAD.match(text, at)
    if head is None:
        raise Bad(at, "A line is KEY=value, or a comment after '#'. Write one of them.")
    start = _past_blanks(text, head.end())
    if text[start : start + 1] in ("'", '"'):
        value, end, style = _quoted(text, start)
    else:
        value, style = _unquoted(text, head.end()), ""
        start = start if value else head.end()
        end = start + len(value)
    after = _AFTER.match(text, end)
    if after is None:
        raise Bad(end, f"{head['key'][:140]}: nothing may follow the closing quote but a comment.")
    return Line(head["key"], head.start("key"), value, start, end, style), after.end()


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _unquoted(text: str, at: int) -> str:
    """What stands between `at` and the line's end, or a '#' after a blank."""
    end = text.find("\n", at)
    rest = text[at:] if end < 0 else text[at:end]
    hash_at = rest.find("#")
    while hash_at > 0 and rest[hash_at - 1] not in " \t":
        hash_at = rest.find("#", hash_at + 1)
    return (rest[:hash_at] if hash_at > 0 else rest).strip(" \t\r")


def _quoted(text: str, start: int) -> tuple[str, int, str]:
    """The word that begins with a quote: its text, its end, and its quotes."""
    pieces: list[str] = []
    at, style = start, text[start]
    while at < len(text):
        match text[at]:
            case "'":
                end = text.find("'", at + 1)
                if end < 0:
                    raise Bad(at, "This quote is never closed. Write a ' at the value's end.")
                pieces.append(text[at + 1 : end].replace("\r\n", "\n"))
                at = end + 1
            case '"':
                piece, at = _double(text, at)
                pieces.append(piece)
            case "\\" if at + 1 < len(text):
                pieces.append(text[at + 1])
                at += 2
            case _:
                break
    return "".join(pieces), at, style


def _double(text: str, start: int) -> tuple[str, int]:
    pieces: list[str] = []
    at = start + 1
    while at < len(text):
        character = text[at]
        if character == '"':
            return "".join(pieces), at + 1
        if character == "\\" and at + 1 < len(text):
            follows = text[at + 1]
            pieces.append(_ESCAPES.get(follows, f"\\{follows}"))
            at += 2
        elif text.startswith("\r\n", at):
            pieces.append("\n")
            at += 2
        else:
            pieces.append(character)
            at += 1
    raise Bad(start, "This quote is never closed. Write a \" at the value's end.")


def _line(key: str, text: str) -> str:
    return f"{key}={_value(text, '')}"


def _value(text: str, style: str) -> str:
    """`text` in the quotes that stood there, where it fits into them."""
    if style == "" and _PLAIN.fullmatch(text):
        return text
    if style != '"' and not re.search("['\r]", text):
        return f"'{text}'"
    return '"' + re.sub(r'[\\"$`\n\r]', lambda found: _ESCAPED[found[0]], text) + '"'
