"""Fixtures that every test may ask for by name."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.parts.flushing import flush_may_empty_the_audit
from tests.parts.servers import EtcdServer, RedisServer

# No deadlines: two cores are shared by servers, browsers and containers. Derandomized, so that a
# run that passed here passes again.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _emptied_audit() -> Iterator[None]:
    """Transactional tests may empty the audit's table."""
    with flush_may_empty_the_audit():
        yield


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One real etcd for this test process. Use a prefix of your own, and do not break it."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """A real etcd for one test, which may kill, freeze or wipe it."""
    server = EtcdServer(tmp_path_factory.mktemp("own-etcd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real Redis for this test process. Do not break it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis for one test, which may kill, freeze or flush it."""
    server = RedisServer(tmp_path_factory.mktemp("own-redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """An etcd prefix that no other test writes below."""
    return f"/test/{abs(hash(request.node.nodeid)):x}"
