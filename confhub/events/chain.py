"""The audit as a chain: each entry holds a digest over itself and the entry before it.

Whoever changes, removes or slips in an entry later breaks every digest behind it. What a chain
cannot show by itself is that its newest entries were cut off, so `Status.head` is worth writing
down elsewhere now and then; verify() takes such a note.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import transaction

from confhub.events.models import AuditEntry, Cursor
from watchers.wire.canonical import canonical

BEFORE_THE_FIRST = "0" * 64  # the digest that the first entry stands on
BATCH = 500  # entries that one transaction chains, so that its lock is short


@dataclass(frozen=True)
class Head:
    """The newest entry of the chain. Written `7:3f2a…` it is a note to hold the chain against."""

    position: int
    digest: str

    def __str__(self) -> str:
        return f"{self.position}:{self.digest}"


@dataclass(frozen=True)
class Status:
    """What a look at the whole chain found; `problem` is empty where everything fits."""

    head: Head
    checked: int
    waiting: int  # entries that are not chained yet; a moment old while a worker runs
    problem: str
    position: int | None  # of the first entry that does not fit


def some_wait() -> bool:
    return AuditEntry.objects.filter(position=None).exists()


def chain_new_entries() -> int:
    """Chain what was committed since; return how many. Safe to call from anywhere, at any time."""
    done = last = _chain_some()
    while last == BATCH:
        last = _chain_some()
        done += last
    return done


@transaction.atomic
def _chain_some() -> int:
    """Under the lock of the events' cursor, so that two callers never give one place twice, and in
    the order of commits, because an id may become visible after a later one."""
    Cursor.objects.select_for_update().get_or_create(pk=1)
    fresh = list(AuditEntry.objects.filter(position=None).order_by("id")[:BATCH])
    head = newest()
    for entry in fresh:
        entry.position = head.position + 1
        entry.digest = digest_of(entry, head.digest)
        head = Head(entry.position, entry.digest)
    if fresh:
        AuditEntry.objects.bulk_update(fresh, ["position", "digest"], batch_size=100)
    return len(fresh)


def newest() -> Head:
    """Where the chain ends; position 0 before the first entry."""
    rows = AuditEntry.objects.filter(position__isnull=False).order_by("-position")
    found = rows.values_list("position", "digest").first()
    return Head(found[0] or 0, found[1]) if found else Head(0, BEFORE_THE_FIRST)


def as_document(entry: AuditEntry) -> dict[str, Any]:
    """What the digest is over, and what an export holds besides it."""
    return {
        "position": entry.position,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "data": entry.data,
        "request_id": entry.request_id,
    }


def digest_of(entry: AuditEntry, before: str) -> str:
    """SHA-256 over the digest before, a line feed, and the entry's canonical JSON."""
    told = before.encode() + b"\n" + canonical(as_document(entry))
    return hashlib.sha256(told).hexdigest()


def chained(*, behind: int = 0) -> Iterator[AuditEntry]:
    """Every chained entry behind that position in order, a few hundred in memory at a time."""
    rows = AuditEntry.objects.filter(position__gt=behind).order_by("position")
    return rows.iterator(chunk_size=BATCH)


def _stands_before(last: int | None) -> Head:
    """What the first of the `last` entries stands on."""
    if last is not None:
        rows = AuditEntry.objects.filter(position__isnull=False).order_by("-position")
        for position, digest in rows.values_list("position", "digest")[last : last + 1]:
            return Head(position or 0, digest)
    return Head(0, BEFORE_THE_FIRST)


def verify(noted: Head | None = None, *, last: int | None = None) -> Status:
    """Compute the chain anew: the whole, or only its `last` entries, for a page.

    `noted`: a head written down earlier, which must still stand.
    """
    head, problem, at, has_noted = _stands_before(last), "", None, noted is None
    checked = 0
    for entry in chained(behind=head.position):
        assert entry.position is not None  # noqa: S101  # chained() hands out no other
        problem = _misfit(entry, head)
        if problem:
            at = entry.position
            break
        head = Head(entry.position, entry.digest)
        has_noted = has_noted or head == noted
        checked += 1
    if not problem and not has_noted:
        assert noted is not None  # noqa: S101  # else it counts as found from the start
        problem, at = _not_as_noted(noted, head), min(noted.position, head.position + 1)
    waiting = AuditEntry.objects.filter(position=None).count()
    return Status(head=head, checked=checked, waiting=waiting, problem=problem, position=at)


def _misfit(entry: AuditEntry, head: Head) -> str:
    """Why `entry` cannot stand right behind `head`; "" where it fits."""
    expected = head.position + 1
    if entry.position != expected:
        return (
            f"Entry {expected} is missing: after {head.position} comes {entry.position} "
            f"({entry.action} by {entry.actor})."
        )
    if entry.digest != digest_of(entry, head.digest):
        return (
            f"Entry {entry.position} ({entry.action} {entry.target} by {entry.actor}) does not fit "
            "its digest: it, or an entry before it, was changed."
        )
    return ""


def _not_as_noted(noted: Head, head: Head) -> str:
    if noted.position > head.position:
        return (
            f"The chain ends at entry {head.position}, but {noted.position} was noted: the newest "
            "entries were cut off."
        )
    return f"Entry {noted.position} has another digest than was noted: the chain was made anew."
