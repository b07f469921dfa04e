"""One key's rule in a schema as the fields of a form, and back. Pure."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from dashboard import values

TYPES = {
    "": "Any",
    "string": "Text",
    "integer": "Whole number",
    "number": "Number",
    "boolean": "True or false",
    "array": "List",
    "object": "Object",
}
SEVERAL = "several"  # more than one type beside null; a form leaves them as they are
RELOADS = {"": "Not said", "live": "Live: the process takes it up", "restart": "Needs a restart"}
_JSON_FIELDS = ("default", "enum")
_PLAIN_FIELDS = ("description", "minimum", "maximum", "pattern", "reload")


class BadField(ValueError):
    """What was typed into one field cannot stand in a rule."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def initial(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The form's fields of `key` as the schema has them; empty ones of a key it does not have."""
    rule = document.get("properties", {}).get(key, {})
    rule = rule if isinstance(rule, dict) else {}
    types = rule.get("type", [])
    named = [each for each in ([types] if isinstance(types, str) else types) if each != "null"]
    deprecated = rule.get("deprecated", False)
    return {
        "key": key,
        "type": "" if not named else named[0] if len(named) == 1 else SEVERAL,
        "nullable": isinstance(types, list) and "null" in types,
        "required": key in document.get("required", []),
        "secret": rule.get("secret", False),
        "deprecated": bool(deprecated),
        "instead": deprecated if isinstance(deprecated, str) else "",
        **{name: rule.get(name) for name in _PLAIN_FIELDS},
        **{name: _text(rule[name]) if name in rule else "" for name in _JSON_FIELDS},
    }


def merged(document: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with the rule of `held["key"]` as the form has it. What a form does not show
    (formats, items, environments, references) stays. Raises BadField."""
    whole = _whole(document)
    key = held["key"]
    before = whole["properties"].get(key)
    rule = dict(before) if isinstance(before, dict) else {}
    _put_type(rule, held)
    for name in _PLAIN_FIELDS:
        _put(rule, name, held[name])
    for name in _JSON_FIELDS:
        _put_json(rule, name, held[name])
    _put(rule, "secret", held["secret"])
    _put(rule, "deprecated", held["deprecated"] and (held["instead"] or True))
    whole["properties"][key] = rule
    _require(whole, key, required=held["required"])
    return whole


def without(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """`document` without the key."""
    whole = _whole(document)
    whole["properties"].pop(key, None)
    _require(whole, key, required=False)
    return whole


def as_entries(document: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """A schema as entries, so that two versions are compared key by key."""
    if document is None:
        return {}
    rest = {name: held for name, held in document.items() if name != "properties"}
    rules = {key: {"value": rule} for key, rule in document.get("properties", {}).items()}
    return {**rules, "(the whole)": {"value": rest}}


def _whole(document: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = copy.deepcopy({"type": "object", **document})
    whole.setdefault("properties", {})
    return whole


def _require(whole: dict[str, Any], key: str, *, required: bool) -> None:
    before = whole.get("required", [])
    if required and key not in before:
        whole["required"] = [*before, key]
    elif not required and key in before:
        whole["required"] = [each for each in before if each != key]


def _put_type(rule: dict[str, Any], held: Mapping[str, Any]) -> None:
    if held["type"] == SEVERAL:
        return
    if not held["type"]:
        rule.pop("type", None)
    else:
        rule["type"] = [held["type"], "null"] if held["nullable"] else held["type"]


def _put(rule: dict[str, Any], name: str, value: Any) -> None:
    if value is None or value is False or value == "":  # 0 is a minimum
        rule.pop(name, None)
    else:
        rule[name] = value


def _put_json(rule: dict[str, Any], name: str, text: str) -> None:
    if not text.strip():
        rule.pop(name, None)
        return
    try:
        rule[name] = values.read("json", text)
    except values.NotAValue as error:
        raise BadField(name, f"{error} A text stands in double quotes.") from error
    if name == "enum" and not isinstance(rule[name], list):
        raise BadField(name, 'Write a list: ["small", "large"].')


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
