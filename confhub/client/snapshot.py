"""One release as a program reads it: whole, and never changed."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, overload

from confhub.client import typed
from confhub.client.errors import MissingKey
from watchers.wire.canonical import Json, canonical
from watchers.wire.names import env_name

D = TypeVar("D")
T = TypeVar("T")
_NOTHING: Any = object()
SHORTEST_HIDDEN = 6  # characters; shorter texts occur in sentences without being anybody's secret


class Snapshot(Mapping[str, Json]):
    """The entries of one release, and the objects that were built from it.

    A key may also be written as its environment variable: `DB_URL` finds `db.url`.
    """

    def __init__(self, release: int, values: Mapping[str, Json], *, generation: str) -> None:
        self.release, self.generation = release, generation
        self._values = dict(values)
        self.built: dict[type, Any] = {}  # {Settings: Settings(…)}; filled before it is shown

    @cached_property
    def _by_variable(self) -> dict[str, str]:
        return {env_name(key): key for key in self._values}

    def _find(self, key: str) -> str | None:
        return key if key in self._values else self._by_variable.get(env_name(key))

    def __getitem__(self, key: str) -> Json:
        """Lists and objects are copies, so that nobody changes them for others. Raises MissingKey."""
        found = self._find(key)
        if found is None:
            raise MissingKey(f"Release {self.release} has no entry {key}.")
        value = self._values[found]
        return copy.deepcopy(value) if isinstance(value, list | dict) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    @overload
    def get(self, key: str, default: None = None) -> Json: ...
    @overload
    def get(self, key: str, default: D) -> Json | D: ...
    @overload
    def get(self, key: str, *, type: type[T]) -> T: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    def get(self, key: str, default: Any = _NOTHING, *, type: Any = None) -> Any:
        """The entry as a `type`, or `default` where there is none.

        Raises BadValue when it is there and is no `type`, MissingKey when it is not there, a type
        is asked for and there is no default.
        """
        found = self._find(key)
        if found is None and default is not _NOTHING:
            return default
        if type is None:
            return None if found is None else self[found]
        return typed.value_as(type, self[key], where=found or key)

    def build(self, model: type[T]) -> T:
        """The entries as a `model`, a dataclass or a pydantic model. Raises BadValue."""
        return typed.build(model, self._values, what=f"release {self.release}")

    def without_values(self, text: str) -> str:
        """`text` with each entry's text replaced by the entry's name, for logs and receipts."""
        hidden = {
            leaf: key
            for key, value in self._values.items()
            for leaf in _texts(value)
            if len(leaf) >= SHORTEST_HIDDEN
        }
        for leaf in sorted(hidden, key=len, reverse=True):
            text = text.replace(leaf, f"[{hidden[leaf]}]")
        return text

    def __repr__(self) -> str:
        return f"<Snapshot of release {self.release}, {len(self)} entries>"


@dataclass(frozen=True)
class Change:
    """From one release to the next one that was taken; those between may have been passed over."""

    new: Snapshot
    old: Snapshot

    @cached_property
    def keys(self) -> frozenset[str]:
        """Entries that came, went, or have another value."""
        return frozenset(
            key for key in {*self.new, *self.old} if _as_is(self.new, key) != _as_is(self.old, key)
        )


def _as_is(snapshot: Snapshot, key: str) -> bytes | None:
    """As JSON, because in Python 1 equals True and 1.0."""
    return canonical(snapshot[key]) if key in snapshot else None


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
