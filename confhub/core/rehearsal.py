"""Do an act, see what it did, and take all of it back: what `dry_run=1` answers with.

    with rehearsing() as seen:
        publish_draft(…)          # the real one, with its checks
    seen.notes                    # [Note("release", "checkout@prod r43", {"changes": […]})]

Whatever the act wrote is rolled back, and what waited for its commit never happens. What leaves the
process by another way (an HTTP call) has to ask `is_rehearsal` first.
docs/decisions/0029-a-dry-run-is-the-real-act-taken-back.md
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import transaction


@dataclass(frozen=True)
class FieldChange:
    """One field of a row that would be another, in the form of `releases.diff.Change`."""

    key: str
    kind: Literal["added", "changed", "removed"]
    old: Any
    new: Any


@dataclass(frozen=True)
class Note:
    """Something that would have happened, to what, and its data. `what` is "act" for an entry of
    the audit, else the kind of thing that would be another: "draft", "release", "service" …"""

    what: str
    target: str
    data: dict[str, Any]


@dataclass
class Rehearsal:
    """What was noted while it ran, in order."""

    notes: list[Note] = field(default_factory=list)


_current: ContextVar[Rehearsal | None] = ContextVar("rehearsal", default=None)


@contextmanager
def rehearsing() -> Iterator[Rehearsal]:
    """Whatever is written to the database inside is taken back at the end. One inside another keeps
    its notes to itself."""
    seen = Rehearsal()
    token = _current.set(seen)
    try:
        with transaction.atomic():
            yield seen
            transaction.set_rollback(True)
    finally:
        _current.reset(token)


def is_rehearsal() -> bool:
    return _current.get() is not None


def note(what: str, target: str, **data: Any) -> None:
    """Let a rehearsal know; nothing at any other time. `data` holds no secret's value."""
    seen = _current.get()
    if seen is not None:
        seen.notes.append(Note(what, target, data))


def note_fields(
    what: str, target: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    """Note the fields of a row that would be others. None: the row is not there on that side."""
    if is_rehearsal():
        note(what, target, changes=field_changes(before, after))


def field_changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[FieldChange]:
    """The fields that differ, in the order of the rows."""
    old, new = before or {}, after or {}
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in old:
            changes.append(FieldChange(name, "added", None, new[name]))
        elif name not in new:
            changes.append(FieldChange(name, "removed", old[name], None))
        elif old[name] != new[name]:
            changes.append(FieldChange(name, "changed", old[name], new[name]))
    return changes
