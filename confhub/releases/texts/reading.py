"""Read and patch texts in one process. Other people's texts come here through a limited child:
what is wrong with one is answered as data."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from confhub.releases.texts import env_form, json_form, lines, properties_form, toml_form, yaml_form
from confhub.releases.texts.base import (
    Bad,
    CannotWrite,
    Item,
    check_characters,
    check_items,
    line_and_column,
    same_values,
)
from watchers.wire.canonical import Json

FORMS: Mapping[str, ModuleType] = MappingProxyType(
    {
        "yaml": yaml_form,
        "json": json_form,
        "env": env_form,
        "toml": toml_form,
        "properties": properties_form,
    }
)
TEXTS_ONLY = frozenset({"env", "properties"})  # they know no numbers


def read(format: str, text: str, held: dict[str, Json]) -> dict[str, Any]:  # the contract's word
    """{"values": {KEY: value}, "lines": {KEY: 3}}, or {"problem": {"line", "column", "message"}}."""
    try:
        items = _items(format, text)
    except Bad as error:
        return _problem(text, error)
    starts = _line_numbers(text, [item.at for item in items])
    return {
        "values": {item.key: _value(format, item, held) for item in items},
        "lines": {item.key: line for item, line in zip(items, starts, strict=True)},
    }


def patch(format: str, text: str, values: dict[str, Json]) -> dict[str, Any]:
    """{"text": …} with `values` put into `text`, or {"problem": …}, or {"cannot": "sentence"}."""
    try:
        return {"text": patched(format, text, values)}
    except Bad as error:
        return _problem(text, error)
    except CannotWrite as error:
        return {"cannot": str(error)}


def patched(format: str, text: str, values: dict[str, Json]) -> str:
    """`text` with only what differs replaced. Raises Bad, CannotWrite."""
    if _says(format, _items(format, text), values):
        return text
    try:
        made: str = FORMS[format].splice(text, values)
        if _says(format, _items(format, made), values):
            return made
    except Bad:
        pass  # as below
    # A shape whose parts cannot be told apart: correct values go before comments.
    return written(format, values)


def written(format: str, values: dict[str, Json]) -> str:
    """A first text. Raises CannotWrite."""
    made: str = FORMS[format].write(values)
    return made


def _items(format: str, text: str) -> list[Item]:
    check_characters(text)
    items: list[Item] = FORMS[format].parse(text)
    check_items(items)
    return items


def _says(format: str, items: list[Item], values: Mapping[str, Json]) -> bool:
    return same_values({item.key: _value(format, item, values) for item in items}, values)


def _value(format: str, item: Item, held: Mapping[str, Json]) -> Json:
    if format in TEXTS_ONLY and item.key in held:
        return lines.typed(str(item.value), held[item.key])
    return item.value


def _problem(text: str, error: Bad) -> dict[str, Any]:
    line, column = line_and_column(text, error.at)
    return {"problem": {"line": line, "column": column, "message": error.message}}


def _line_numbers(text: str, places: list[int]) -> list[int]:
    numbers, line, at = {}, 1, 0
    for place in sorted(places):
        line += text.count("\n", at, place)
        numbers[place] = line
        at = place
    return [numbers[place] for place in places]


def notes(format: str, text: str, keys: list[str]) -> list[str] | None:
    """The lines of a text with `keys` alone, all of one value: its comments, its quotes and its
    order. None of a text that does not read."""
    try:
        bare = patched(format, text, dict.fromkeys(keys, "x"))
    except (Bad, CannotWrite):
        return None
    return [line.strip() for line in bare.split("\n") if line.strip()]
