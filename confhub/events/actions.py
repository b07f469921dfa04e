"""Write what happened, hand out positions, nudge open pages."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

from confhub.core import rehearsal, wake
from confhub.core.actors import Actor
from confhub.core.listen import rings_by_itself
from confhub.events import chain
from confhub.events.kinds import KINDS
from confhub.events.models import AuditEntry, Cursor, Event

log = structlog.get_logger("events")

NUDGE_LIMIT_S = 2.0  # a frozen Redis costs a worker this much, and the heartbeat brings the rows
Happened: TypeAlias = tuple[str, str, dict[str, Any]]  # (kind, stream, data) of an event
EVERY_STREAM = "events"  # the group of whoever wants to know that anything moved
BATCH = 1000  # events that one transaction numbers or forgets, so that its lock is short


def record(kind: str, *, stream: str, data: dict[str, Any], now: datetime) -> None:
    """Append an event in the caller's transaction and ask for the fan-out after its commit."""
    record_all([(kind, stream, data)], now=now)


def record_all(happened: Sequence[Happened], *, now: datetime) -> None:
    """The same for many, appended in this order."""
    unknown = [kind for kind, _, _ in happened if kind not in KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not in confhub.events.kinds")
    Event.objects.bulk_create(
        [Event(kind=kind, stream=stream, data=data, at=now) for kind, stream, data in happened],
        batch_size=200,
    )
    if happened and not rings_by_itself():
        wake.after_commit("confhub.events.fan_out")


def audit(
    action: str, *, who: Actor, target: str, data: dict[str, Any] | None = None, now: datetime
) -> None:
    """Append to the audit in the transaction of the act. `data` holds keys and numbers, no values."""
    rehearsal.note("act", target, action=action, data=data or {})
    AuditEntry.objects.create(
        at=now,
        actor=who.name,
        action=action,
        target=target,
        data=data or {},
        request_id=who.request_id,
    )


@transaction.atomic
def number_new_events() -> dict[str, int]:
    """Give committed, unnumbered events the next positions; return {stream: newest position}.

    Positions are handed out under one row's lock and not by a sequence, because sequence values
    become visible in commit order, not in value order: a reader who has "seen up to 7" would
    never see a 6 that commits later. Safe to call from anywhere, any number of times.
    """
    cursor, _ = Cursor.objects.select_for_update().get_or_create(pk=1)
    fresh = list(Event.objects.filter(position=None).order_by("id").only("id", "stream")[:BATCH])
    newest: dict[str, int] = {}
    for position, event in enumerate(fresh, start=cursor.newest + 1):
        event.position = position
        newest[event.stream] = position
    if fresh:
        Event.objects.bulk_update(fresh, ["position"], batch_size=200)
        cursor.newest += len(fresh)
        cursor.save(update_fields=["newest"])
    return newest


def fan_out() -> int:
    """Number what is new and nudge the pages that show it; return how many streams moved.

    A nudge that cannot be sent is dropped: every page's heartbeat reads the rows anyway. The audit
    is chained last, because nobody waits for it.
    """
    moved = number_new_events() if Event.objects.filter(position=None).exists() else {}
    if moved:
        try:
            async_to_sync(_nudge)(moved)
        except (RedisError, OSError, TimeoutError) as error:
            log.info("nudge.unheard", streams=len(moved), error=type(error).__name__)
    if chain.some_wait():
        chain.chain_new_entries()
    return len(moved)


async def _nudge(moved: dict[str, int]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    async with asyncio.timeout(NUDGE_LIMIT_S):
        newest = max(moved.values())
        await layer.group_send(EVERY_STREAM, {"type": "events.new", "position": newest})
        for stream, position in moved.items():
            await layer.group_send(stream, {"type": "events.new", "position": position})


def forget_old(*, before: datetime) -> int:
    """Delete numbered events older than `before`; a page that missed them draws itself anew.

    In parts, because one statement for a week's backlog would run into the statement's time limit
    every time, or keep SQLite's only lock for longer than anybody waits for it.
    """
    old = Event.objects.filter(position__isnull=False, at__lt=before).order_by("id")
    deleted = 0
    while ids := list(old.values_list("id", flat=True)[:BATCH]):
        deleted += Event.objects.filter(id__in=ids).delete()[0]
    return deleted
