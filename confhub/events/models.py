"""Rows: what happened (for open pages), and who did what (for ever)."""

from django.db import models


class Event(models.Model):
    """Something that happened, told to every page that shows its stream. Never updated but once,
    when it gets its position.

    Positions are handed out by `number_new_events` and not by the primary key, because keys become
    visible in commit order, not in value order.
    """

    position = models.PositiveBigIntegerField(null=True, unique=True)  # None until it is numbered
    stream = models.CharField(max_length=80)  # "scope.42", "services"
    kind = models.CharField(max_length=60)  # one of events.kinds.KINDS
    data = models.JSONField(default=dict)  # what a page needs to draw it; no value of an entry
    at = models.DateTimeField()

    class Meta:
        indexes = (
            models.Index(fields=["stream", "position"], name="event_by_stream"),
            models.Index(
                fields=["id"], condition=models.Q(position=None), name="event_not_yet_numbered"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} on {self.stream} at {self.position}"


class Cursor(models.Model):
    """The one row whose lock makes positions rise in commit order, and the newest of them."""

    newest = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"position {self.newest}"


class AuditEntry(models.Model):
    """Who did what to which thing. Appended in the transaction of the act; never changed but once,
    when it is chained: it gets its place and the digest over itself and the entry before it."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=150)  # "admin", "token:admin", "confhub"
    action = models.CharField(max_length=60)  # "release.published"
    target = models.CharField(max_length=200)  # "checkout@prod r7"
    data = models.JSONField(default=dict)  # keys and numbers, never values
    request_id = models.CharField(max_length=100, blank=True)
    position = models.PositiveBigIntegerField(null=True, unique=True)  # None until it is chained
    digest = models.CharField(max_length=64, blank=True)  # SHA-256, hexadecimal

    class Meta:
        indexes = (models.Index(fields=["target", "at"], name="audit_by_target"),)

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"
