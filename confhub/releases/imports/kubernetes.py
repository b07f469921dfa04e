"""ConfigMaps and Secrets, one or many: `kubectl get … -o yaml|json`, manifests, lists of them.

https://kubernetes.io/docs/concepts/configuration/configmap/ and …/secret/. Everything of a Secret
comes in as secret.
"""

import base64
import binascii
from typing import Any

from confhub.releases.imports.base import Found, Item, Unfit
from confhub.releases.imports.documents import documents

_SEALED = frozenset({"SealedSecret", "ExternalSecret"})  # of operators; neither holds a value


def read(text: str, *, item: str) -> Found:
    """`item` names one object; all of them where it is empty. Raises Unfit."""
    found = Found(texts_only=True)
    objects = [each for document in documents(text) for each in _objects(document)]
    taken = 0
    for each in objects:
        name, kind = _name(each), str(each.get("kind", ""))
        if item and name != item:
            continue
        if kind == "ConfigMap":
            _config_map(found, each)
        elif kind == "Secret":
            _secret(found, each)
        else:
            found.notes.append(_left_out(kind, name))
            continue
        taken += 1
    if not taken:
        names = [_name(each) for each in objects if each.get("kind") in ("ConfigMap", "Secret")]
        what = f" named {item[:80]!r}" if item else ""
        raise Unfit(f"There is no ConfigMap and no Secret{what} in this text.", choices=names)
    return found


def _objects(document: Any) -> list[dict[str, Any]]:
    """The objects of a document: itself, or the items of a list of any kind."""
    if isinstance(document, list):
        return [each for held in document for each in _objects(held)]
    if not isinstance(document, dict):
        return []
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        # A typed list's items need not say what they are.
        kind = str(document["kind"]).removesuffix("List")
        typed = [
            {"kind": kind, **each} if kind else each for each in items if isinstance(each, dict)
        ]
        return [each for held in typed for each in _objects(held)]
    return [document]


def _name(held: dict[str, Any]) -> str:
    metadata = held.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def _left_out(kind: str, name: str) -> str:
    if kind in _SEALED:
        return f"The {kind} {name} holds no readable value. Import the Secret that it makes."
    return f"The {kind[:60] or 'object'} {name[:80]} is neither a ConfigMap nor a Secret; left out."


def _config_map(found: Found, held: dict[str, Any]) -> None:
    for name, value in _members(held, "data").items():
        _take(found, name, value, is_secret=False)
    for name in _members(held, "binaryData"):
        found.skip(name, "It is binary (binaryData). Put it into the image or a volume.")


def _secret(found: Found, held: dict[str, Any]) -> None:
    in_clear = _members(held, "stringData")  # it wins, as in the API server
    for name, value in _members(held, "data").items():
        if name in in_clear:
            continue
        try:
            _take(found, name, value if value is None else decoded(value), is_secret=True)
        except ValueError as error:
            found.skip(name, str(error))
    for name, value in in_clear.items():
        _take(found, name, value, is_secret=True)


def _members(held: dict[str, Any], field: str) -> dict[str, Any]:
    members = held.get(field)
    if members is None:
        return {}
    if not isinstance(members, dict):
        raise Unfit(f"`{field}` of {held['kind']} {_name(held)} is not a mapping. Mend it.")
    return members


def _take(found: Found, name: str, value: Any, *, is_secret: bool) -> None:
    if value is None:
        found.skip(name, "It has no value.")
    elif not isinstance(value, str):
        found.skip(name, "Its value is no text, which Kubernetes would refuse as well.")
    else:
        found.items.append(Item(name, value, is_secret))


def decoded(text: Any) -> str:
    """The text behind base64. Raises ValueError with a sentence that does not quote it."""
    try:
        return base64.b64decode("".join(str(text).split()), validate=True).decode()
    except binascii.Error:
        raise ValueError("Its value is not base64. Mend it, or use stringData.") from None
    except UnicodeDecodeError:
        raise ValueError("Its value is binary. Put it into the image or a volume.") from None
