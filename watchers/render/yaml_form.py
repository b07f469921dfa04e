"""Block-style YAML that YAML 1.1 and 1.2 readers take for the same values.

https://yaml.org/spec/1.2.2/ and, for what plain words mean to older readers, https://yaml.org/type/
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from watchers.wire.canonical import Json

# What no reader can take for anything else than a text, once the words below are left out.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_WORDS = frozenset(
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"]
)  # each a bool, a null or a number to some reader, in any case
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # json.dumps leaves these
_UNFIT = re.compile("[^\n\x20-\x7e\xa0-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")
MAX_KEY_CHARS = 1000  # a longer one has to be announced by "? "


def write_yaml(values: Mapping[str, Json]) -> bytes:
    """Keys sorted, nested values indented by two, texts of several lines as a block."""
    if not values:
        return b"{}\n"
    return ("\n".join(_mapping(values, 0)) + "\n").encode()


def _mapping(values: Mapping[str, Any], depth: int) -> list[str]:
    pad, lines = "  " * depth, []
    for key, value in sorted(values.items()):
        name = _text(key)
        if len(name) > MAX_KEY_CHARS:
            lines.append(f"{pad}? {name}")
            name = ""
        first, *rest = _value(value, depth + 1)
        lines.append(f"{pad}{name}:{first}")
        lines += rest
    return lines


def _sequence(values: list[Any], depth: int) -> list[str]:
    pad, lines = "  " * depth, []
    for value in values:
        first, *rest = _value(value, depth + 1)
        if not first:
            # The first line of a nested collection stands right behind its dash.
            first, rest = f" {rest[0].lstrip(' ')}", rest[1:]
        lines.append(f"{pad}-{first}")
        lines += rest
    return lines


def _value(value: Any, depth: int) -> list[str]:
    """What follows a colon or a dash: the rest of its line, then whole lines at `depth`."""
    if isinstance(value, dict) and value:
        return ["", *_mapping(value, depth)]
    if isinstance(value, list) and value:
        return ["", *_sequence(value, depth)]
    if isinstance(value, str) and _is_block(value):
        return _block(value, depth)
    return [f" {_scalar(value)}"]


def _is_block(text: str) -> bool:
    """True for lines that stand as they are, indented: the rest is quoted."""
    body = text.removesuffix("\n")
    return (
        "\n" in text
        and bool(body)
        and body[0] not in " \n"
        and not body.endswith("\n")
        and not _UNFIT.search(text)
    )


def _block(text: str, depth: int) -> list[str]:
    pad = "  " * depth
    lines = text.removesuffix("\n").split("\n")
    head = " |" if text.endswith("\n") else " |-"
    return [head, *(f"{pad}{line}" if line else "" for line in lines)]


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value)  # null, true, 5, [] and {} are YAML as they are


def _number(value: float) -> str:
    """1e-07 as 1.0e-07, because older readers see no number without a point."""
    text = json.dumps(value, allow_nan=False)
    mantissa, mark, exponent = text.partition("e")
    return text if not mark or "." in mantissa else f"{mantissa}.0e{exponent}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
