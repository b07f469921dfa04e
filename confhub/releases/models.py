"""Rows: the draft of a scope, its changes, and frozen releases."""

from django.db import models

from confhub.catalog.models import Scope
from confhub.core.fields import ExactJSONField


class Draft(models.Model):
    """What a scope's next release will change. One for each scope, shared, saved as it is typed."""

    scope = models.OneToOneField(Scope, on_delete=models.CASCADE, related_name="draft")
    base = models.PositiveIntegerField(default=0)  # the release its changes were made against
    version = models.PositiveIntegerField(default=1)  # rises with every change; its ETag
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return f"draft of {self.scope} on r{self.base}"


class DraftChange(models.Model):
    """One key that somebody touched: set, removed, or put back as it is in the release.

    A row whose key was put back or published stays, with an empty `entry`, because its `version`
    is what shows an older page that the key has moved since.
    """

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="changes")
    key = models.CharField(max_length=128)
    removed = models.BooleanField(default=False)
    entry = ExactJSONField(default=dict)  # {"value": 200}; empty where removed or put back
    version = models.PositiveIntegerField()  # the draft's version that wrote it; compare-and-set
    author = models.CharField(max_length=150)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["draft", "key"], name="draft_changes_a_key_once"),
        )

    def __str__(self) -> str:
        return f"{self.key} in {self.draft}"


class Release(models.Model):
    """A frozen set of entries. Rows are never updated (the database refuses it): a rollback is a
    new release with an older content."""

    scope = models.ForeignKey(Scope, on_delete=models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField()
    entries = ExactJSONField()  # {"MAX_CONNECTIONS": {"value": 200}, …}
    checksum = models.CharField(max_length=71)  # "sha256:" over the canonical entries
    message = models.TextField(blank=True)
    author = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    parent = models.PositiveIntegerField(null=True)  # the head it was cut from
    restores = models.PositiveIntegerField(null=True)  # the release whose content a rollback took

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["scope", "number"], name="release_number_is_unique_per_scope"
            ),
            models.CheckConstraint(
                condition=models.Q(number__gte=1), name="release_numbers_start_at_1"
            ),
        )

    def __str__(self) -> str:
        return f"{self.scope} r{self.number}"
