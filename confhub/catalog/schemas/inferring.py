"""A schema out of present values: what they have in common, for a person to correct."""

from collections.abc import Mapping, Sequence
from typing import Any

from confhub.catalog.schemas.document import DIALECT

_ORDER = ("boolean", "integer", "number", "string", "array", "object", "null")


def infer(
    environments: Sequence[Mapping[str, Mapping[str, Any]]], names: Sequence[str] = ()
) -> dict[str, Any]:
    """The narrowest types that all of `environments` (entries of each) fit.

    A key that stands in each is required; one that is a secret anywhere is a secret. `names` says
    which environment each is, so that one in which the secret stands readable is excepted.
    """
    keys = sorted({key for entries in environments for key in entries})
    properties = {
        key: _rule([entries[key] for entries in environments if key in entries]) for key in keys
    }
    for name, entries in zip(names, environments, strict=False):
        for key, entry in entries.items():
            if properties[key].get("secret") and not entry.get("secret"):
                properties[key].setdefault("environments", {})[name] = {"secret": False}
    required = [key for key in keys if all(key in entries for entries in environments)]
    document: dict[str, Any] = {"$schema": DIALECT, "type": "object", "properties": properties}
    return {**document, "required": required} if required else document


def _rule(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    readable = [entry["value"] for entry in entries if not entry.get("secret")]
    rule = _of_values(readable) if readable else {"type": "string"}
    return rule if len(readable) == len(entries) else {**rule, "secret": True}


def _of_values(values: Sequence[Any]) -> dict[str, Any]:
    found = {_type(value) for value in values}
    if "number" in found:
        found.discard("integer")  # a whole number is a number, too
    types = sorted(found, key=_ORDER.index)
    rule: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        rule["items"] = {"type": _of_values(items)["type"]}
    return rule


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"
