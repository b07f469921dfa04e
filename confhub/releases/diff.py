"""What differs between two sets of entries, key by key. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from confhub.releases.entries import answered
from watchers.wire.canonical import Json, canonical


@dataclass(frozen=True)
class Change:
    """One key that differs. `old` is None where it was added, `new` where it was removed."""

    key: str
    kind: Literal["added", "changed", "removed"]
    old: Json
    new: Json


def diff(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> list[Change]:
    """Every key whose entry differs, sorted by key. 1 and 1.0 differ, as they do for a checksum.

    Secrets are compared by fingerprint, and answered without their value.
    """
    changes = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before is None and after is not None:
            changes.append(Change(key, "added", None, answered(after)))
        elif after is None and before is not None:
            changes.append(Change(key, "removed", answered(before), None))
        elif before is not None and after is not None and not same(before, after):
            changes.append(Change(key, "changed", answered(before), answered(after)))
    return changes


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True when two entries hold the same value; of two secrets, when their fingerprints agree."""
    if one.get("secret") and other.get("secret"):
        return "fingerprint" in one and one["fingerprint"] == other.get("fingerprint")
    if one is other:
        return True
    if one != other:
        return False
    # Equal to Python: of texts that is enough, of numbers it is not, because 1 == 1.0 == True.
    return isinstance(one.get("value"), str) or canonical(one) == canonical(other)
