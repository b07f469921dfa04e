"""Rows: drafts and their changes, frozen releases of scopes and layers, keys that seal secrets.

An entry, at rest, is {"value": 200}, or for a secret
{"secret": true, "ciphertext": "v1:KID:…", "fingerprint": "3f2a9c1b7d4e", "version": 2}.
"""

from typing import Any

from django.db import models

from confhub.catalog.models import Layer, Scope
from confhub.core.fields import ExactJSONField
from confhub.releases.entries import masked


class Draft(models.Model):
    """What the next release of a scope, or of a layer, will change. Shared, saved as it is typed."""

    scope = models.OneToOneField(Scope, on_delete=models.CASCADE, null=True, related_name="draft")
    layer = models.OneToOneField(Layer, on_delete=models.CASCADE, null=True, related_name="draft")
    base = models.PositiveIntegerField(default=0)  # the release its changes were made against
    version = models.PositiveIntegerField(default=1)  # rises with every change; its ETag
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=150)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(scope=None) ^ models.Q(layer=None),
                name="draft_is_of_a_scope_or_a_layer",
            ),
        )

    def __str__(self) -> str:
        return f"draft of {self.scope or self.layer} on r{self.base}"


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


class DraftEdit(models.Model):
    """One accepted edit of one key, as it was before and after: what undo takes back."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="edits")
    version = models.PositiveIntegerField()  # the draft's version that wrote it
    act = models.CharField(max_length=12, default="edit")  # draft_rows.Act
    key = models.CharField(max_length=128)  # "": an act without a key, as a publish of the draft
    before = ExactJSONField()  # {"removed": false, "entry": {…}} as in DraftChange
    after = ExactJSONField()
    author = models.CharField(max_length=150)
    at = models.DateTimeField()
    undone = models.BooleanField(default=False)

    class Meta:
        indexes = (models.Index(fields=["draft", "author", "id"], name="draft_edit_by_author"),)

    def __str__(self) -> str:
        return f"edit of {self.key} in {self.draft}"


class DraftText(models.Model):
    """A draft as somebody wrote it in a text format: its comments, its order, and whether it reads.

    The values are the draft's; a text that does not parse is kept beside them with its problem.
    """

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="texts")
    format = models.CharField(max_length=12)  # one of releases.texts.FORMATS
    text = models.TextField()
    problem = ExactJSONField(null=True)  # {"line": 3, "column": 5, "message": "…"}; None: it reads
    version = models.PositiveIntegerField()  # rises with every save; compare-and-set
    author = models.CharField(max_length=150)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["draft", "format"], name="draft_has_a_format_once"),
        )

    def __str__(self) -> str:
        return f"{self.format} of {self.draft}"


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
    own = ExactJSONField(
        null=True
    )  # the scope's own entries; None: `entries`, without layers below
    layers = ExactJSONField(null=True)  # [[layer row id, its release number], …], the lowest first
    origins = ExactJSONField(null=True)  # {KEY: number of the release that set its own entry so}
    schema = models.PositiveIntegerField(null=True)  # the schema's number it was checked against
    emergency = models.BooleanField(default=False)  # cut past a freeze or an approval; for ever so
    image = models.JSONField(null=True)  # {"name": "shop", "digest": "sha256:…"} it was made for
    annotations = models.JSONField(null=True)  # {name of a publish hook: {"note": "…", …}}
    request_id = models.CharField(max_length=100, null=True)  # of the call that cut it

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

    @property
    def own_entries(self) -> dict[str, dict[str, Any]]:
        """What the scope itself set, with references as people wrote them."""
        own: dict[str, dict[str, Any]] = self.entries if self.own is None else self.own
        return own

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        """The resolved entries for everybody's eyes."""
        return masked(self.entries)


class LayerRelease(models.Model):
    """A frozen set of a layer's entries. Rows are never updated, as a release's."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField()
    entries = ExactJSONField()
    origins = ExactJSONField()  # {KEY: number of the release that set its entry so}
    message = models.TextField(blank=True)
    author = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    parent = models.PositiveIntegerField(null=True)
    restores = models.PositiveIntegerField(null=True)
    emergency = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["layer", "number"], name="release_number_is_unique_per_layer"
            ),
        )

    def __str__(self) -> str:
        return f"{self.layer} r{self.number}"

    @property
    def own_entries(self) -> dict[str, dict[str, Any]]:
        """The same as `entries`; a layer stands on no other."""
        own: dict[str, dict[str, Any]] = self.entries
        return own

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        """The entries for everybody's eyes."""
        return masked(self.entries)


class SealingKeyRow(models.Model):
    """A key that seals the secrets of one scope or layer, itself sealed by a master key."""

    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, null=True, related_name="keys")
    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, null=True, related_name="keys")
    kid = models.CharField(max_length=64, unique=True)
    wrapped = models.TextField()  # "v1:MASTER KID:BASE64", sealed by CONFHUB_MASTER_KEYS
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"key {self.kid} of {self.scope or self.layer}"
