"""Rows: services, environments, and the scope where one meets the other."""

from django.db import models


class Service(models.Model):
    """Something that runs in containers and is configured. Its slug never changes: it stands in
    etcd keys, labels and other people's scripts."""

    slug = models.CharField(max_length=63, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.slug


class Environment(models.Model):
    """A place where services run: dev, staging, prod. Its slug never changes, as a service's."""

    slug = models.CharField(max_length=63, unique=True)
    name = models.CharField(max_length=120)
    protected = models.BooleanField(default=False)  # pages ask for its name before publishing
    order = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.slug


class Scope(models.Model):
    """One service in one environment: what has releases, a draft and instances.

    Its row is the lock under which release numbers are handed out.
    """

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="scopes")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="scopes")
    head = models.PositiveIntegerField(default=0)  # newest release number; 0 before the first

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["service", "environment"], name="scope_is_one_service_in_one_environment"
            ),
        )

    def __str__(self) -> str:
        return f"{self.service.slug}@{self.environment.slug}"

    @property
    def stream(self) -> str:
        """The name of its event stream; an id, because group names are short and plain."""
        return f"scope.{self.pk}"
