"""The product's settings with the few lines that a test run changes."""

import os

os.environ.setdefault("CONFHUB_LOCAL", "true")

from confhub.settings import *  # noqa: F403  # a settings module is a namespace

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # sign-ins in tests are many
