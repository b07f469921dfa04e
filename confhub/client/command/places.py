"""PLACE: where a configuration stands."""

import re
from dataclasses import dataclass
from typing import Any

import click

_SLUG = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SCOPE = re.compile(f"({_SLUG})@({_SLUG})")
_LAYER = re.compile(f"(environment|set|service)/({_SLUG})")
FORMS = "SERVICE@ENVIRONMENT, or a layer: global, environment/NAME, set/NAME or service/NAME"


@dataclass(frozen=True)
class Place:
    """A scope (`kind` "scope": a service in an environment) or a layer."""

    kind: str
    slug: str  # of a layer; empty of the global one
    service: str = ""
    environment: str = ""

    @property
    def is_scope(self) -> bool:
        return self.kind == "scope"

    @property
    def path(self) -> str:
        """Below /api/v1."""
        if self.is_scope:
            return f"/services/{self.service}/environments/{self.environment}"
        return "/layers/global" if self.kind == "global" else f"/layers/{self.kind}s/{self.slug}"

    def __str__(self) -> str:
        if self.is_scope:
            return f"{self.service}@{self.environment}"
        return "global" if self.kind == "global" else f"{self.kind}/{self.slug}"


def scope(service: str, environment: str) -> Place:
    return Place("scope", "", service, environment)


def read(text: str) -> Place | None:
    """None where `text` is no place."""
    if text == "global":
        return Place("global", "")
    if found := _SCOPE.fullmatch(text):
        return scope(found[1], found[2])
    if found := _LAYER.fullmatch(text):
        return Place(found[1], found[2])
    return None


def place(text: str, *, name: str = "PLACE") -> Place:
    """Raises click.BadParameter with what may be written."""
    found = read(text)
    if found is None:
        raise click.BadParameter(f"{text[:140]!r} is no place. Write {FORMS}.{_meant(text)}", param_hint=name)  # fmt: skip
    return found


def scope_only(found: Place, what: str) -> Place:
    """Raises click.BadParameter for a layer, which `what` does not have."""
    if not found.is_scope:
        raise click.BadParameter(f"{found} is a layer, and {what}. Write SERVICE@ENVIRONMENT.", param_hint="PLACE")  # fmt: skip
    return found


def _meant(text: str) -> str:
    parts = re.fullmatch(f"({_SLUG})[/: ]({_SLUG})", text)
    if parts and parts[1] in ("environments", "sets", "services"):
        return f" Did you mean {parts[1][:-1]}/{parts[2]}?"
    return f" Did you mean {parts[1]}@{parts[2]}?" if parts else ""


class PlaceType(click.ParamType[Place]):
    """For click: a Place."""

    name = "place"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        return value if isinstance(value, Place) else place(str(value))
