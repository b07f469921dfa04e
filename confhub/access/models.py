"""Rows: the tokens with which programs sign in."""

from django.conf import settings
from django.db import models


class Token(models.Model):
    """A bearer token, kept only as a hash. It acts as its user."""

    name = models.CharField(max_length=80, unique=True)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256; the token is 256 random bits
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
