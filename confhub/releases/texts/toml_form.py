"""TOML 1.0 (https://toml.io/en/v1.0.0). Python's reader says what a text means; `toml_scan.py` says
where each value stands.

Dates and times are refused, because JSON has none: in quotes they are texts.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date, time
from typing import Any

from confhub.releases.texts.base import (
    MAX_NESTING,
    Bad,
    CannotWrite,
    Edit,
    Item,
    appended,
    edited,
    line_end,
    line_start,
    newline_of,
    number,
    same,
)
from confhub.releases.texts.toml_scan import Statement, statements
from watchers.render.errors import CannotRender
from watchers.render.toml_form import write_toml
from watchers.wire.canonical import Json

_WHERE = re.compile(r"(.*?)[ .]*\(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def parse(text: str) -> list[Item]:
    """Every key of the top level. Raises Bad."""
    values = _read(text)
    first: dict[str, int] = {}
    for statement in statements(text):
        first.setdefault(statement.path[0], statement.at)
        if statement.start is not None:
            _check_statement(statement, values)
    return [Item(key, first.get(key, 0), value) for key, value in values.items()]


def write(values: Mapping[str, Json]) -> str:
    """Keys sorted; objects are tables. Raises CannotWrite for null and what has more than 64 bits."""
    try:
        return write_toml(values).decode()
    except CannotRender as error:
        raise CannotWrite(str(error)) from error


def splice(text: str, values: Mapping[str, Json]) -> str:
    """`text` with the statements that differ replaced, removed and added. Raises CannotWrite."""
    held, found = _read(text), statements(text)
    edits: list[Edit] = []
    new = {key: value for key, value in values.items() if key not in held}
    by_key: dict[str, list[Statement]] = {key: [] for key in held}
    for statement in found:
        by_key[statement.path[0]].append(statement)
    for key, own in by_key.items():
        if key not in values:
            edits += [_removal(text, each) for each in own]
        elif not same(held[key], values[key]):
            fine = _changed(text, own, held[key], values[key])
            if fine is None:
                fine, new[key] = [_removal(text, each) for each in own], values[key]
            edits += fine
    return edited(text, [*edits, *_added(text, found, new)])


# ── what the text means ───────────────────────────────────────────────────────────────────────────


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad(text, str(error)) from error
    except RecursionError as error:
        raise Bad(0, "Lists and tables nest too deeply here. Take some levels out.") from error
    except ValueError as error:  # a whole number of thousands of digits, a day 32
        raise Bad(0, f"A value cannot be read: {error}. Put it in quotes.") from error


def _bad(text: str, told: str) -> Bad:
    found = _WHERE.fullmatch(told)
    what, line, column = found.groups() if found else (told, None, None)
    at = len(text.rstrip())
    if line is not None and column is not None:
        start = 0
        for _ in range(int(line) - 1):
            start = line_end(text, start)
        at = start + int(column) - 1
    if what.startswith("Cannot"):
        at = line_start(text, max(at - 1, 0))  # Python's reader looks from behind the value
        return Bad(at, f"{what}: it stands here a second time. Remove one of the two.")
    if line is None:
        return Bad(at, f"{what}: the text ends too early. Complete it.")
    return Bad(at, f"{what}. Mend this line; texts stand in quotes.")


def _check_statement(statement: Statement, values: Mapping[str, Any]) -> None:
    """Raise Bad at the statement whose value JSON does not have."""
    value: Any = values
    for part in statement.path:
        if isinstance(value, list) or part not in value:
            break
        value = value[part]
    _check_value(value, statement.at, len(statement.path))


def _check_value(value: Any, at: int, depth: int) -> None:
    if depth > MAX_NESTING:
        raise Bad(at, "Lists and tables nest too deeply here. Take some levels out.")
    match value:
        case date() | time():
            raise Bad(at, f"{value} is a date or a time, which JSON lacks. Put it in quotes.")
        case bool() | str():
            return
        case float():
            number(repr(value), at, whole=False)
        case int():
            if abs(value) >= 10**4000:
                raise Bad(at, "A whole number has at most 4,000 digits. Put it in quotes.")
        case list():
            for each in value:
                _check_value(each, at, depth + 1)
        case dict():
            for each in value.values():
                _check_value(each, at, depth + 1)


# ── edits ─────────────────────────────────────────────────────────────────────────────────────────


def _removal(text: str, statement: Statement) -> Edit:
    return Edit(line_start(text, statement.at), line_end(text, statement.end))


def _changed(text: str, own: list[Statement], old: Json, new: Json) -> list[Edit] | None:
    """The edits of one key; None where it has to be written anew."""
    if len(own) == 1 and own[0].start is not None and len(own[0].path) == 1:
        return [_replacement(text, own[0], new)]
    is_table = isinstance(old, dict) and isinstance(new, dict)
    if not is_table or any(each.in_array for each in own):
        return None
    return _changed_table(text, own, old, new, own[0].path[:1])


def _changed_table(
    text: str, own: list[Statement], old: Any, new: Any, path: tuple[str, ...]
) -> list[Edit] | None:
    """Statement by statement. A table that comes or goes makes it None."""
    edits: list[Edit] = []
    for name, value in old.items():
        below = (*path, name)
        exact = [each for each in own if each.path == below and each.start is not None]
        if exact and name not in new:
            edits.append(_removal(text, exact[0]))
        elif exact and not same(value, new[name]):
            edits.append(_replacement(text, exact[0], new[name]))
        elif not exact and not same(value, new.get(name)):
            both = isinstance(value, dict) and isinstance(new.get(name), dict)
            inner = _changed_table(text, own, value, new[name], below) if both else None
            if inner is None:
                return None
            edits += inner
    fresh = sorted(new.keys() - old.keys())
    heads = [each for each in own if each.start is None and each.path == path]
    if fresh and not heads:
        return None
    if fresh:
        last = max((each.end for each in own if each.table == path), default=heads[0].end)
        lines = [f"{_key(name)} = {_inline(new[name], name)}" for name in fresh]
        edits += appended(text, line_end(text, last), lines)
    return edits


def _replacement(text: str, statement: Statement, value: Json) -> Edit:
    start = statement.start or 0
    old = text[start : statement.end]
    return Edit(start, statement.end, _styled(old, value, statement.path[-1], newline_of(text)))


def _styled(old: str, value: Json, key: str, newline: str) -> str:
    """`value` in the quotes that stood there, where it fits into them."""
    if isinstance(value, str):
        is_literal = value.isprintable() and "'" not in value
        if old.startswith('"""') and "\n" in value:
            quoted = _inline(value, key)[1:-1].replace("\\n", newline)
            if "\\" not in value:
                return f'"""{newline}{quoted}"""'
        elif old.startswith("'") and is_literal:
            return f"'{value}'"
    return _inline(value, key)


def _added(text: str, found: list[Statement], new: Mapping[str, Json]) -> list[Edit]:
    """Plain values before the first table, objects as tables at the end."""
    plain = {key: value for key, value in new.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in new.items() if isinstance(value, dict)}
    edits = []
    if plain:
        at = _end_of_root(text, found)
        edits += appended(text, at, write(plain).rstrip("\n").split("\n"))
    if tables:
        lines = write(tables).rstrip("\n").split("\n")
        edits += appended(text, len(text), ["", *lines] if text.strip() else lines)
    return edits


def _end_of_root(text: str, found: list[Statement]) -> int:
    roots = [each.end for each in found if not each.table]
    if roots:
        return line_end(text, max(roots))
    heads = [each.at for each in found]
    if not heads:
        return len(text)
    at = line_start(text, min(heads))
    while at > 0 and text[line_start(text, at - 1) : at].lstrip().startswith("#"):
        at = line_start(text, at - 1)  # the comment belongs to the table
    return at


def _key(name: str) -> str:
    return write({name: 0}).partition(" = ")[0] if " = " not in name else json.dumps(name)


def _inline(value: Json, key: str) -> str:
    """The value on one line, objects in braces."""
    listed = write({"k": [value]}) if value is not None else ""
    if not listed:
        raise CannotWrite(f"{key} is null, which has no form in TOML.")
    return listed[len("k = [") : -len("]\n")]
