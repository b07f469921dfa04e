"""Fixtures of the profiles' tests: one engine for all, a host with an agent for each test."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.parts import docker
from tests.parts.docker import SERVICES, DockerEngine
from tests.parts.publisher import Publisher
from tests.parts.servers import EtcdServer
from tests.watchers.profiles.kit import Bench


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with docker.shared_engine(docker.run_directory(tmp_path_factory)) as held:
        held.need(SERVICES)
        yield held


@pytest.fixture
def bench(engine: DockerEngine, etcd: EtcdServer, prefix: str, tmp_path: Path) -> Iterator[Bench]:
    # A service of its own for each test, because all tests of a run share one engine.
    publisher = Publisher(etcd.endpoint, prefix, f"s{uuid4().hex[:8]}")
    held = Bench(engine, publisher, tmp_path)
    yield held
    held.close()
