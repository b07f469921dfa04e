"""Events become deliveries: one at a time does it, in the order of positions, nothing twice.

It looks at rows and not at bells, so that whatever stops it goes on where the cursor stands: the
deliveries of a batch and the cursor behind it are one transaction.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from confhub.catalog.models import Layer, Scope
from confhub.events import queries as events
from confhub.events.models import Event
from confhub.webhooks import payloads, switching
from confhub.webhooks.kinds import TEST, Told, source_kinds, told_of
from confhub.webhooks.models import Webhook, WebhookCursor, WebhookDelivery

BATCH = 500  # events that one transaction takes, so that its lock is short
KEPT = 500  # finished deliveries of one webhook
MAX_WAITING = 10_000  # of one webhook; beyond it is switched off


@dataclass(frozen=True)
class Place:
    """Where something happened, as far as a webhook can be made for it."""

    service: str | None
    environment: str | None
    named: Mapping[str, Any]  # how the body says it
    scope_id: int | None = None


def take_new_events(*, now: datetime) -> int:
    """Make deliveries of everything that has a position by now; return how many were made."""
    made = 0
    while _behind():
        made += _take_batch(now=now)
    return made


def _behind() -> bool:
    at = WebhookCursor.objects.filter(pk=1).values_list("position", flat=True).first()
    return at is None or events.newest_position() > at


@transaction.atomic
def _take_batch(*, now: datetime) -> int:
    cursor, is_first = WebhookCursor.objects.select_for_update().get_or_create(pk=1)
    newest = events.newest_position()  # before the rows, so that none of them is passed over
    webhooks = list(
        Webhook.objects.filter(is_on=True).select_related("service", "environment").order_by("id")
    )
    found: list[Event] = []
    if webhooks and not is_first:  # else whatever happened is older than the first webhook
        found = list(_looked_at(behind=cursor.position, until=newest)[:BATCH])
    made = _made(found, webhooks, now=now)
    WebhookDelivery.objects.bulk_create(made, batch_size=100, ignore_conflicts=True)
    at = found[-1].position if len(found) == BATCH else newest
    cursor.position = at or newest
    cursor.save(update_fields=["position"])
    _keep_bounds({each.webhook_id for each in made}, now=now)
    return len(made)


def ensure_cursor() -> None:
    """Begin to look at events, if nobody did: what happens from now on is told."""
    WebhookCursor.objects.get_or_create(pk=1, defaults={"position": events.newest_position()})


def _looked_at(*, behind: int, until: int) -> Any:
    others = [kind for kind in source_kinds() if kind != "instance.changed"]
    # Thousands of an instance's events are none of a failure; the database leaves them out.
    wanted = Q(kind__in=others) | Q(kind="instance.changed", data__receipt__state="failed")
    rows = Event.objects.filter(wanted, position__gt=behind, position__lte=until)
    return rows.order_by("position")


def _made(
    found: Sequence[Event], webhooks: Sequence[Webhook], *, now: datetime
) -> list[WebhookDelivery]:
    places = _places(found)
    made: list[WebhookDelivery] = []
    for event in found:
        told = told_of(event.kind, event.data)
        place = _of_webhook(event.data) if told and "webhook" in told.facts else places.get(event.stream)  # fmt: skip
        if told is None or place is None:
            continue
        body = payloads.document(told.kind, {**place.named, **told.facts}, at=event.at)
        made += [
            delivery_of(webhook, told, body, scope_id=place.scope_id, event=event, now=now)
            for webhook in webhooks
            if _takes(webhook, told.kind, place) and event.at >= webhook.made_at
        ]
    return made


def delivery_of(
    webhook: Webhook, told: Told, body: dict[str, Any], *, scope_id: int | None, event: Event,
    now: datetime,
) -> WebhookDelivery:  # fmt: skip
    """Not saved. Its message's id is made of what it is about, so that a second one is none."""
    what = told.once or f"{event.pk} {event.position} {event.at.isoformat()}"
    about = f"{webhook.pk} {webhook.made_at.isoformat()} {told.kind} {scope_id} {what}"
    return WebhookDelivery(
        webhook=webhook,
        scope_id=scope_id,
        position=event.position or 0,
        kind=told.kind,
        message_id=f"msg_{hashlib.sha256(about.encode()).hexdigest()[:32]}",
        body=body,
        next_try_at=now,
        made_at=now,
    )


def _takes(webhook: Webhook, kind: str, place: Place) -> bool:
    if webhook.kinds and kind not in webhook.kinds:
        return False
    service = webhook.service.slug if webhook.service else None
    environment = webhook.environment.slug if webhook.environment else None
    return service in (None, place.service) and environment in (None, place.environment)


def _places(found: Iterable[Event]) -> dict[str, Place]:
    """{"scope.42": its place, "layer.7": its place}; what was removed meanwhile is missing."""
    ids: dict[str, set[int]] = {"scope": set(), "layer": set()}
    for event in found:
        kind, _, pk = event.stream.partition(".")
        # A layer's release is told by the releases that were cut for scopes because of it.
        if kind == "scope" or (kind == "layer" and event.kind == "request.changed"):
            ids[kind].add(int(pk))
    scopes = Scope.objects.filter(pk__in=ids["scope"]).select_related("service", "environment")
    layers = Layer.objects.filter(pk__in=ids["layer"])
    wanted = {scope.stream: _of_scope(scope) for scope in scopes}
    return wanted | {layer.stream: _of_layer(layer) for layer in layers}


def _of_scope(scope: Scope) -> Place:
    service, environment = scope.service.slug, scope.environment.slug
    return Place(service, environment, {"service": service, "environment": environment}, scope.pk)


def _of_layer(layer: Layer) -> Place:
    service = layer.slug if layer.kind == Layer.Kind.SERVICE else None
    environment = layer.slug if layer.kind == Layer.Kind.ENVIRONMENT else None
    return Place(service, environment, {"layer": {"kind": layer.kind, "slug": layer.slug}})


def _of_webhook(data: Mapping[str, Any]) -> Place:
    named = {name: data[name] for name in ("service", "environment")}
    return Place(data["service"], data["environment"], named)


def _keep_bounds(webhook_ids: Iterable[int], *, now: datetime) -> None:
    """Forget finished deliveries beyond the newest, and stop collecting for whom nothing leaves."""
    waiting = WebhookDelivery.State.WAITING
    for pk in webhook_ids:
        rows = WebhookDelivery.objects.filter(webhook=pk)
        finished = rows.exclude(state=waiting).order_by("-position", "-id")
        doomed = list(finished.values_list("pk", flat=True)[KEPT : KEPT + 10 * BATCH])
        WebhookDelivery.objects.filter(pk__in=doomed).delete()
        if rows.filter(state=waiting).exclude(kind=TEST).count() >= MAX_WAITING:
            switching.switch_off(pk, f"{MAX_WAITING:,} deliveries wait for it.", now=now)
