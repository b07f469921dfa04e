"""Leases: an expired one is a fact, not an error."""

from tests.parts.servers import wait_until
from watchers.etcd import Etcd, put


def test_a_living_lease_says_how_long(store: Etcd) -> None:
    lease_id = store.grant(30)

    assert 28 <= store.keep_alive(lease_id) <= 30
    store.revoke(lease_id)


def test_an_expired_lease_has_zero_seconds_and_no_keys(store: Etcd, prefix: str) -> None:
    lease_id = store.grant(1)
    store.transact(success=[put(f"{prefix}/a", b"1", lease_id)])

    wait_until(lambda: store.get(f"{prefix}/a")[0] is None, what="the lease's key is gone")

    assert store.keep_alive(lease_id) == 0


def test_a_revoked_lease_takes_its_keys_and_may_be_revoked_again(store: Etcd, prefix: str) -> None:
    lease_id = store.grant(60)
    store.transact(success=[put(f"{prefix}/a", b"1", lease_id)])

    store.revoke(lease_id)
    store.revoke(lease_id)

    assert store.get(f"{prefix}/a")[0] is None
    assert store.keep_alive(lease_id) == 0
