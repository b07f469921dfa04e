"""The installed `confhub`, run as people and pipelines run it, against a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.parts.system import TOKEN, System

PROGRAM = Path(sys.executable).parent / "confhub"
CONFHUB_VARIABLES = ("CONFHUB_", "ETCD_", "REDIS_", "ACTIONS_", "DJANGO_")
_numbers = count(1)


@dataclass
class Ran:
    """What one run came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err)


class Command:
    """`confhub …` in a folder of its own, signed in by a token file."""

    def __init__(self, folder: Path, url: str, token: str = TOKEN) -> None:
        self.folder = folder
        self.token = token
        token_file = folder / "token"
        token_file.write_text(f"{token}\n")
        self.environment = {
            **{name: held for name, held in os.environ.items() if not name.startswith(CONFHUB_VARIABLES)},
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
            "CONFHUB_URL": url,
            "CONFHUB_TOKEN_FILE": str(token_file),
            "CONFHUB_RETRY_S": "10",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }  # fmt: skip

    def __call__(self, *words: str, stdin: str = "", code: int | None = 0, **variables: str) -> Ran:
        """Run it; `variables` are set over the environment, "" removes one. No token is ever told."""
        done = subprocess.run(
            [PROGRAM, *words], input=stdin, capture_output=True, text=True, timeout=120,
            cwd=self.folder, env=self.with_variables(variables), check=False,
        )  # fmt: skip
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert self.token not in ran.out + ran.err
        assert code is None or ran.code == code, ran
        return ran

    def with_variables(self, variables: dict[str, str]) -> dict[str, str]:
        told = {**self.environment, **variables}
        return {name: held for name, held in told.items() if held}

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=self.folder, env=self.with_variables(variables),
        )  # fmt: skip


@dataclass
class Nowhere:
    """Instead of an etcd and a Redis: nobody listens at this port."""

    endpoint: str = "127.0.0.1:1"
    url: str = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One web process with SQLite, without etcd and Redis: what is published waits in its outbox."""
    nowhere: Any = Nowhere()
    made = System(
        tmp_path_factory.mktemp("server"), etcd=nowhere, redis=nowhere,
        settings={"CONFHUB_OUTGOING_ALLOW": "127.0.0.1"},
    )  # fmt: skip
    (made.directory / "var").mkdir()
    made.manage("bootstrap", "--migrate")
    try:
        made.web.start()
        _make_environments(made)
        yield made
    finally:
        made.web.stop()


def _make_environments(made: System) -> None:
    for slug, more in (("dev", {}), ("prod", {"protected": True})):
        status, answer = made.call("POST", "/environments", {"slug": slug, **more})
        assert status in (201, 409), answer


@pytest.fixture
def confhub(server: System, tmp_path: Path) -> Command:
    return Command(tmp_path, server.url)


@pytest.fixture
def shop(server: System) -> str:
    """A service that no other test uses."""
    return a_service(server)


def a_service(server: System) -> str:
    slug = f"shop-{next(_numbers)}"
    status, answer = server.call("POST", "/services", {"slug": slug})
    assert status == 201, answer
    return slug


@pytest.fixture
def another(server: System) -> Callable[[], str]:
    return lambda: a_service(server)


def token_of(server: System, person: str, role: str) -> str:
    """A token of somebody else, made where missing."""
    server.call("POST", "/people", {"name": person, "password": "a sentence that nobody knows"})
    status, answer = server.call("POST", f"/people/{person}/grants", {"role": role})
    assert status in (200, 201, 409), answer
    body = {"name": f"{person}-{next(_numbers)}", "owner": person, "unlimited": True}
    status, answer = server.call("POST", "/tokens", body)
    assert status == 201, answer
    return str(answer["token"])
