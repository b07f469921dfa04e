"""Configuration as files in git: what `export` writes and `apply` reads.

    kind: config                kind: service
    place: checkout@prod        service: checkout
    entries:                    includes: [common]
      POOL: 20                  schema: {…}

`entries` are what the place sets itself, never what layers give it. A secret stands as its mask,
{$secret: true, fingerprint, version}, which means: as it is.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from confhub.client.command import places, strict_yaml, values
from confhub.client.command.places import Place
from confhub.client.command.words import SECRET, is_mask, printable
from watchers.render.yaml_form import write_yaml
from watchers.wire.names import BadName, check_key, check_slug, check_value

CONFIG, SERVICE = "config", "service"
_FIELDS = {
    CONFIG: {"kind", "place", "entries"},
    SERVICE: {"kind", "service", "name", "description", "includes", "schema"},
}


@dataclass(frozen=True)
class Config:
    """The entries that a place shall set itself."""

    place: Place
    entries: dict[str, Any]
    source: str  # where it was read, for sentences


@dataclass(frozen=True)
class Service:
    """What a service shall be; None: as it is."""

    slug: str
    source: str
    name: str | None = None
    description: str | None = None
    includes: list[str] | None = None
    schema: dict[str, Any] | None = field(default=None)


def write_config(place: Place, entries: Mapping[str, Any]) -> str:
    """One document, the same bytes for the same entries."""
    return f"kind: {CONFIG}\nplace: {place}\n{_yaml({'entries': dict(entries)})}"


def write_service(
    slug: str, *, name: str, description: str, includes: list[str], schema: dict[str, Any] | None
) -> str:
    held: dict[str, Any] = {"description": description, "includes": includes, "name": name}
    if schema is not None:
        held["schema"] = schema
    return f"kind: {SERVICE}\nservice: {slug}\n{_yaml(held)}"


def together(texts: list[str]) -> str:
    return "---\n".join(texts)


def read(text: str, source: str) -> list[Config | Service]:
    """Every document of a file. Raises click.UsageError naming the file and the thing."""
    found = [
        _document(each, f"{source}, document {at + 1}" if at else source)
        for at, each in enumerate(_values(text, source))
    ]
    if not found:
        raise click.UsageError(f"{source} holds no document.")
    return found


def entries_for(place: Place, text: str, source: str) -> dict[str, Any]:
    """The entries that a file has for `place`: of its document, or KEY: value without any `kind`."""
    found = _values(text, source)
    if len(found) == 1 and isinstance(found[0], dict) and "kind" not in found[0]:
        return _entries(found[0], source)
    for each in read(text, source):
        if isinstance(each, Config) and each.place == place:
            return each.entries
    raise click.UsageError(f"{source} has no document for {place}.")


def as_they_are(wanted: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`wanted` with each mask replaced by the secret that is there, whichever it is by now."""
    return {
        key: own[key] if is_mask(value) and is_mask(own.get(key)) else value
        for key, value in wanted.items()
    }


def missing_secrets(wanted: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Keys that a file has as a mask and the place does not have as a secret."""
    return [key for key, value in wanted.items() if is_mask(value) and not is_mask(own.get(key))]


def _yaml(held: dict[str, Any]) -> str:
    return write_yaml(held).decode()


def _values(text: str, source: str) -> list[Any]:
    """A JSON object, else documents of YAML."""
    if text.lstrip().startswith("{"):
        try:
            return [values.strict_json(text)]
        except json.JSONDecodeError:
            pass  # a flow mapping of YAML, perhaps
        except ValueError as error:
            raise click.UsageError(f"{source}: {printable(str(error))}.") from error
    try:
        return [each for each in strict_yaml.documents(text) if each is not None]
    except strict_yaml.BadYaml as error:
        raise click.UsageError(f"{source}, {printable(str(error))}") from error


def _document(found: Any, source: str) -> Config | Service:
    if not isinstance(found, dict) or found.get("kind") not in _FIELDS:
        raise click.UsageError(f"{source}: write kind: config or kind: service.")
    unknown = found.keys() - _FIELDS[found["kind"]]
    if unknown:
        raise click.UsageError(f"{source}: there is no field {printable(min(unknown))[:140]}.")
    if found["kind"] == SERVICE:
        return _service(found, source)
    text = found.get("place")
    place = places.read(text) if isinstance(text, str) else None
    if place is None:
        raise click.UsageError(f"{source}: place: write {places.FORMS}.")
    return Config(place, _entries(found.get("entries"), f"{source} ({place})"), source)


def _entries(found: Any, source: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise click.UsageError(f"{source}: entries: write KEY: value lines, or {{}} for none.")
    for key, value in found.items():
        try:
            check_key(key)
            check_value(key, value)
        except BadName as error:
            raise click.UsageError(f"{source}: {printable(str(error))}") from error
        if isinstance(value, dict) and value.get(SECRET) is True and "fingerprint" not in value:
            raise click.UsageError(f"{source}: {key}: write {SECRET}: the value, or the mask as it was exported.")  # fmt: skip
    return found


def _service(found: dict[str, Any], source: str) -> Service:
    slug = found.get("service")
    try:
        check_slug(slug if isinstance(slug, str) else "", what="service")
    except BadName as error:
        raise click.UsageError(f"{source}: service: {printable(str(error))}") from error
    for name, kind in _wrong(found):
        raise click.UsageError(f"{source}: {name}: write {kind}.")
    return Service(
        str(slug), source, found.get("name"), found.get("description"), found.get("includes"),
        found.get("schema"),
    )  # fmt: skip


def _wrong(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("name", "description"):
        if not isinstance(found.get(name, ""), str):
            yield name, "a text"
    includes = found.get("includes", [])
    if not isinstance(includes, list) or not all(isinstance(each, str) for each in includes):
        yield "includes", "a list of sets' names"
    if not isinstance(found.get("schema", {}), dict):
        yield "schema", "an object, or leave it out"
