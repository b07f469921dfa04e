"""Chef's JSON: data bag items, environments and roles, one or a list of them.

https://docs.chef.io/data_bags/, https://docs.chef.io/environments/, https://docs.chef.io/roles/.
Attributes are trees, so they are flattened with dots unless that is refused; override attributes
win over default ones, as on a node.
"""

import re
from typing import Any

from confhub.releases.imports.base import Found, Item, Unfit, flat
from confhub.releases.imports.documents import json_of

_ATTRIBUTES = ("default_attributes", "override_attributes")  # the later one wins
_OF_CHEF = frozenset({"id", "chef_type", "json_class", "data_bag"})  # of a data bag item
_RUBY = re.compile(
    r"^[ \t]*(?:name|description|default_attributes|override_attributes)[ (]", re.MULTILINE
)
_AS_JSON = "`knife environment|role show NAME -F json`, `knife data bag show BAG ITEM -F json`"


def read(text: str, *, flatten: bool) -> Found:
    """Raises Unfit."""
    if not text.lstrip().startswith(("{", "[")) and _RUBY.search(text):
        raise Unfit(f"Ruby is not run here. Take what {_AS_JSON} write.", line=1)
    held = json_of(text)
    found = Found()
    for each in held if isinstance(held, list) else [held]:
        if not isinstance(each, dict):
            raise Unfit(
                f"This is no data bag item, environment or role. Take what {_AS_JSON} write."
            )
        _take(found, _tree(found, each), flatten)
    return found


def _tree(found: Found, held: dict[str, Any]) -> dict[str, Any]:
    """The values of one object, as they are nested there."""
    if any(name in held for name in _ATTRIBUTES):
        return _attributes(found, held)
    raw = held.get("raw_data")
    item = raw if isinstance(raw, dict) else held
    if "id" not in item:
        raise Unfit(
            "This has neither attributes, as an environment or a role, nor the `id` of a data bag "
            f"item. Take what {_AS_JSON} write."
        )
    return {name: value for name, value in item.items() if name not in _OF_CHEF}


def _attributes(found: Found, held: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in _ATTRIBUTES:
        attributes = held.get(name) or {}
        if not isinstance(attributes, dict):
            raise Unfit(f"`{name}` is no object. Mend it.")
        _lay_over(tree, attributes)
    for name in ("run_list", "env_run_lists", "cookbook_versions"):
        if held.get(name):
            found.notes.append(
                f"The {name} of {held.get('name', 'it')} is no configuration; left out."
            )
    return tree


def _lay_over(tree: dict[str, Any], upper: dict[str, Any]) -> None:
    for name, value in upper.items():
        below = tree.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            _lay_over(below, value)
        else:
            tree[name] = value


def _take(found: Found, tree: dict[str, Any], flatten: bool) -> None:
    plain = {}
    for name, value in tree.items():
        if isinstance(value, dict) and {"encrypted_data", "cipher"} <= value.keys():
            found.skip(
                name,
                "It is encrypted. Take what `knife data bag show BAG ITEM --secret-file FILE -F "
                "json` writes.",
            )
        else:
            plain[name] = value
    pairs = flat(plain) if flatten else plain.items()
    found.items += [Item(name, value) for name, value in pairs]
