"""Do an act, see what it did, and take all of it back: what `dry_run=1` answers with.

    with rehearsing() as seen:
        publish_draft(…)          # the real one, with its checks
    seen.notes                    # [Note("release", "checkout@prod r43", {"changes": […]})]

Whatever the act wrote is rolled back, and what waited for its commit never happens. What leaves the
process by another way (an HTTP call) has to ask `is_rehearsal` first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction


@dataclass(frozen=True)
class Note:
    """Something that would have happened: "draft" or "release", to what, and its data."""

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
    """Whatever is written to the database inside is taken back at the end. Not to be nested."""
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
