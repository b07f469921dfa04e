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
PURE = (  # they know no database, or have one of their own
    "api/test_schemathesis.py",
    "catalog/schemas",
    "core/test_limited.py",
    "core/test_outgoing.py",
    "releases/imports",
    "releases/texts",
)
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
SHARES = {"access": 2, "api": 4, "dashboard": 3}  # of large folders, so that no part takes long
PARTS = [(folder, share) for folder in FOLDERS for share in range(1, SHARES.get(folder, 1) + 1)]

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    if not postgres.is_there():
        missing("postgres", "no initdb and postgres on this machine")
    held = PostgresServer(tmp_path_factory.mktemp("postgres"))
    held.start()
    yield held
    held.stop()


def files_of(folder: str, share: int) -> list[str]:
    """Every so many'th test file of the folder; all of its subfolders' go with the first share."""
    held = ROOT / "tests" / folder
    files = sorted(held.glob("test_*.py"))[share - 1 :: SHARES.get(folder, 1)]
    deeper = [each for each in sorted(held.iterdir()) if each.is_dir() and each.name[0] not in "_."]
    chosen = [*files, *(deeper if share == 1 else [])]
    return [name for each in chosen if (name := str(each.relative_to(ROOT / "tests"))) not in PURE]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("folder", "share"), PARTS)  # one by one, so that both workers have theirs
def test_the_same_tests_pass_on_postgresql(server: PostgresServer, folder: str, share: int) -> None:
    files = [f"tests/{name}" for name in files_of(folder, share)]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *files],
        cwd=ROOT, env={**os.environ, "DATABASE_URL": server.url}, capture_output=True, text=True,
        timeout=880, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_no_file_is_left_out() -> None:
    for folder in FOLDERS:
        held = ROOT / "tests" / folder
        shared = [name for share in range(1, SHARES.get(folder, 1) + 1) for name in files_of(folder, share)]  # fmt: skip
        there = [str(each.relative_to(ROOT / "tests")) for each in held.glob("test_*.py")]
        assert sorted(each for each in shared if each.endswith(".py")) == sorted(set(there) - set(PURE))  # fmt: skip
