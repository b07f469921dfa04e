"""What makes ConfHub ask twice before a release is cut. Pure.

A release that halves, empties or doubles a scope is more often a mistake than meant: a script that
read an empty file, an import into the wrong scope. Small scopes change by such factors every day,
so each guard begins at a size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

from confhub.catalog.schemas import KeyFacts
from confhub.core.errors import ConfHubError
from watchers.wire.canonical import canonical

Entries: TypeAlias = Mapping[str, Mapping[str, Any]]

MIN_KEYS = 5  # below it a count says nothing
MIN_BYTES = 4096  # of the larger side
FACTOR = 2
_EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Guard:
    """One reason to ask. Its `code` confirms it, where it can be confirmed at all."""

    code: str
    key: str | None
    sentence: str
    can_be_confirmed: bool = True


class GuardTripped(ConfHubError):
    """Nothing was published; the same once more with the codes of `guards` as confirmed does it."""

    code: ClassVar[str] = "release.guard"
    status: ClassVar[int] = 409

    def __init__(self, guards: Sequence[Guard], *, what: str) -> None:
        codes = ", ".join(dict.fromkeys(guard.code for guard in guards))
        way_out = (
            f"If that is meant, confirm it ({codes})."
            if all(guard.can_be_confirmed for guard in guards)
            else "This cannot be confirmed: change what is to be published."
        )
        more = f" ({len(guards) - 1} more.)" if len(guards) > 1 else ""
        super().__init__(
            f"{what}: {guards[0].sentence}{more} Nothing was published. {way_out}",
            fields={guard.key: guard.sentence for guard in guards if guard.key},
            extra={"guards": [asdict(guard) for guard in guards]},
        )
        self.guards = list(guards)


def check(before: Entries, after: Entries, facts: Mapping[str, KeyFacts]) -> list[Guard]:
    """Every reason to ask before `after` follows `before` ({} before the first release).

    `facts` are the schema's for this environment; {} without one.
    """
    return [*_required(before, after, facts), *_counted(before, after), *_sized(before, after)]


def _required(before: Entries, after: Entries, facts: Mapping[str, KeyFacts]) -> list[Guard]:
    guards = []
    for key, known in facts.items():
        if not known.required:
            continue
        if key in before and key not in after:
            sentence = f"{key} is required by the schema and would be removed."
            guards.append(Guard("required_removed", key, sentence, can_be_confirmed=False))
        elif key in after and _is_empty(after[key]) and not _is_empty(before.get(key, {})):
            value = after[key].get("value")
            if value is None and not known.takes_null:
                continue  # the schema refuses it, with its own sentence
            sentence = f"{key} is required by the schema and would be {_named(value)}."
            guards.append(Guard("required_emptied", key, sentence))
    return guards


def _counted(before: Entries, after: Entries) -> list[Guard]:
    had, has = len(before), len(after)
    if had < MIN_KEYS:
        return []
    if not has:
        return [Guard("emptied", None, f"All {had:,} keys would be removed.")]
    counts = f"the release would have {has:,} keys, and the one before has {had:,}"
    if has * FACTOR <= had:
        return [Guard("count_halved", None, f"Half the keys or more would go: {counts}.")]
    if has >= had * FACTOR:
        return [Guard("count_doubled", None, f"The number of keys would double: {counts}.")]
    return []


def _sized(before: Entries, after: Entries) -> list[Guard]:
    if not before:
        return []
    had, has = len(canonical(before)), len(canonical(after))
    if has < MIN_BYTES or has < had * FACTOR:
        return []
    sentence = f"The size would double: {has:,} bytes after {had:,}."
    return [Guard("size_doubled", None, sentence)]


def _is_empty(entry: Mapping[str, Any]) -> bool:
    if entry.get("secret"):
        return False
    value = entry.get("value")
    return any(value == empty and type(value) is type(empty) for empty in _EMPTY)


def _named(value: Any) -> str:
    return "null" if value is None else "empty"
