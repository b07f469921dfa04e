"""The rows of the key table: the newest release with the draft laid over it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from confhub.core import clock
from confhub.releases.entries import answered
from confhub.releases.queries import DraftedKey, DraftView
from dashboard import values
from dashboard.values import Shown

WORDS = {"same": "", "added": "Added", "changed": "Changed", "removed": "Removed"}


@dataclass(frozen=True)
class KeyRow:
    """One key as the draft has it. `value` is the published one where the draft removes it."""

    key: str
    status: str  # "same", "added", "changed", "removed"
    value: Shown
    change: DraftedKey | None
    layer: str = ""  # the layer it comes from; "" where the draft's own place sets it
    hint: str = ""  # what the schema says of it

    @property
    def word(self) -> str:
        return WORDS[self.status]

    @property
    def preview(self) -> str:
        """The value on one line."""
        text = self.value.raw if self.value.kind == "json" else self.value.text
        first, _, rest = text.partition("\n")
        more = f" … {rest.count(chr(10)) + 2} lines" if rest else ""
        return f"{first[:200]}{more}"


def rows(
    entries: Mapping[str, Mapping[str, Any]], draft: DraftView, wanted: str = "",
    layers: Mapping[str, str] | None = None, hints: Mapping[str, str] | None = None,
) -> list[KeyRow]:  # fmt: skip
    """Every key of either, sorted, whose name or text holds `wanted`. `layers` names the layer of
    each key that comes from one, `hints` what the schema says of it."""
    changes = {change.key: change for change in draft.changes}
    found = [
        _row(key, entries.get(key), changes.get(key), (layers or {}).get(key, ""))
        for key in sorted({*entries, *changes})
    ]
    if hints:
        found = [replace(row, hint=hints.get(row.key, "")) for row in found]
    word = wanted.lower()
    return [row for row in found if word in row.key.lower() or word in row.value.text.lower()]


def _row(
    key: str, entry: Mapping[str, Any] | None, change: DraftedKey | None, layer: str
) -> KeyRow:
    published = values.shown(answered(entry)) if entry is not None else None
    if change is None:
        assert published is not None  # noqa: S101  # a key is in one of the two
        return KeyRow(key, "same", published, None, layer)
    if change.removed:
        return KeyRow(key, "removed", published or values.shown(None), change)
    status = "added" if published is None else "changed"
    return KeyRow(key, status, values.shown(change.value), change)


def model(
    entries: Mapping[str, Mapping[str, Any]], draft: DraftView,
    layers: Mapping[str, str] | None = None, hints: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The same for the page's script. Values travel as JSON text, because a script's numbers would
    round a 64-bit id: {"head": 4, "version": 9, "entries": {KEY: {"raw", "text"?}}, "changes": …}.
    """
    return {
        "head": draft.head,
        "base": draft.base,
        "version": draft.version,
        "updated_at": clock.stamp(draft.updated_at) if draft.updated_at else None,
        "updated_by": draft.updated_by,
        "layers": dict(layers or {}),
        "hints": dict(hints or {}),
        "entries": {key: _value(answered(entry)) for key, entry in entries.items()},
        "changes": {
            change.key: {
                "removed": change.removed,
                "value": None if change.removed else _value(change.value),
                "version": change.version,
                "author": change.author,
                "at": clock.stamp(change.changed_at),
                "overlaps": change.overlaps,
            }
            for change in draft.changes
        },
    }


def _value(value: Any) -> dict[str, str]:
    drawn = values.shown(value)
    if drawn.kind == "json":
        return {"raw": drawn.raw, "text": drawn.text}
    return {"raw": drawn.raw}
