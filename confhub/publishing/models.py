"""Rows: the outbox, and what this database knows of the store it writes to."""

from django.db import models

from confhub.catalog.models import Environment, Layer, Scope, Service
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


class PublishHook(models.Model):
    """An HTTP endpoint that is asked before a release is frozen, or told after it."""

    class When(models.TextChoices):
        BEFORE = "before"  # may refuse with a reason, or annotate
        AFTER = "after"  # is told, and changes nothing

    name = models.CharField(max_length=63, unique=True)
    when = models.CharField(max_length=6, choices=When)
    url = models.CharField(max_length=500)
    secret = models.TextField(blank=True)  # sealed (releases.keyring.seal_text); signs what is sent
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True)  # None: every one
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True)
    order = models.PositiveIntegerField(default=0)  # the lowest is asked first
    timeout_s = models.FloatField(default=3.0)
    fail_open = models.BooleanField(default=False)  # without an answer: publish all the same
    is_on = models.BooleanField(default=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class HookCall(models.Model):
    """One question to a publish hook and what came of it. The newest hundred of each are kept."""

    hook = models.ForeignKey(PublishHook, on_delete=models.CASCADE, related_name="calls")
    scope = models.ForeignKey(Scope, on_delete=models.CASCADE)
    release = models.PositiveIntegerField(null=True)  # the number that it had or would have had
    outcome = models.CharField(max_length=10)  # agreed, refused, failed, told
    said = models.TextField(blank=True)  # its reason or note, or why it did not answer
    status = models.PositiveSmallIntegerField(null=True)
    took_ms = models.PositiveIntegerField(default=0)
    request_id = models.CharField(max_length=100, blank=True)
    at = models.DateTimeField()
    # Of one that is told after the release: when it is tried next, and how often it was.
    next_try_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = (models.Index(fields=["next_try_at"], name="hook_call_by_next_try"),)

    def __str__(self) -> str:
        return f"{self.hook} {self.outcome} for {self.scope}"
