"""The doors to webhooks: whoever administers the place that one is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from django.db.models import Count, Max, Q

from confhub.access.grants import place_text
from confhub.access.policies import (
    NotAllowed,
    NotFound,
    may_at,
    may_see_slug,
    require_active,
)
from confhub.access.queries import sought
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.webhooks.kinds import TEST
from confhub.webhooks.models import Webhook, WebhookDelivery
from confhub.webhooks.switching import slugs

WAITING = WebhookDelivery.State.WAITING


@dataclass(frozen=True)
class WebhookView:
    """A webhook and how it does. `to` is cut where the address itself is the secret (Slack's)."""

    row: Webhook
    service: str | None
    environment: str | None
    waiting: int
    arrived_at: datetime | None  # the newest that did

    @property
    def place(self) -> str:
        return place_text(self.service, self.environment)


@dataclass(frozen=True)
class DeliveryView:
    """A delivery in words. `behind`: an earlier one of its scope is not done, so that it waits."""

    row: WebhookDelivery
    place: str
    behind: bool


def webhooks_for(who: Actor) -> list[WebhookView]:
    """Every one whose place `who` administers, by name."""
    require_active(who, "administer", "webhooks")
    rows = Webhook.objects.select_related("service", "environment").order_by("name")
    return _views([row for row in rows if may_at(who, "administer", *slugs(row))])


def webhook_for(who: Actor, name: str) -> WebhookView:
    """One of them. Raises NotFound, NotAllowed (the place may be seen, but not administered)."""
    require_active(who, "administer", name[:80])
    rows = Webhook.objects.select_related("service", "environment")
    row = rows.filter(name=sought(name)).first()
    place = slugs(row) if row is not None else (None, None)
    if row is None or not may_see_slug(who, service=place[0], environment=place[1]):
        raise NotFound(
            f"There is no webhook {name[:80]!r}, or you may not see it.",
            fields={"name": "No such webhook."},
        )
    require_admin_of(who, *place)
    return _views([row])[0]


def require_admin_of(who: Actor, service: str | None, environment: str | None) -> None:
    """Raises NotAllowed."""
    place = place_text(service, environment)
    require_active(who, "administer", place)
    if not may_at(who, "administer", service, environment):
        _refuse(who, place)


def _refuse(who: Actor, place: str) -> NoReturn:
    raise NotAllowed(
        f"{who.name} may not administer webhooks {place}: that needs the role admin there. Ask an "
        "administrator for it.",
        extra={"verb": "administer", "role": "admin"},
    )


def switched_off_for(who: Actor) -> list[Webhook]:
    """Those that ConfHub switched off by itself, for the banner; one query."""
    if not who.active or not who.grants:
        return []
    rows = Webhook.objects.filter(is_on=False).exclude(off_because="")
    rows = rows.select_related("service", "environment").order_by("name")
    return [row for row in rows if may_at(who, "administer", *slugs(row))]


def deliveries_of(
    webhook: Webhook, *, before: int | None = None, limit: int = 50
) -> list[DeliveryView]:
    """The newest first; `before`: the row id of the last one of the page before."""
    rows = WebhookDelivery.objects.filter(webhook=webhook)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return _in_words(webhook, list(rows.order_by("-id")[:limit]))


def delivery_for(webhook: Webhook, message_id: str) -> DeliveryView:
    """Raises NotFound."""
    rows = WebhookDelivery.objects.filter(webhook=webhook)
    row = rows.filter(message_id=sought(message_id)).first()
    if row is None:
        raise NotFound(
            f"The webhook {webhook.name} has no delivery {message_id[:80]!r}. The newest 500 are kept.",
            fields={"message_id": "No such delivery."},
        )
    return _in_words(webhook, [row])[0]


def _in_words(webhook: Webhook, rows: Sequence[WebhookDelivery]) -> list[DeliveryView]:
    scope_ids = {row.scope_id for row in rows if row.scope_id is not None}
    scopes = Scope.objects.filter(pk__in=scope_ids).select_related("service", "environment")
    names = {scope.pk: str(scope) for scope in scopes}
    heads: dict[int | None, int] = {}
    if any(row.state == WAITING for row in rows):
        waiting = WebhookDelivery.objects.filter(webhook=webhook, state=WAITING).exclude(kind=TEST)
        for scope_id, position in waiting.order_by("position").values_list("scope_id", "position"):
            heads.setdefault(scope_id, position)
    return [
        DeliveryView(
            row,
            names.get(row.scope_id or 0, ""),
            row.state == WAITING
            and row.kind != TEST
            and row.position > heads.get(row.scope_id, row.position),
        )
        for row in rows
    ]


def _views(rows: Sequence[Webhook]) -> list[WebhookView]:
    counted = WebhookDelivery.objects.filter(webhook__in=rows).values("webhook").order_by()
    told = counted.annotate(waiting=Count("id", filter=Q(state=WAITING)), arrived_at=Max("sent_at"))
    found = {
        pk: (waiting, at)
        for pk, waiting, at in told.values_list("webhook", "waiting", "arrived_at")
    }
    nothing: tuple[int, datetime | None] = (0, None)
    return [WebhookView(row, *slugs(row), *found.get(row.pk, nothing)) for row in rows]
