"""Rows: what calls with an Idempotency-Key answered."""

from django.db import models


class Answer(models.Model):
    """The answer to a call with an Idempotency-Key, written in the transaction of what it did.

    Its repetition gets the same answer for a day and does nothing.
    """

    caller = models.CharField(max_length=150)  # "token:admin"; a key is its caller's own
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)  # SHA-256 over method, path and body
    status = models.PositiveSmallIntegerField(default=0)
    body = models.TextField(blank=True)  # JSON, as it was sent
    location = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["caller", "key"], name="answer_is_one_per_caller_and_key"
            ),
        )
        indexes = (models.Index(fields=["at"], name="answer_by_age"),)

    def __str__(self) -> str:
        return f"{self.status} to {self.caller} {self.key}"
