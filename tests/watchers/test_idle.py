"""The harness that measures an idle agent, in a small run; the figures are `make bench`'s."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import idle
from tests.parts import docker
from tests.parts.docker import DockerEngine
from tests.parts.servers import EtcdServer

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with docker.shared_engine(docker.run_directory(tmp_path_factory)) as held:
        yield held


def test_an_idle_agent_is_measured(engine: DockerEngine, etcd: EtcdServer, tmp_path: Path) -> None:
    found = idle.measure(engine, etcd.endpoint, tmp_path, containers=4, services=2, over_s=1.0)

    assert found.containers == 4
    assert 0 < found.uss_mib <= found.pss_mib <= found.rss_mib
    # About 50 here; more is a leak, or a large library that is imported without need.
    assert found.rss_mib < 75
    assert "MiB resident" in idle.words(found)
