"""JSON pointers (RFC 6901): "/release/tag_name", "/commits/0/id"; "" is the whole document. Pure.

https://datatracker.ietf.org/doc/html/rfc6901
"""

import re

from watchers.wire.canonical import Json

MAX_CHARS = 300
NAMED = 8  # members that a sentence names
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_TILDE = re.compile(r"~(?![01])")


class NoSuchValue(Exception):
    """The pointer leads nowhere. The text says how far it got and what is there, and no value."""


def problem(pointer: object) -> str | None:
    """The sentence that says why `pointer` is none; None where it is one."""
    if not isinstance(pointer, str):
        return "Write a JSON pointer, such as /release/tag_name."
    if len(pointer) > MAX_CHARS or "\x00" in pointer:
        return f"Write a JSON pointer of at most {MAX_CHARS} characters, without NUL."
    if pointer and not pointer.startswith("/"):
        return f"{pointer[:80]!r} is no JSON pointer: it begins with '/', as in /release/tag_name."
    if _BAD_TILDE.search(pointer):
        return f"{pointer[:80]!r}: write '~' as ~0 and '/' within a name as ~1."
    return None


def find(document: Json, pointer: str) -> Json:
    """What `pointer` points to in `document`. Raises NoSuchValue."""
    found, way = document, ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and _INDEX.fullmatch(part) and int(part) < len(found):
            found = found[int(part)]
        else:
            raise NoSuchValue(f"{pointer} is not there: {way or 'the payload'} is {_what(found)}.")
        way += f"/{part}"
    return found


def kind_of(value: Json) -> str:
    """ "a text", "a number", … as sentences say it."""
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a text", dict: "an object", list: "a list", type(None): "null"}
    return kinds.get(type(value), "a number")


def _what(value: Json) -> str:
    if isinstance(value, dict):
        names = sorted(value)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        listed = ", ".join(ascii(name[:40])[1:-1] for name in names[:NAMED])
        return f"an object with {listed}{more}" if names else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return kind_of(value)
