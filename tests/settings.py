"""The product's settings with the few lines that a test run changes."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("CONFHUB_LOCAL", "true")
# Nobody listens there: a test that wants a broker names its own, and none reaches another's Redis.
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")

from confhub.settings import *  # noqa: F403  # a settings module is a namespace
from confhub.settings import DATABASES

CONFHUB_CALLS_PER_MINUTE = (
    0  # tests are quicker than anybody else; tests/api/test_limits.py sets it
)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # sign-ins in tests are many

if "sqlite" in DATABASES["default"]["ENGINE"]:
    # In a file, because SQLite's shared memory databases answer a second thread with "table is
    # locked" at once; without fsync, because a test database does not outlive its process.
    _name = f"confhub-test-{os.getpid()}.sqlite3"
    DATABASES["default"]["TEST"] = {"NAME": str(Path(tempfile.gettempdir()) / _name)}
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA foreign_keys=ON; PRAGMA synchronous=OFF;"
    )
