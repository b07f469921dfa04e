"""Rows: the tokens with which programs sign in, and what people may do where."""

from django.conf import settings
from django.db import models

from confhub.catalog.models import Environment, Service


class Token(models.Model):
    """A bearer token, kept only as a hash. It acts as its user."""

    name = models.CharField(max_length=80, unique=True)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256; the token is 256 random bits
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField()

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
