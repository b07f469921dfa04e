"""Rows: the tokens with which programs sign in, and what people may do where."""

from django.conf import settings
from django.db import models

from confhub.catalog.models import Environment, Service


class Token(models.Model):
    """A bearer token, kept only as a hash. It acts as its user, within its reaches where it is
    `limited`. One that is revoked has no row any more.
    """

    name = models.CharField(max_length=80, unique=True)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256; the token is 256 random bits
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField()
    made_by = models.CharField(max_length=150, blank=True)
    # A mark of its own, because a reach goes with its service and none left must not mean all.
    limited = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True)  # None: never
    ending = models.CharField(max_length=8, blank=True)  # its last characters, to tell it by
    last_used_at = models.DateTimeField(null=True)  # to within a minute
    last_used_from = models.CharField(max_length=45, blank=True)  # an IP address
    previous_digest = models.CharField(max_length=64, null=True, unique=True)  # before a rotation
    previous_until = models.DateTimeField(null=True)  # that one still works until then
    source = models.TextField(blank=True)  # of an exchanged one: who the CI job said it was

    def __str__(self) -> str:
        return self.name


class Grant(models.Model):
    """A person has a role, everywhere or only for one service, one environment, or where both meet."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="confhub_grants"
    )
    role = models.CharField(max_length=10)  # one of core.actors.ROLES
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True)  # None: every one
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        where = f"{self.service or 'every service'} in {self.environment or 'every environment'}"
        return f"{self.user} is {self.role} of {where}"


class Trust(models.Model):
    """Whose identity tokens (OpenID Connect) are exchanged for a token of ours, and for which."""

    name = models.CharField(max_length=63, unique=True)
    issuer = models.CharField(max_length=300)  # compared exactly with the claim `iss`
    jwks_url = models.CharField(max_length=300, blank=True)  # "": found by the issuer's discovery
    audience = models.CharField(max_length=300)
    claims = models.JSONField(default=dict)  # {"repository": "acme/shop", "ref": "refs/heads/*"}
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)  # it acts as
    lifetime_s = models.PositiveIntegerField(default=900)  # of a token that it gives
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class TokenReach(models.Model):
    """Where a limited token, or one that a trust gives, may do which verbs."""

    token = models.ForeignKey(Token, on_delete=models.CASCADE, null=True, related_name="reaches")
    trust = models.ForeignKey(Trust, on_delete=models.CASCADE, null=True, related_name="reaches")
    verbs = models.JSONField()  # ["see", "publish"], of policies.VERBS
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True)  # None: every one
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(token=None) ^ models.Q(trust=None),
                name="reach_is_of_a_token_or_a_trust",
            ),
        )

    def __str__(self) -> str:
        return f"{', '.join(self.verbs)} of {self.token or self.trust}"
