"""TOML 1.0, https://toml.io/en/v1.0.0: plain entries first, then one table for each object."""

import json
import re
from collections.abc import Mapping
from typing import Any

from watchers.render.errors import CannotRender
from watchers.wire.canonical import Json

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LIMIT = 1 << 63  # readers need not take larger integers


def write_toml(values: Mapping[str, Json]) -> bytes:
    """Keys sorted; an object is a table, within a list an inline one. Raises CannotRender."""
    return "\n".join(_tables(values, ())).lstrip("\n").encode()


def _tables(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Blocks of whole lines: what stands in the table itself, then the tables below it."""
    plain = {key: value for key, value in sorted(values.items()) if not isinstance(value, dict)}
    lines = [f"{_key(key)} = {_value(value, (*path, key))}\n" for key, value in plain.items()]
    blocks = ["".join(lines)] if lines else []
    for key, value in sorted(values.items()):
        if isinstance(value, dict):
            below = (*path, key)
            head = f"[{'.'.join(map(_key, below))}]\n"
            first, *rest = _tables(value, below) or [""]
            if first.startswith("["):
                first, rest = "", [first, *rest]  # it holds tables only
            blocks += [head + first, *rest]
    return blocks


def _value(value: Any, path: tuple[str, ...]) -> str:
    if value is None:
        raise CannotRender(f"{_where(path)} is null, which has no form in TOML.")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        held = (_value(one, (*path, str(at))) for at, one in enumerate(value))
        return f"[{', '.join(held)}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(one, (*path, key))}" for key, one in sorted(value.items()))
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, int) and not -_LIMIT <= value < _LIMIT:
        raise CannotRender(f"{_where(path)} is an integer of more than 64 bits, which TOML lacks.")
    return json.dumps(value, allow_nan=False)


def _where(path: tuple[str, ...]) -> str:
    """`LIMITS`, or `"max" in LIMITS`: the entry by its key, and what is below it."""
    return " in ".join([*(f'"{part}"' for part in reversed(path[1:])), path[0]])


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
