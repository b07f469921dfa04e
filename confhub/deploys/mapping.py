"""From a payload to keys: what a hook's mapping says, checked when it is written, applied later. Pure.

{"set": {"TAG": {"pointer": "/release/tag_name"},
         "IMAGE": {"template": "registry/shop:{/release/tag_name}"}},
 "types": {"REPLICAS": "number"},        # a pointer's value stays what it is, a template is a text
 "unset": ["OLD"],                       # where the key is there
 "message": {"template": "deploy {/release/tag_name}"},
 "image": {"name": {"pointer": "/image/name"}, "digest": {"pointer": "/image/digest"}}}
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from confhub.core.errors import ConfHubError
from confhub.deploys import pointers, templates
from confhub.deploys.pointers import NoSuchValue, kind_of
from confhub.releases import images
from watchers.wire.canonical import Json
from watchers.wire.names import BadName, check_key

MAX_KEYS = 100
MAX_MESSAGE_CHARS = 2000
TYPES = ("text", "number", "boolean", "json")
_PARTS = ("set", "types", "unset", "message", "image")
_FORMS = "write {pointer: /release/tag_name} or {template: 'shop:{/release/tag_name}'}"

Spec = Mapping[str, str]  # {"pointer": …} or {"template": …}


class DoesNotMap(ConfHubError):
    """The payload has not what the hook's mapping takes from it; `fields` has a sentence for each."""

    code: ClassVar[str] = "deploy_hook.does_not_map"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Mapped:
    """What a payload comes to."""

    set: dict[str, Json]
    unset: list[str]
    message: str  # "" where the mapping has none
    image: dict[str, str] | None = None  # {"name", "digest"}
    sources: dict[str, str] = field(default_factory=dict)  # {KEY: its pointer or template}


def problems(mapping: object) -> list[str]:
    """A sentence for whatever is wrong with a mapping that somebody wrote; [] where it can be kept."""
    if not isinstance(mapping, dict):
        return [f"Write an object with some of: {', '.join(_PARTS)}."]
    return list(_problems(mapping))[:20]


def applied(mapping: Mapping[str, Any], payload: Json) -> Mapped:
    """The keys that `payload` sets by a mapping without problems. Raises DoesNotMap, BadImage."""
    found: dict[str, Json] = {}
    refused: dict[str, str] = {}
    types = mapping.get("types", {})
    specs: dict[str, Spec] = mapping.get("set", {})
    for key, spec in specs.items():
        try:
            found[key] = _typed(_value(spec, payload), types.get(key))
        except NoSuchValue as error:
            refused[key] = str(error)
    message = _text(mapping.get("message"), payload, "message", refused)
    image = {
        name: _text(spec, payload, f"image.{name}", refused)
        for name, spec in mapping.get("image", {}).items()
    }
    if refused:
        name, sentence = next(iter(refused.items()))
        more = f" ({len(refused) - 1} more.)" if len(refused) > 1 else ""
        raise DoesNotMap(f"{name}: {sentence}{more} Nothing was published.", fields=refused)
    return Mapped(
        set=found,
        unset=list(mapping.get("unset", [])),
        message=message.replace("\x00", "")[:MAX_MESSAGE_CHARS],
        image=images.checked(image) if image else None,
        sources={key: _source(spec) for key, spec in specs.items()},
    )


def _source(spec: Spec) -> str:
    return spec.get("pointer", spec.get("template", ""))


def _text(spec: Spec | None, payload: Json, name: str, refused: dict[str, str]) -> str:
    if spec is None:
        return ""
    try:
        if "pointer" in spec:
            return templates.text_at(payload, spec["pointer"])
        return templates.filled(spec["template"], payload)
    except NoSuchValue as error:
        refused[name] = str(error)
        return ""


def _value(spec: Spec, payload: Json) -> Json:
    if "pointer" in spec:
        return pointers.find(payload, spec["pointer"])
    return templates.filled(spec["template"], payload)


def _typed(value: Json, kind: str | None) -> Json:
    """`value` as the type that the mapping asks for; no sentence quotes it. Raises NoSuchValue."""
    if kind is None:
        return value
    if kind == "text":
        if isinstance(value, str):
            return value
        if value is None or isinstance(value, (dict, list)):
            raise NoSuchValue(f"It is {kind_of(value)}, which is no text.")
        return json.dumps(value)
    if kind == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if kind == "boolean" and isinstance(value, bool):
        return value
    return _read(value, kind)


def _read(value: Json, kind: str) -> Json:
    """A text read as JSON: "8" as a number, "true" as a boolean."""
    if not isinstance(value, str):
        if kind == "json":
            return value
        raise NoSuchValue(f"It is {kind_of(value)}, not a {kind}.")
    try:
        read: Json = json.loads(value, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NoSuchValue(f"It is a text that does not read as {_a(kind)}.") from None
    is_bool = isinstance(read, bool)
    fits = kind == "json" or (is_bool if kind == "boolean" else isinstance(read, (int, float)) and not is_bool)  # fmt: skip
    if not fits:
        raise NoSuchValue(f"It is a text that does not read as {_a(kind)}.")
    return read


def _no_number(word: str) -> Json:
    raise ValueError(word)


def _a(kind: str) -> str:
    return "JSON" if kind == "json" else f"a {kind}"


def _problems(mapping: Mapping[str, Any]) -> Iterator[str]:
    for name in mapping:
        if name not in _PARTS:
            yield f"{str(name)[:40]!r} is no part of a mapping. There are: {', '.join(_PARTS)}."
    yield from _set_problems(mapping.get("set", {}), mapping.get("unset", []))
    yield from _type_problems(mapping.get("types", {}), mapping.get("set", {}))
    if "message" in mapping and (found := _spec_problem(mapping["message"])):
        yield f"message: {found}"
    yield from _image_problems(mapping.get("image"))
    if not mapping.get("set") and not mapping.get("unset") and not mapping.get("image"):
        yield "Nothing would change: set a key, unset one, or name the image."


def _set_problems(specs: Any, unset: Any) -> Iterator[str]:
    if not isinstance(specs, dict):
        yield f"set: write an object of keys, and for each {_FORMS[6:]}."
        return
    if not isinstance(unset, list) or not all(isinstance(key, str) for key in unset):
        yield "unset: write a list of keys."
        return
    if len(specs) + len(unset) > MAX_KEYS:
        yield f"A mapping has at most {MAX_KEYS} keys."
    for key in [*specs, *unset]:
        try:
            check_key(key)
        except BadName as error:
            yield str(error)
    for key, spec in specs.items():
        if found := _spec_problem(spec):
            yield f"set.{key[:80]}: {found}"
        if key in unset:
            yield f"{key} is both set and unset. Decide for one."


def _type_problems(types: Any, specs: Any) -> Iterator[str]:
    if not isinstance(types, dict):
        yield f"types: write an object of keys, each with one of {', '.join(TYPES)}."
        return
    for key, kind in types.items():
        if not isinstance(specs, dict) or key not in specs:
            yield f"types.{key[:80]}: set has no such key."
        elif kind not in TYPES:
            yield f"types.{key[:80]}: write one of {', '.join(TYPES)}."


def _image_problems(image: Any) -> Iterator[str]:
    if image is None:
        return
    if not isinstance(image, dict) or set(image) != {"name", "digest"}:
        yield f"image: it has a name and a digest; for each {_FORMS}."
        return
    for name, spec in image.items():
        if found := _spec_problem(spec):
            yield f"image.{name}: {found}"


def _spec_problem(spec: Any) -> str | None:
    if not isinstance(spec, dict) or len(spec) != 1 or not {*spec} <= {"pointer", "template"}:
        return f"{_FORMS[0].upper()}{_FORMS[1:]}."
    if "pointer" in spec:
        return pointers.problem(spec["pointer"])
    return templates.problem(spec["template"])
