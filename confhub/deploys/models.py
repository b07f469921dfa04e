"""Rows: deploy hooks, and what was delivered to them."""

from django.conf import settings
from django.db import models

from confhub.catalog.models import Scope
from confhub.core.fields import ExactJSONField


class DeployHook(models.Model):
    """An address to which CI, a forge or a registry sends, and what its payload changes where.

    It acts as its person, within its one scope.
    """

    class Kind(models.TextChoices):
        CONFHUB = "confhub"
        GITHUB = "github"
        GITLAB = "gitlab"
        DOCKERHUB = "dockerhub"

    name = models.CharField(max_length=63, unique=True)  # in its address
    kind = models.CharField(max_length=10, choices=Kind)
    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, related_name="deploy_hooks")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)  # it acts as
    secret = models.TextField()  # sealed (releases.keyring.seal_text)
    # {"set": {KEY: {"pointer": "/after"} or {"template": "…{/after}…"}}, "image": …, "message": …}
    mapping = models.JSONField(default=dict)
    filters = models.JSONField(
        default=dict
    )  # {"events": ["push"], "match": {"/ref": "refs/heads/main"}}
    wait_s = models.PositiveIntegerField(default=0)  # for convergence, before it answers
    is_on = models.BooleanField(default=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One payload that came, and what was made of it. The newest hundred of a hook are shown and
    kept whole; of older ones only what tells a repetition stays, until the secret is changed.
    """

    class Outcome(models.TextChoices):
        RECEIVED = "received"  # verified, not carried out yet
        PUBLISHED = "published"
        UNCHANGED = "unchanged"  # nothing would change
        SKIPPED = "skipped"  # not an event, or not a branch, that the hook takes
        REFUSED = "refused"
        FAILED = "failed"
        REHEARSED = "rehearsed"  # a dry run; its signature is used up

    hook = models.ForeignKey(DeployHook, on_delete=models.CASCADE, related_name="deliveries")
    sender_id = models.CharField(
        max_length=200
    )  # the sender's own id of it, or a digest of what was signed
    event = models.CharField(max_length=60, blank=True)
    payload = ExactJSONField(null=True)  # sealed text; None where it was too large to keep
    digest = models.CharField(max_length=64, default="")  # SHA-256 of the body
    problem = models.JSONField(null=True)  # of a refusal: {"code", "fields"} as it was answered
    outcome = models.CharField(max_length=10, choices=Outcome)
    detail = models.TextField(blank=True)  # a sentence
    release = models.PositiveIntegerField(null=True)
    received_at = models.DateTimeField()
    took_ms = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=1)
    came_from = models.CharField(max_length=45, blank=True)  # an IP address
    request_id = models.CharField(max_length=100, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["hook", "sender_id"], name="delivery_is_taken_once_per_hook"
            ),
        )
        indexes = (models.Index(fields=["hook", "digest"], name="delivery_by_digest"),)

    def __str__(self) -> str:
        return f"{self.event} to {self.hook} ({self.outcome})"
