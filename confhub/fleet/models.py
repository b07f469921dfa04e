"""Rows: instances, their receipts, and how fresh our view of them is."""

from django.db import models

from confhub.catalog.models import Scope


class Instance(models.Model):
    """One container or process that runs a scope, as its agent last told us.

    A row outlives its container, greyed, until `forget_gone` removes it.
    """

    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, related_name="instances")
    instance_id = models.CharField(max_length=128)
    host = models.CharField(max_length=255)
    runtime = models.CharField(max_length=20)
    agent = models.CharField(max_length=80, blank=True)
    container = models.JSONField(default=dict)  # name, image, started_at, restarts
    pid = models.PositiveIntegerField(null=True)
    target = models.PositiveIntegerField(null=True)
    running = models.PositiveIntegerField(null=True)
    checksum = models.CharField(max_length=71, blank=True)
    health = models.CharField(max_length=20, default="unknown")
    problems = models.JSONField(default=list)
    receipt = models.JSONField(null=True)  # the newest, as in the status
    revision = models.PositiveBigIntegerField()  # of the status in etcd; an older one is ignored
    seen_at = models.DateTimeField()  # the server's time when it last changed
    gone_at = models.DateTimeField(null=True)  # when its status left etcd

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["scope", "instance_id"], name="instance_is_one_per_scope"
            ),
        )

    def __str__(self) -> str:
        return f"{self.instance_id} of {self.scope}"


class Receipt(models.Model):
    """How far one release got in one instance. The newest 50 of an instance are kept."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="receipts")
    release = models.PositiveIntegerField()
    state = models.CharField(max_length=20)
    stage = models.CharField(max_length=20, blank=True)
    reason = models.TextField(blank=True)
    delivered_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["instance", "release"], name="receipt_is_one_per_release"
            ),
        )

    def __str__(self) -> str:
        return f"r{self.release} {self.state} at {self.instance_id}"


class View(models.Model):
    """The one row that says how fresh all others of this folder are."""

    revision = models.PositiveBigIntegerField(default=0)  # etcd's, up to which rows are complete
    confirmed_at = models.DateTimeField(null=True)  # when etcd last proved that nothing is missing
    follower = models.CharField(max_length=100, blank=True)  # the worker that follows

    def __str__(self) -> str:
        return f"fleet as of {self.confirmed_at}"
