"""Everything that touches the database, once more on PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import postgres
from tests.parts.postgres import PostgresServer
from tests.parts.require import missing

ROOT = Path(__file__).resolve().parents[2]
PURE = ("catalog/schemas", "releases/imports", "releases/texts")  # they know no database
FOLDERS = (
    "access",
    "api",
    "catalog",
    "core",
    "dashboard",
    "deploys",
    "events",
    "fleet",
    "publishing",
    "releases",
    "webhooks",
)

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    if not postgres.is_there():
        missing("postgres", "no initdb and postgres on this machine")
    held = PostgresServer(tmp_path_factory.mktemp("postgres"))
    held.start()
    yield held
    held.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("folder", FOLDERS)  # one by one, so that both workers have their share
def test_the_same_tests_pass_on_postgresql(server: PostgresServer, folder: str) -> None:
    pure = [f"--ignore=tests/{name}" for name in PURE]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *pure, f"tests/{folder}"],
        cwd=ROOT, env={**os.environ, "DATABASE_URL": server.url}, capture_output=True, text=True,
        timeout=580, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
