"""A place's configuration as a file, for people and other tools: the same bytes for the same content.

    env, compose            variables (upper-cased), as containers get them
    json, yaml, toml, properties   keys and values
    configmap, secret       manifests: all but the secrets, and the secrets alone

A secret is *masked*, so that an import of the file keeps it where it is the same and never takes the
mask for a value; or *sealed*, as it stands in etcd, which opens with the key of its place only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from confhub.catalog.models import Scope
from confhub.core.errors import ConfHubError
from confhub.releases.diff import same
from confhub.releases.entries import Entries, answered, as_document
from confhub.releases.places import Place
from confhub.releases.queries import drafted_own, head_of, resolve_draft
from confhub.releases.texts.masks import mask_of
from watchers.render.errors import CannotRender
from watchers.render.formats import WRITERS, variables
from watchers.render.yaml_form import write_yaml
from watchers.wire.canonical import Json
from watchers.wire.documents import plain_value

ExportFormat = Literal[
    "env", "json", "yaml", "toml", "properties", "compose", "configmap", "secret"
]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
Secrets = Literal["masked", "sealed"]
Of = Literal["release", "draft"]

_MEDIA_TYPES = {"json": "application/json", "toml": "application/toml", "env": "text/plain", "properties": "text/plain"}  # fmt: skip
_ENDINGS = {"compose": "compose.yaml", "configmap": "configmap.yaml", "secret": "secret.yaml"}


class NothingToExport(ConfHubError):
    """The place has no release yet."""

    code: ClassVar[str] = "export.nothing"
    status: ClassVar[int] = 404


class CannotExport(ConfHubError):
    """A value has no form in the format, or a secret is not sealed for this place yet."""

    code: ClassVar[str] = "export.unfit"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Exported:
    content: bytes
    media_type: str
    filename: str
    release: int  # the newest one; of a draft, the one that it changes


def export(
    place: Place, *, format: ExportFormat, secrets: Secrets = "masked", of: Of = "release"
) -> Exported:
    """The effective configuration of the newest release, or as the draft would make it.

    Raises NothingToExport, CannotExport.
    """
    head = head_of(place)
    if of == "release" and head is None:
        raise NothingToExport(
            f"{place} has no release yet, so there is nothing to export. Publish one, or export "
            "the draft."
        )
    entries = head.entries if of == "release" and head is not None else _drafted(place, secrets)
    values = {key: _shown(entry, format, secrets) for key, entry in entries.items()}
    hidden = {key for key, entry in entries.items() if entry.get("secret")}
    try:
        content = _written(place, format, values, hidden)
    except CannotRender as error:
        raise CannotExport(
            f"{error} Choose another format.", fields={"format": str(error)}
        ) from error
    number = head.number if head is not None else 0
    name = f"{_name(place)}-{'draft' if of == 'draft' else f'r{number}'}"
    media_type = _MEDIA_TYPES.get(format, "application/yaml")
    return Exported(
        content, f"{media_type}; charset=utf-8", f"{name}.{_ENDINGS.get(format, format)}", number
    )


def _drafted(place: Place, secrets: Secrets) -> Entries:
    head = head_of(place)
    own = drafted_own(place, head)
    if not isinstance(place, Scope):
        return own
    entries = dict(resolve_draft(place).entries)
    if secrets == "masked":
        return entries
    published = head.entries if head is not None else {}
    for key, entry in entries.items():
        if not entry.get("secret") or key in own:
            continue
        # A layer's secret is sealed for the layer; for the scope it is when a release is cut.
        if key not in published or not same(published[key], entry):
            raise CannotExport(
                f"{key} comes from a layer and is not sealed for {place} before it is published "
                "there. Publish first, or export with secrets masked.",
                fields={key: "Not sealed for this place yet."},
            )
        entries[key] = published[key]
    return entries


def _shown(entry: Mapping[str, Any], format: str, secrets: Secrets) -> Json:
    if not entry.get("secret"):
        return entry.get("value")
    if secrets == "sealed":
        return as_document({"it": entry})["it"]
    return answered(entry) if format == "json" else mask_of(str(entry.get("fingerprint", "")))


def _written(place: Place, format: str, values: dict[str, Json], hidden: set[str]) -> bytes:
    """Raises CannotRender."""
    match format:
        case "compose":
            return _compose(place, values)
        case "configmap":
            return _config_map(place, values, hidden)
        case "secret":
            return _secret(place, {key: values[key] for key in hidden})
    return WRITERS[format](values)


def _compose(place: Place, values: Mapping[str, Json]) -> bytes:
    made = {name: text.replace("$", "$$") for name, text in variables(values).items()}
    service = place.service.slug if place.service is not None else _name(place)
    return write_yaml({"services": {service: {"environment": made}}})


def _config_map(place: Place, values: Mapping[str, Json], hidden: set[str]) -> bytes:
    data = {key: _text(value) for key, value in values.items() if key not in hidden}
    said = ""
    if hidden:
        keys = "".join(f"#   {key}\n" for key in sorted(hidden))
        said = f"# Secrets belong into a Secret; export that manifest for:\n{keys}"
    head: dict[str, Json] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _name(place)},
    }
    return said.encode() + write_yaml({**head, "data": data})


def _secret(place: Place, values: Mapping[str, Json]) -> bytes:
    data = {key: _text(value) for key, value in values.items()}
    head: dict[str, Json] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _name(place)},
    }
    return write_yaml({**head, "type": "Opaque", "stringData": data})


def _text(value: Json) -> str:
    return plain_value(value).decode()


def _name(place: Place) -> str:
    """ "billing-prod"; of a layer "global", "set-redis"."""
    if isinstance(place, Scope):
        return f"{place.service.slug}-{place.environment.slug}"
    return f"{place.kind}-{place.slug}" if place.slug else str(place.kind)
