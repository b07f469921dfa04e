"""Read what happened, in order."""

from collections.abc import Collection
from typing import Any

from django.db.models import Max

from confhub.events.models import Cursor, Event


def newest_position() -> int:
    """The newest position of all; read it before the rows that a page draws, and start there."""
    return Cursor.objects.filter(pk=1).values_list("newest", flat=True).first() or 0


def newest_of(streams: Collection[str]) -> int:
    """The newest position among `streams`; 0 where nothing happened yet."""
    found = Event.objects.filter(stream__in=streams, position__isnull=False)
    return found.aggregate(newest=Max("position"))["newest"] or 0


def can_go_on_from(position: int) -> bool:
    """False where events behind `position` were forgotten already, or it was never handed out: the
    page slept for longer than they are kept, or the database was set back."""
    newest = newest_position()
    if position >= newest:
        return position == newest
    return Event.objects.filter(position=position + 1).exists()


def some_wait_for_a_position() -> bool:
    return Event.objects.filter(position=None).exists()


def since(position: int, *, streams: Collection[str], limit: int = 500) -> list[dict[str, Any]]:
    """[{"position", "stream", "kind", "data", "at"}, …]: what came after `position`, in order."""
    rows = Event.objects.filter(stream__in=streams, position__gt=position).order_by("position")
    return [
        {
            "position": row.position,
            "stream": row.stream,
            "kind": row.kind,
            "data": row.data,
            "at": row.at.isoformat(),
        }
        for row in rows[:limit]
    ]
