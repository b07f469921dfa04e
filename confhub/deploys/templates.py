"""Texts with values of a payload in them: "registry/shop:{/release/tag_name}". Pure.

`{/pointer}` stands for the text, the number, or true and false at the pointer; `{{` and `}}` are
braces. A pointer with a brace in it does not fit into a template; point to its value by itself.
"""

import json
import re
from collections.abc import Iterator

from confhub.deploys import pointers
from watchers.wire.canonical import Json

MAX_CHARS = 2000
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


def problem(template: object) -> str | None:
    """The sentence that says why `template` is none; None where it is one."""
    if not isinstance(template, str) or len(template) > MAX_CHARS or "\x00" in template:
        return f"Write a text of at most {MAX_CHARS:,} characters, with {{/pointers}} in braces."
    for piece in _PIECE.finditer(template):
        text, pointer = piece[0], piece[1]
        if text in ("{", "}"):
            return f"A '{text}' stands alone. Write {text * 2} for the character itself."
        if pointer is not None and not pointer.startswith("/"):
            return f"{{{pointer[:40]}}}: a JSON pointer stands in braces, as {{/release/tag_name}}."
        if pointer is not None and (found := pointers.problem(pointer)):
            return found
    return None


def pointers_in(template: str) -> Iterator[str]:
    """The pointers of a template, in order."""
    return (piece[1] for piece in _PIECE.finditer(template) if piece[1] is not None)


def filled(template: str, payload: Json) -> str:
    """The template with what is at its pointers. Raises NoSuchValue."""
    return "".join(_piece(piece, payload) for piece in _PIECE.finditer(template))


def _piece(piece: re.Match[str], payload: Json) -> str:
    if piece[1] is not None:
        return text_at(payload, piece[1])
    return {"{{": "{", "}}": "}"}.get(piece[0], piece[0])


def text_at(payload: Json, pointer: str) -> str:
    """What is at the pointer as a text. Raises NoSuchValue, also for what has no text form."""
    value = pointers.find(payload, pointer)
    if value is None or isinstance(value, (dict, list)):
        raise pointers.NoSuchValue(
            f"{pointer} is {pointers.kind_of(value)}, which does not fit into a text."
        )
    return value if isinstance(value, str) else json.dumps(value)
