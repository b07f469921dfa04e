"""`${KEY}` and `${service/KEY}` in values. Pure.

A reference names a key of the same service, or of another service in the same environment. A value
that is nothing but one reference takes the target's value as it is; within a longer text a string
stands as it is and a number or boolean as JSON. `$${` writes `${` itself. Secrets are not looked
into, and nothing may look at a secret, because its value would stand readable in another entry.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from confhub.releases.entries import Entries
from watchers.wire.canonical import Json, canonical

_KEY = r"[A-Za-z_][A-Za-z0-9_.-]{0,127}"
_SLUG = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
REFERENCE = re.compile(rf"\$(?P<escaped>\$)?\{{(?:(?P<service>{_SLUG})/)?(?P<key>{_KEY})\}}")
MAX_TEXT_CHARS = 256 * 1024  # of one value once everything is put in
LITERAL = "Write $${ where the text itself is meant."


class Neighbors(Protocol):
    """The other services of an environment, as they were last published."""

    def published(self, service: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Resolved entries; None where there is no such service or it has no release."""

    def written(self, service: str) -> Mapping[str, Mapping[str, Any]]:
        """The same with references as people wrote them; {} where there is nothing."""


class CannotResolve(Exception):
    """The sentence about one key's references."""


def used_in(value: Json) -> list[tuple[str | None, str]]:
    """[(service or None, key), …]: what a value refers to, in the order of its text."""
    if isinstance(value, str):
        found = REFERENCE.finditer(value) if "${" in value else ()
        return [(match["service"], match["key"]) for match in found if not match["escaped"]]
    if isinstance(value, list):
        return [each for held in value for each in used_in(held)]
    if isinstance(value, dict):
        return [each for held in value.values() for each in used_in(held)]
    return []


def put_in(
    entries: Entries, *, service: str, neighbors: Neighbors
) -> tuple[Entries, dict[str, str]]:
    """(`entries` with every reference replaced, {key: sentence of what cannot be}).

    A key with a problem keeps its text as it was written.
    """
    work = _Work(entries, service, neighbors)
    resolved: Entries = {}
    problems: dict[str, str] = {}
    for key, entry in entries.items():
        if not _has_dollar(entry.get("value")):
            resolved[key] = entry
            continue
        try:
            resolved[key] = {**entry, "value": work.value_of(key)}
        except CannotResolve as error:
            resolved[key], problems[key] = entry, str(error)
    return resolved, problems


def _has_dollar(value: Json) -> bool:
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, list):
        return any(map(_has_dollar, value))
    return isinstance(value, dict) and any(map(_has_dollar, value.values()))


@dataclass
class _Work:
    entries: Entries
    service: str
    neighbors: Neighbors
    done: dict[str, Json] = field(default_factory=dict)
    on_the_way: list[str] = field(default_factory=list)

    def value_of(self, key: str) -> Json:
        """The value of a key of this service. Raises CannotResolve."""
        if key in self.done:
            return self.done[key]
        if key in self.on_the_way:
            circle = [*self.on_the_way[self.on_the_way.index(key) :], key]
            raise CannotResolve(f"{' → '.join(circle)} is a circle. Give one of them a value.")
        self.on_the_way.append(key)
        try:
            self.done[key] = self._filled(key, self.entries[key].get("value"))
        finally:
            self.on_the_way.pop()
        return self.done[key]

    def _filled(self, key: str, value: Json) -> Json:
        if isinstance(value, str):
            return self._text(key, value)
        if isinstance(value, list):
            return [self._filled(key, held) for held in value]
        if isinstance(value, dict):
            return {name: self._filled(key, held) for name, held in value.items()}
        return value

    def _text(self, key: str, text: str) -> Json:
        if "${" not in text:
            return text
        alone = REFERENCE.fullmatch(text)
        if alone and not alone["escaped"]:
            return self._target(key, alone)
        filled = REFERENCE.sub(lambda match: self._piece(key, match), text)
        if len(filled) > MAX_TEXT_CHARS:
            raise CannotResolve(f"{key} would be longer than {MAX_TEXT_CHARS:,} characters.")
        return filled

    def _piece(self, key: str, match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0][1:]
        found = self._target(key, match)
        if found is None or isinstance(found, list | dict):
            raise CannotResolve(
                f"{key} puts {match[0]} into a text, but that is no text, number or boolean. "
                "Refer to it alone, or to another key."
            )
        return found if isinstance(found, str) else canonical(found).decode()

    def _target(self, key: str, match: re.Match[str]) -> Json:
        service, name = match["service"], match["key"]
        if service is None or service == self.service:
            self._must_be_plain(
                key, match[0], self.entries.get(name), f"this service has no key {name}"
            )
            return self.value_of(name)
        published = self.neighbors.published(service)
        if published is None:
            raise CannotResolve(
                f"{key} refers to {match[0]}, but {service} has no release in this environment. "
                f"Publish it first. {LITERAL}"
            )
        held = published.get(name)
        self._must_be_plain(key, match[0], held, f"{service} has no key {name} here")
        self._refuse_circle(key, service, name)
        return held["value"] if held is not None else None

    def _must_be_plain(
        self, key: str, asked: str, held: Mapping[str, Any] | None, missing: str
    ) -> None:
        if held is None:
            raise CannotResolve(f"{key} refers to {asked}, but {missing}. {LITERAL}")
        if held.get("secret"):
            raise CannotResolve(
                f"{key} refers to {asked}, which is a secret: its value would stand readable here. "
                "Set the secret in this key itself."
            )

    def _refuse_circle(self, key: str, service: str, name: str) -> None:
        """Follow what `service` wrote, and raise where it comes back to a key of ours on the way."""
        ours = {*self.on_the_way, key}
        seen: set[tuple[str, str]] = set()
        ahead = [(service, name)]
        while ahead:
            at = ahead.pop()
            if at in seen:
                continue
            seen.add(at)
            entry = self.neighbors.written(at[0]).get(at[1], {})
            for other, target in used_in(entry.get("value")):
                where = other or at[0]
                if where == self.service and target in ours:
                    raise CannotResolve(
                        f"{key} → {service}/{name} → {self.service}/{target} is a circle. "
                        "Give one of them a value."
                    )
                if where != self.service:
                    ahead.append((where, target))
