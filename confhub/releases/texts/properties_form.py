"""Properties as java.util.Properties reads them, in UTF-8.

https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Properties.html
"""

import re
from collections.abc import Mapping

from confhub.releases.texts.base import Bad, Item, line_end
from confhub.releases.texts.lines import Line, as_text, spliced
from watchers.wire.canonical import Json

_SKIPPED = re.compile(r"(?:[ \t\f]*(?:[#!][^\r\n]*)?(?:\r\n|\r|\n))+|[ \t\f]*(?:[#!][^\r\n]*)?\Z")
_LEAD = re.compile(r"[ \t\f]*")
_FOLDED = re.compile(r"\\(?:\r\n|\r|\n)[ \t\f]*")
_GLUE = re.compile(r"(?:[ \t\f]|\\(?:\r\n|\r|\n))*(?:[=:](?:[ \t\f]|\\(?:\r\n|\r|\n))*)?")
_KEY = re.compile(r"(?:\\(?:\r\n|[\s\S])|[^\\=: \t\f\r\n])*")
_REST = re.compile(r"(?:\\(?:\r\n|[\s\S])|[^\\\r\n])*\\?")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
_OPEN = re.compile(r"(?<!\\)(?:\\\\)*\\(?:\r?\n[ \t\f]*)?\Z")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|\r\n|[\s\S]|\Z)")


def parse(text: str) -> list[Item]:
    """Every key with its text. Raises Bad."""
    return [Item(line.key, line.at, line.text) for line in _lines(text)]


def write(values: Mapping[str, Json]) -> str:
    """Keys sorted."""
    return "".join(f"{_line(key, as_text(values[key]))}\n" for key in sorted(values))


def splice(text: str, values: Mapping[str, Json]) -> str:
    """`text` with the lines that differ replaced, removed and added."""
    return spliced(text, _lines(text), values, value=_value, line=_line)


def _lines(text: str) -> list[Line]:
    found: list[Line] = []
    at = 0
    while True:
        if skipped := _SKIPPED.match(text, at):
            at = skipped.end()
        if at >= len(text):
            return found
        line, at = _read(text, at)
        found.append(line)


def _read(text: str, at: int) -> tuple[Line, int]:
    begin = _end(_LEAD, text, at)
    name_end = _end(_KEY, text, begin)
    start = _end(_GLUE, text, name_end)
    end = _end(_REST, text, start)
    if end == len(text) and _OPEN.search(text[begin:]):
        raise Bad(end, "The last line ends with '\\', so it goes on nowhere. Remove it.")
    key = _unescaped(text[begin:name_end], begin)
    glue = "" if start > name_end else "="
    line = Line(key, begin, _unescaped(text[start:end], start), start, end, glue=glue)
    return line, line_end(text, end)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _unescaped(raw: str, at: int) -> str:
    """`raw` without its escapes; a pair of surrogates, as Java writes it, is one character."""
    folded = _FOLDED.sub("", raw) if "\\\n" in raw or "\\\r" in raw else raw

    def plain(found: re.Match[str]) -> str:
        escape = found[1]
        if escape.startswith("u"):
            if len(escape) != 5:
                raise Bad(at, "\\u is followed by four hexadecimal digits. Write them, or \\\\u.")
            return chr(int(escape[1:], 16))
        return _ESCAPES.get(escape, escape)

    text = _ESCAPE.sub(plain, folded)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise Bad(at, "\\ud800 to \\udfff are characters only in pairs. Write both.") from error


def _line(key: str, text: str) -> str:
    return f"{key}={_value(text, '')}"


def _value(text: str, _: str) -> str:
    escaped = re.sub("[\\\\\t\n\r\f]", lambda found: _ESCAPED[found[0]], text)
    escaped = "".join(
        character if character.isprintable() else _unicode(character) for character in escaped
    )
    return f"\\{escaped}" if escaped.startswith((" ", "=", ":")) else escaped


def _unicode(character: str) -> str:
    """Two escapes beyond U+FFFF, as Java counts."""
    raw = character.encode("utf-16-be").hex()
    return "".join(f"\\u{raw[at : at + 4]}" for at in range(0, len(raw), 4))
