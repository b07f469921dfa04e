"""Freeze windows: times in which nothing is published into an environment, but in an emergency."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import transaction

from confhub.catalog.models import Environment, FreezeWindow
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events

MAX_LENGTH = timedelta(days=90)
MAX_REASON_CHARS = 200
MAX_AHEAD = 50  # windows of one environment that are not over, so that lists and looks stay short


class BadFreeze(ConfHubError):
    """A window that cannot be kept; `fields` says which of its parts and why."""

    code: ClassVar[str] = "freeze.bad"
    status: ClassVar[int] = 422


class NoSuchFreeze(ConfHubError):
    """The environment has no such window, or it is over already."""

    code: ClassVar[str] = "freeze.unknown"
    status: ClassVar[int] = 404


@transaction.atomic
def add_freeze(
    environment: Environment, *, starts_at: datetime, ends_at: datetime, reason: str, who: Actor,
    now: datetime,
) -> FreezeWindow:  # fmt: skip
    """Freeze the environment from `starts_at` until `ends_at` (aware). Raises BadFreeze."""
    reason = reason.strip()
    if fields := _problems(starts_at, ends_at, reason, now):
        raise BadFreeze(f"The freeze cannot be kept. {next(iter(fields.values()))}", fields=fields)
    Environment.objects.select_for_update().get(pk=environment.pk)  # so that two do not both fit
    if FreezeWindow.objects.filter(environment=environment, ends_at__gt=now).count() >= MAX_AHEAD:
        raise BadFreeze(f"{environment} has {MAX_AHEAD} freezes ahead. End one of them first.")
    window = FreezeWindow.objects.create(
        environment=environment,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        made_by=who.name,
    )
    _tell("environment.frozen", environment, window, who=who, now=now)
    return window


@transaction.atomic
def end_freeze(environment: Environment, number: int, *, who: Actor, now: datetime) -> None:
    """End window `number` (its row id) now; one that has not begun is removed. Raises NoSuchFreeze."""
    there = FreezeWindow.objects.select_for_update().filter(environment=environment)
    window = there.filter(pk=number, ends_at__gt=now).first() if 0 < number < 2**63 else None
    if window is None:
        raise NoSuchFreeze(
            f"{environment} has no freeze {number} that could be ended; it may be over already.",
            fields={"freeze": "No such freeze."},
        )
    _tell("environment.thawed", environment, window, who=who, now=now)
    if window.starts_at < now:
        window.ends_at = now
        window.save(update_fields=["ends_at"])
    else:
        window.delete()


def freezes_of(
    environments: Collection[Environment], *, now: datetime
) -> dict[int, list[FreezeWindow]]:
    """{environment row id: the windows that are not over, the next to begin first}."""
    found: dict[int, list[FreezeWindow]] = defaultdict(list)
    rows = FreezeWindow.objects.filter(environment__in=environments, ends_at__gt=now)
    for window in rows.order_by("starts_at", "id"):
        found[window.environment_id].append(window)
    return dict(found)


def standing(environment_id: int, *, now: datetime) -> FreezeWindow | None:
    """The window in which the environment is now; of several the one that ends last."""
    rows = FreezeWindow.objects.filter(environment=environment_id, starts_at__lte=now)
    return rows.filter(ends_at__gt=now).order_by("-ends_at").first()


def _problems(starts_at: datetime, ends_at: datetime, reason: str, now: datetime) -> dict[str, str]:
    fields = {}
    if not reason or len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        fields["reason"] = f"Say why, in at most {MAX_REASON_CHARS} characters on one line."
    if ends_at <= starts_at:
        fields["ends_at"] = "It ends before it starts. Write a later end."
    elif ends_at - starts_at > MAX_LENGTH:
        fields["ends_at"] = (
            f"It would last longer than {MAX_LENGTH.days} days. Write an earlier end."
        )
    elif ends_at <= now:
        fields["ends_at"] = "It would be over already. Write an end that is still to come."
    return fields


def _tell(
    action: str, environment: Environment, window: FreezeWindow, *, who: Actor, now: datetime
) -> None:
    data = {
        "freeze": window.pk,
        "starts_at": clock.stamp(window.starts_at),
        "ends_at": clock.stamp(window.ends_at),
        "reason": window.reason,
    }
    events.audit(action, who=who, target=environment.slug, data=data, now=now)
    events.record(
        "environment.changed", stream="catalog", data={"environment": environment.slug}, now=now
    )
