"""ConfHub switches a webhook off by itself, and says so: in the row, the audit and an event."""

from datetime import datetime

import structlog
from django.db import transaction

from confhub.access.grants import place_text
from confhub.core.actors import SYSTEM
from confhub.events import actions as events
from confhub.webhooks.models import Webhook

log = structlog.get_logger("webhooks")


@transaction.atomic
def switch_off(webhook_id: int, because: str, *, now: datetime) -> None:
    """Nothing more is sent, and nothing more is collected. What waits stays, for when it is on again."""
    rows = Webhook.objects.select_for_update(of=("self",)).select_related("service", "environment")
    webhook = rows.filter(pk=webhook_id, is_on=True).first()
    if webhook is None:
        return
    webhook.is_on, webhook.off_because = False, because
    webhook.save(update_fields=["is_on", "off_because"])
    events.audit(
        "webhook.switched_off", who=SYSTEM, target=audit_target(webhook), now=now,
        data={"reason": because},
    )  # fmt: skip
    service, environment = slugs(webhook)
    data = {
        "webhook": webhook.name, "reason": because, "service": service, "environment": environment,
    }  # fmt: skip
    events.record("webhook.switched_off", stream="webhooks", data=data, now=now)
    log.warning("webhook.switched_off", webhook=webhook.name, reason=because)


def slugs(webhook: Webhook) -> tuple[str | None, str | None]:
    """(service, environment) that it is for; None: every one."""
    return (
        webhook.service.slug if webhook.service else None,
        webhook.environment.slug if webhook.environment else None,
    )


def where(webhook: Webhook) -> str:
    """ "everywhere", "for billing@prod"."""
    return place_text(*slugs(webhook))


def audit_target(webhook: Webhook) -> str:
    """Begins with its place as the audit's readers look for it: "billing@prod webhook chat"."""
    service, environment = slugs(webhook)
    if service and environment:
        return f"{service}@{environment} webhook {webhook.name}"
    if service:
        return f"service {service} webhook {webhook.name}"
    return f"environment {environment} webhook {webhook.name}" if environment else f"webhook {webhook.name}"  # fmt: skip
