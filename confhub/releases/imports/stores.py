"""Key-value stores: `consul kv export [PREFIX]` (and Consul's HTTP API), and
`etcdctl get PREFIX --prefix -w json`.

https://developer.hashicorp.com/consul/commands/kv/export: a list of {"key", "flags", "value"}, the
value in base64. https://etcd.io/docs/v3.5/dev-guide/api_reference_v3/: {"kvs": [{"key", "value"}]},
both in base64. Names are paths; what they begin with in common is left out.
"""

from collections.abc import Iterable
from typing import Any

from confhub.releases.imports.base import Found, Item, Unfit
from confhub.releases.imports.documents import json_of
from confhub.releases.imports.kubernetes import decoded

NO_PREFIX = "/"  # asks to leave nothing out


def consul(text: str, *, prefix: str) -> Found:
    """Raises Unfit."""
    held = json_of(text)
    if not isinstance(held, list):
        raise Unfit("`consul kv export` writes a list. Take its whole output.", line=1)
    found = Found(texts_only=True)
    pairs: list[tuple[str, Any]] = []
    for number, each in enumerate(held, 1):
        row = (
            {str(name).lower(): value for name, value in each.items()}
            if isinstance(each, dict)
            else {}
        )
        if not isinstance(row.get("key"), str):
            raise Unfit(f"Entry {number} of the list has no `key`. Take the whole output.")
        pairs.append((row["key"], row.get("value")))
    _take(found, pairs, prefix)
    return found


def etcd(text: str, *, prefix: str) -> Found:
    """Raises Unfit."""
    held = json_of(text)
    if not isinstance(held, dict) or not isinstance(held.get("kvs", []), list):
        raise Unfit(
            "`etcdctl get --prefix -w json` writes an object with `kvs`. Take all of it.", line=1
        )
    found = Found(texts_only=True)
    pairs: list[tuple[str, Any]] = []
    for number, each in enumerate(held.get("kvs", []), 1):
        if not isinstance(each, dict) or not isinstance(each.get("key"), str):
            raise Unfit(f"Entry {number} of `kvs` has no `key`. Take the whole output.")
        try:
            pairs.append((decoded(each["key"]), each.get("value")))
        except ValueError:
            found.skip(each["key"][:140], "Its name is not a text in base64.")
    if held.get("more"):
        found.notes.append("etcd had more keys than it answered (`more`). Ask without --limit.")
    _take(found, pairs, prefix)
    return found


def _take(found: Found, pairs: list[tuple[str, Any]], prefix: str) -> None:
    cut = "" if prefix == NO_PREFIX else prefix or _common(name for name, _ in pairs)
    if cut and not prefix:
        found.notes.append(
            f"All names begin with {cut}, which is left out. Give the prefix {NO_PREFIX} to keep it."
        )
    for name, value in pairs:
        if not name.startswith(cut):
            found.skip(name, f"It is not below the prefix {cut[:140]}.")
        elif name.endswith("/") and not value:
            found.skip(name, "It is a folder.")
        else:
            _take_one(found, name, name[len(cut) :], value)


def _take_one(found: Found, whole: str, name: str, value: Any) -> None:
    try:
        text = decoded(value or "")
    except ValueError as error:
        found.skip(whole, str(error).replace(", or use stringData", ""))
        return
    if not name.strip("/"):
        found.skip(whole, "Nothing of its name is left without the prefix.")
        return
    found.items.append(Item(name.strip("/"), text))


def _common(names: Iterable[str]) -> str:
    """The folder that all names lie in: "app/prod/" of "app/prod/db/host" and "app/prod/level"."""
    parts = [name.split("/")[:-1] for name in names if not name.endswith("/")]
    if not parts:
        return ""
    first, last = min(parts), max(parts)  # what these two share, all of them share
    shared = []
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        shared.append(f"{one}/")
    return "".join(shared)
