"""The store under the relay: a real etcd below a prefix of the test's own."""

from collections.abc import Callable, Iterator

import pytest

from confhub.publishing import behind, store
from tests.parts.servers import EtcdServer
from watchers.wire.keyspace import Keyspace


@pytest.fixture
def use_store(settings, prefix: str) -> Iterator[Callable[[EtcdServer], Keyspace]]:
    """Point publishing at an etcd server; its connection is closed after the test."""

    def use(server: EtcdServer) -> Keyspace:
        settings.ETCD_ENDPOINTS = [server.endpoint]
        settings.ETCD_PREFIX = prefix
        store.connection.cache_clear()
        store.keyspace.cache_clear()
        behind.forget_all()
        return store.keyspace()

    yield use
    if store.connection.cache_info().currsize:
        store.connection().close()
    store.connection.cache_clear()
    store.keyspace.cache_clear()


@pytest.fixture
def keyspace(use_store, etcd: EtcdServer) -> Keyspace:
    """The keyspace of the shared etcd, which a test must not break."""
    return use_store(etcd)
