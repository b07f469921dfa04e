"""Fixtures of the container side: a publisher, a process, agents that end with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import EtcdServer
from tests.watchers.served import Process, Served, runtime_for


@pytest.fixture
def publisher(etcd: EtcdServer, prefix: str) -> Publisher:
    return Publisher(etcd.endpoint, prefix)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    held = Process(tmp_path)
    yield held
    held.stop()


@pytest.fixture
def serve(
    publisher: Publisher, process: Process, tmp_path: Path
) -> Iterator[Callable[..., Served]]:
    """`serve(soak_s=…)` serves the process; again, once stopped, as a restarted agent would."""
    begun: list[Served] = []

    def begin(**wishes: Any) -> Served:
        runtime = runtime_for(process.process.pid, process.directory, **wishes)
        held = Served(publisher.endpoint, publisher.keyspace, tmp_path / "state", runtime)
        begun.append(held)
        return held

    yield begin
    for held in begun:
        held.stop()


class OwnPublisher(Publisher):
    """One with an etcd that the test may break."""

    def __init__(self, server: EtcdServer) -> None:
        super().__init__(server.endpoint, "/confhub/v1")
        self.server = server


@pytest.fixture
def own_publisher(own_etcd: EtcdServer) -> OwnPublisher:
    return OwnPublisher(own_etcd)
