"""Values of entries as people read and type them. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from watchers.wire.canonical import Json

Kind = Literal["string", "number", "boolean", "null", "json", "secret"]
SECRET = "$secret"  # noqa: S105  # REST's word
KINDS: dict[Kind, str] = {
    "string": "Text",
    "number": "Number",
    "boolean": "True or false",
    "null": "Null",
    "json": "JSON",
    "secret": "Secret",
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class NotAValue(ValueError):
    """What was typed is not of the chosen kind; the text says what is."""


@dataclass(frozen=True)
class Shown:
    """A value on its way to a page: its kind, its text, and its exact JSON."""

    kind: Kind
    text: str
    raw: str

    @property
    def is_long(self) -> bool:
        return "\n" in self.text or len(self.text) > 120


def kind_of(value: Json) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    if isinstance(value, dict) and value.get(SECRET) is True:
        return "secret"
    return "number" if isinstance(value, int | float) else "json"


def raw(value: Json) -> str:
    """The value as exact JSON text. Scripts pass it on as text, because they have no integers."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def shown(value: Json) -> Shown:
    """The value as text for people: a string as it is, an object with one member a line, of a
    secret what it is known by."""
    kind = kind_of(value)
    if isinstance(value, dict) and kind == "secret":
        known = f"version {value.get('version', '?')}, fingerprint {value.get('fingerprint', '?')}"
        return Shown(kind, f"•••••• {known}", raw(value))
    if isinstance(value, str):
        return Shown(kind, value, raw(value))
    text = json.dumps(value, ensure_ascii=False, indent=2 if kind == "json" and value else None)
    return Shown(kind, text, raw(value))


def read(kind: str, text: str) -> Json:
    """The value that somebody typed as `kind`. Raises NotAValue.

    A browser sends line ends as CR LF; a value has LF, as every file in a container does.
    """
    if kind == "string":
        return text.replace("\r\n", "\n")
    if kind == "secret":
        if not text:
            raise NotAValue("Write the new value. Without one the secret stays as it is.")
        return {SECRET: text.replace("\r\n", "\n")}
    word = text.strip()
    if kind == "null":
        return None
    if kind == "boolean":
        if word not in ("true", "false"):
            raise NotAValue("Write true or false.")
        return word == "true"
    if kind == "number":
        if not _NUMBER.fullmatch(word):
            raise NotAValue(f"{word[:60]!r} is not a number. Write one such as 200, -1.5 or 1e6.")
        number: Json = _finite(json.loads(word), word)
        return number
    if kind == "json":
        return _json(text)
    raise NotAValue(f"{kind[:40]!r} is not a kind of value.")


def _json(text: str) -> Json:
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_exact_float)
    except json.JSONDecodeError as error:
        raise NotAValue(
            f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise NotAValue("This nests too deeply.") from error
    return value


def _refuse_constant(word: str) -> Any:
    raise NotAValue(f"{word} is not JSON. Write a number, a text or null.")


def _exact_float(word: str) -> float:
    return float(_finite(float(word), word))


def _finite(number: Any, word: str) -> Any:
    if number in (float("inf"), float("-inf")):
        raise NotAValue(f"{word[:60]} is too large for a number. Write it as a text.")
    return number
