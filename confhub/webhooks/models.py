"""Rows: webhooks, and what is on its way to them."""

from django.db import models

from confhub.catalog.models import Environment, Scope, Service
from confhub.core.fields import ExactJSONField


class Webhook(models.Model):
    """An address that is told what happens, as JSON (Standard Webhooks), in Slack's form or by mail."""

    class Form(models.TextChoices):
        STANDARD = "standard"
        SLACK = "slack"
        EMAIL = "email"

    name = models.CharField(max_length=63, unique=True)
    form = models.CharField(max_length=10, choices=Form, default=Form.STANDARD)
    to = models.CharField(max_length=500)  # a URL; of an e-mail the addresses, with commas
    secret = models.TextField(blank=True)  # sealed (releases.keyring.seal_text); "whsec_…" inside
    kinds = models.JSONField(default=list)  # ["release.published", …]; []: every kind
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True)  # None: every one
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True)
    is_on = models.BooleanField(default=True)
    off_because = models.TextField(blank=True)  # why ConfHub switched it off by itself
    failing_since = models.DateTimeField(null=True)  # None: the newest delivery arrived
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One event for one webhook. Those of a scope are sent in order; the newest 500 of a webhook
    are kept."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        GIVEN_UP = "given_up"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, null=True)
    position = models.PositiveBigIntegerField()  # of its event; the order
    kind = models.CharField(max_length=60)
    message_id = models.CharField(max_length=60, unique=True)  # the same at every try
    body = ExactJSONField()  # what is told; no value of an entry
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    held_by = models.CharField(max_length=100, blank=True)  # the sender that has it in hand
    held_until = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)  # of the newest try
    answer = models.TextField(blank=True)  # the beginning of what came back, or why nothing did
    made_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(fields=["state", "next_try_at"], name="webhook_delivery_by_state"),
            models.Index(fields=["webhook", "-position"], name="webhook_delivery_by_position"),
        )

    def __str__(self) -> str:
        return f"{self.kind} to {self.webhook} ({self.state})"


class WebhookCursor(models.Model):
    """The one row that says up to which position events have become deliveries."""

    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"position {self.position}"
