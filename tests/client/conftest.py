"""Fixtures of the Python client: its surroundings, a publisher, programs that end with the test."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from confhub.client import Config
from tests.parts.publisher import Publisher
from tests.parts.servers import EtcdServer, wait_until
from tests.watchers.served import ROOT, until
from watchers.wire.status import Status

SOAK_S = 0.2
INSTANCE = "here-shop-dev"


class Place:
    """One host with one etcd: where the client keeps what it knows, and what the store says."""

    def __init__(self, publisher: Publisher, state: Path) -> None:
        self.publisher, self.state, self.instance = publisher, state, INSTANCE

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ETCD_ENDPOINTS": self.publisher.endpoint, "ETCD_PREFIX": self.publisher.keyspace.prefix,
            "CONFHUB_STATE_DIR": str(self.state), "CONFHUB_HOST": "here",
        }  # fmt: skip

    @property
    def folder(self) -> Path:
        [found] = (self.state / "client").glob(f"*/{self.instance}")
        return found

    def followers(self) -> list[int]:
        """Every follower process below our state directory, whoever began it."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"confhub.client.follower" in words and str(self.state).encode() in b" ".join(words):
                found.append(int(path.parent.name))
        return found

    def until(self, state: str, release: int, *, timeout_s: float = 30) -> Status:
        key = self.publisher.keys.instance(self.instance)
        return until(self.publisher.endpoint, key, state, release, timeout_s)

    def until_nobody_follows(self) -> None:
        wait_until(lambda: not self.followers(), what="no follower is left")


@pytest.fixture
def place(
    etcd: EtcdServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A place with the shared etcd. Nothing may be left running there."""
    yield from _place(Publisher(etcd.endpoint, prefix), tmp_path, monkeypatch)


@pytest.fixture
def own_place(
    own_etcd: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A place with an etcd that the test may break."""
    yield from _place(Publisher(own_etcd.endpoint, "/confhub/v1"), tmp_path, monkeypatch)


def _place(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    held = Place(publisher, tmp_path / "state")
    for name in ("CONFHUB_DIR", "CONFHUB_REPORT", "CONFHUB_SERVICE", "CONFHUB_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in held.environment.items():
        monkeypatch.setenv(name, value)
    yield held
    held.until_nobody_follows()


@pytest.fixture
def make(place: Place) -> Iterator[Callable[..., Config]]:
    """`make()` is a stand-alone Config of shop in dev, closed with the test."""
    yield from _maker()


@pytest.fixture
def own_make(own_place: Place) -> Iterator[Callable[..., Config]]:
    yield from _maker()


def _maker() -> Iterator[Callable[..., Config]]:
    made: list[Config] = []

    def begin(**more: Any) -> Config:
        told = {"service": "shop", "environment": "dev", "soak_s": SOAK_S, "wait_s": 30.0, **more}
        made.append(Config(**told))
        return made[-1]

    yield begin
    for config in made:
        config.close()


class Program:
    """A program of tests/client/programs.py in a process of its own; it writes what it sees."""

    def __init__(self, name: str, log: Path, environment: dict[str, str]) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.client.programs", name, str(log)], cwd=ROOT,
            env={**os.environ, **environment}, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def lines(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def pids(self, **held: Any) -> set[int]:
        """The processes that wrote a line with these fields."""
        return {line["pid"] for line in self.lines() if held.items() <= line.items()}

    def until(self, count: int, **held: Any) -> set[int]:
        """The processes, once `count` of them wrote such a line."""
        try:
            wait_until(lambda: len(self.pids(**held)) >= count, what=f"{count} wrote {held}")
        except AssertionError as error:
            code = self.process.poll()
            said = self.end() if code is not None else b""
            raise AssertionError(f"{error}; {self.lines()}; exit {code}: {said!r}") from None
        return self.pids(**held)

    def end(self) -> bytes:
        """Close its input, at which it ends; what it wrote to stderr."""
        _, said = self.process.communicate(timeout=30)
        return said


@pytest.fixture
def run(place: Place, tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """`run("forks")` starts that program; whatever still runs is ended."""
    begun: list[Program] = []

    def start(name: str) -> Program:
        begun.append(Program(name, tmp_path / f"{len(begun)}.log", place.environment))
        return begun[-1]

    yield start
    for program in begun:
        if program.process.poll() is None:
            program.end()
