"""The documents that stand in etcd: the pointer, the release, the rollout.

Every `from_bytes` takes what somebody else may have written, so it checks shape and raises
BadDocument with a sentence; every `to_bytes` writes the same bytes for the same content.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

from watchers.wire.canonical import Json, canonical, checksum

# Bounded, because it is written into headers, logs and keys of other people's systems.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


class BadDocument(ValueError):
    """A document in etcd that cannot be what it should be; the text says which and why."""


def _no_constant(word: str) -> None:
    """NaN and the infinities, which Python would read and nobody could write again."""
    raise ValueError(f"{word} is no number")


def read_object(raw: bytes, *, what: str) -> dict[str, Any]:
    """`raw` as a JSON object. Raises BadDocument naming `what`."""
    try:
        held = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadDocument(f"{what} is not JSON: {error}") from error
    if not isinstance(held, dict):
        raise BadDocument(f"{what} is not a JSON object")
    return held


def take(held: dict[str, Any], name: str, kind: type | tuple[type, ...], *, what: str) -> Any:
    """`held[name]`, once it is known to be a `kind`. A bool does not pass for a number."""
    value = held.get(name)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise BadDocument(f"{what} has no usable {name!r}: {str(value)[:80]!r}")
    return value


def request_id_of(held: dict[str, Any]) -> str:
    """The id of the request that began it all, as far as logs may have it; "" for anything else."""
    found = held.get("request_id")
    return found if isinstance(found, str) and REQUEST_ID.fullmatch(found) else ""


@dataclass(frozen=True)
class Pointer:
    """`current`: the release that instances outside a rollout run. Its one write publishes."""

    release: int
    checksum: str
    published_at: str  # aware UTC, for display only; order comes from `release`

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        held = read_object(raw, what="current")
        return cls(
            release=take(held, "release", int, what="current"),
            checksum=take(held, "checksum", str, what="current"),
            published_at=str(held.get("published_at", "")),
        )

    def to_bytes(self) -> bytes:
        return canonical(asdict(self))


@dataclass(frozen=True)
class ReleaseDocument:
    """A release as containers read it. Written once, never changed."""

    service: str
    environment: str
    release: int
    checksum: str
    entries: dict[str, dict[str, Any]]  # {"MAX": {"value": 200}, "PW": {"secret": true, …}}
    message: str = ""
    author: str = ""
    created_at: str = ""
    parent: int | None = None
    request_id: str = ""  # of the call that published it; "" where nobody knows

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The document in `raw`, with its checksum verified. Raises BadDocument."""
        held = read_object(raw, what="release document")
        what = f"release document {held.get('release')}"
        document = cls(
            service=take(held, "service", str, what=what),
            environment=take(held, "environment", str, what=what),
            release=take(held, "release", int, what=what),
            checksum=take(held, "checksum", str, what=what),
            entries=take(held, "entries", dict, what=what),
            message=str(held.get("message", "")),
            author=str(held.get("author", "")),
            created_at=str(held.get("created_at", "")),
            parent=held.get("parent"),
            request_id=request_id_of(held),
        )
        if any(not isinstance(entry, dict) for entry in document.entries.values()):
            raise BadDocument(f"{what} has an entry that is not an object")
        try:
            found = checksum(document.entries)
        except ValueError as error:  # 1e999, or half a character: JSON can write them, UTF-8 cannot
            raise BadDocument(f"{what} holds what is no value: {error}") from error
        if found != document.checksum:
            raise BadDocument(f"{what} says {document.checksum}, but its entries have {found}")
        return document

    def to_bytes(self) -> bytes:
        held = asdict(self)
        if not self.request_id:  # as documents were before they had one, byte for byte
            del held["request_id"]
        return canonical(held)

    @cached_property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys of the secret entries; in etcd they are sealed (watchers/wire/sealing.py)."""
        return tuple(key for key, entry in self.entries.items() if entry.get("secret") is True)

    @property
    def values(self) -> dict[str, Json]:
        """{"MAX": 200, …}: the entries that are not secret, or all of them once they were opened."""
        return {key: entry.get("value") for key, entry in self.entries.items() if "value" in entry}


@dataclass(frozen=True)
class Rollout:
    """`rollout`: a release on its way to the admitted instances only."""

    id: int
    release: int
    baseline: int
    state: Literal["running", "paused"]
    admitted: Literal["all"] | frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        held = read_object(raw, what="rollout")
        admitted = take(held, "admitted", (list, str), what="rollout")
        state = take(held, "state", str, what="rollout")
        if state not in ("running", "paused") or (isinstance(admitted, str) and admitted != "all"):
            raise BadDocument(f"rollout has an unknown state or admission: {state!r}")
        return cls(
            id=take(held, "id", int, what="rollout"),
            release=take(held, "release", int, what="rollout"),
            baseline=take(held, "baseline", int, what="rollout"),
            state=state,
            admitted="all" if isinstance(admitted, str) else frozenset(map(str, admitted)),
        )

    def admits(self, instance_id: str) -> bool:
        return self.admitted == "all" or instance_id in self.admitted


def plain_value(value: Json) -> bytes:
    """A value as it stands under `keys/`: a string as it is, anything else as canonical JSON."""
    return value.encode() if isinstance(value, str) else canonical(value)


def target_of(instance_id: str, *, current: Pointer | None, rollout: Rollout | None) -> int | None:
    """The release number `instance_id` shall run, or None where nothing was ever published."""
    if rollout is not None and rollout.admits(instance_id):
        return rollout.release
    return current.release if current is not None else None
