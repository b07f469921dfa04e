"""Rows: the outbox, and what this database knows of the store it writes to."""

from django.db import models

from confhub.catalog.models import Layer, Scope
from confhub.core.fields import ExactJSONField
from confhub.releases.models import Release


class Publication(models.Model):
    """A release on its way into etcd. Written in the release's own transaction (the outbox)."""

    class State(models.TextChoices):
        WAITING = "waiting"
        WRITTEN = "written"  # the pointer said this release, or a newer one, after the write
        PARKED = "parked"  # refused for good, or tried too often; an operator's business

    release = models.OneToOneField(Release, on_delete=models.PROTECT, related_name="publication")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    created_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)
    revision = models.PositiveBigIntegerField(null=True)  # of the pointer's write, in etcd; None
    # where a newer release's pointer was written instead
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    held_by = models.CharField(max_length=100, blank=True)  # the relay that has it in hand
    held_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    class Meta:
        indexes = (models.Index(fields=["state", "next_try_at"], name="publication_by_state"),)

    def __str__(self) -> str:
        return f"{self.release} ({self.state})"


class Store(models.Model):
    """The one row about etcd: the epoch written there first, and the highest revision seen.

    Another epoch, none, or a lower revision means that the store was wiped or restored.
    """

    epoch = models.CharField(max_length=40)
    revision = models.PositiveBigIntegerField(default=0)
    reconciled_at = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)  # why reconcile does not write; empty where it does

    def __str__(self) -> str:
        return f"epoch {self.epoch} at revision {self.revision}"


class ReleaseRequest(models.Model):
    """Somebody asks others to agree with a draft before it is published."""

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"
        PUBLISHED = "published"

    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, null=True, related_name="requests")
    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, null=True, related_name="requests")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    draft_version = models.PositiveIntegerField()
    content = models.CharField(
        max_length=71
    )  # checksum of what would be published; else out of date
    targets = ExactJSONField(null=True)  # of a layer: "all" or [{"service", "environment"}]
    message = models.TextField()
    author = models.CharField(max_length=150)
    author_id_asked = models.PositiveBigIntegerField(
        null=True
    )  # the person's row id, tokens included
    asked_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"request {self.pk} for {self.scope or self.layer} ({self.state})"


class RequestComment(models.Model):
    """What somebody said about a request; kept for ever, as the audit is."""

    request = models.ForeignKey(ReleaseRequest, on_delete=models.CASCADE, related_name="comments")
    author = models.CharField(max_length=150)
    text = models.TextField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.author} on {self.request}"
