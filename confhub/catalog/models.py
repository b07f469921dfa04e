"""Rows: services, environments, the scope where one meets the other, layers, schemas, freezes."""

from django.db import models

from confhub.core.fields import ExactJSONField


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
    approvals = models.PositiveSmallIntegerField(default=0)  # other people who must agree: 0 or 1

    def __str__(self) -> str:
        return self.slug


class Scope(models.Model):
    """One service in one environment: what has releases, a draft and instances.

    Its row is the lock under which release numbers are handed out.
    """

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="scopes")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="scopes")
    head = models.PositiveIntegerField(default=0)  # newest release number; 0 before the first
    holds_back = models.BooleanField(default=False)  # a layer's publish to "all" leaves it out

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


class Layer(models.Model):
    """Entries that several scopes share, below their own. Its row is the lock of its numbers.

    Which scopes stand on it follows from its kind; a set is for the services that include it.
    """

    class Kind(models.TextChoices):
        GLOBAL = "global"
        ENVIRONMENT = "environment"
        SET = "set"
        SERVICE = "service"

    kind = models.CharField(max_length=12, choices=Kind)
    slug = models.CharField(max_length=63)  # the environment's, set's or service's; "" of global
    environment = models.OneToOneField(
        Environment, on_delete=models.CASCADE, null=True, related_name="layer"
    )
    service = models.OneToOneField(
        Service, on_delete=models.CASCADE, null=True, related_name="layer"
    )
    description = models.TextField(blank=True)
    head = models.PositiveIntegerField(default=0)  # newest release number; 0 before the first

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["kind", "slug"], name="layer_is_one_of_its_kind"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.slug}".strip()

    @property
    def stream(self) -> str:
        """The name of its event stream."""
        return f"layer.{self.pk}"


class Include(models.Model):
    """A service takes a shared set in; a higher `order` wins over a lower one."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="includes")
    layer = models.ForeignKey(Layer, on_delete=models.PROTECT, related_name="included_by")
    order = models.PositiveIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["service", "layer"], name="service_includes_a_set_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.layer} in {self.service}"


class SchemaVersion(models.Model):
    """A service's schema (JSON Schema 2020-12 of `{"KEY": value}`). Rows are never updated."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="schemas")
    number = models.PositiveIntegerField()
    document = ExactJSONField()  # {"type": "object", "properties": {"POOL": {"type": …}}, …}
    message = models.TextField(blank=True)
    author = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["service", "number"], name="schema_number_is_unique_per_service"
            ),
        )

    def __str__(self) -> str:
        return f"schema {self.number} of {self.service}"


class FreezeWindow(models.Model):
    """A time in which nothing is published into an environment, but in an emergency."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="freezes")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    made_by = models.CharField(max_length=150)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="freeze_ends_after_start",
            ),
        )

    def __str__(self) -> str:
        return f"{self.environment} frozen until {self.ends_at:%Y-%m-%d %H:%M}"
