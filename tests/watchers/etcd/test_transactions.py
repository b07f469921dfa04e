"""Transactions: fenced, all or nothing, one round trip, and honest about what is not known."""

import threading
from pathlib import Path

import pytest

from tests.parts import etcdctl
from tests.parts.grpc_proxy import GrpcProxy
from tests.parts.proxy import TcpProxy
from tests.parts.servers import EtcdServer, free_port, wait_until
from watchers.etcd import (
    Etcd,
    LeaseGone,
    OutcomeUnknown,
    Refused,
    StoreFull,
    Unreachable,
    delete,
    delete_prefix,
    get,
    get_prefix,
    mod_revision_is,
    put,
    value_is,
)

MIB = 2**20


def test_a_fence_lets_one_writer_through(store: Etcd, prefix: str) -> None:
    key = f"{prefix}/current"
    first = store.transact(
        compare=[mod_revision_is(key, 0)], success=[put(key, b"1"), get(key)], failure=[get(key)]
    )
    late = store.transact(
        compare=[mod_revision_is(key, 0)], success=[put(key, b"0")], failure=[get(key)]
    )
    then = store.transact(compare=[mod_revision_is(key, first.revision)], success=[put(key, b"2")])

    assert first.succeeded
    assert first.read[key].value == b"1"
    assert not late.succeeded
    assert (late.read[key].value, late.revision) == (b"1", first.revision)
    assert then.succeeded
    assert then.revision == first.revision + 1


def test_a_value_is_compared_only_where_the_key_exists(store: Etcd, prefix: str) -> None:
    key = f"{prefix}/epoch"

    assert not store.transact(compare=[value_is(key, b"")], success=[]).succeeded
    store.transact(success=[put(key, b"red")])
    assert store.transact(compare=[value_is(key, b"red")], success=[]).succeeded
    assert not store.transact(compare=[value_is(key, b"blue")], success=[]).succeeded


def test_keys_and_prefixes_are_read_and_deleted(store: Etcd, prefix: str) -> None:
    store.transact(success=[put(f"{prefix}/{name}", b"1") for name in ("a", "b/c", "b/d")])

    read = store.transact(success=[get(f"{prefix}/a"), get_prefix(f"{prefix}/b/")]).read
    store.transact(success=[delete(f"{prefix}/a"), delete_prefix(f"{prefix}/b/")])

    assert sorted(read) == [f"{prefix}/a", f"{prefix}/b/c", f"{prefix}/b/d"]
    assert store.read_prefix(f"{prefix}/")[0] == {}


def test_it_is_one_round_trip(etcd: EtcdServer, prefix: str) -> None:
    with GrpcProxy(etcd.endpoint) as proxy:
        Etcd([proxy.endpoint]).transact(success=[put(f"{prefix}/a", b"1")])

        assert proxy.calls == ["/etcdserverpb.KV/Txn"]


@pytest.mark.parametrize(
    ("case", "values"),
    [
        ("a key twice", [b"", b""]),
        ("129 operations", [b""] * 129),
        ("1.6 MiB", [b"x" * int(1.6 * MIB)]),
        ("2.5 MiB", [b"x" * int(2.5 * MIB)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_etcd_never_takes_is_refused_and_nothing_is_written(
    store: Etcd, prefix: str, case: str, values: list[bytes]
) -> None:
    keys = [f"{prefix}/{0 if case == 'a key twice' else n}" for n in range(len(values))]

    with pytest.raises(Refused, match=r"etcd at 127\.0\.0\.1"):
        store.transact(success=[put(key, value) for key, value in zip(keys, values, strict=True)])

    assert store.read_prefix(f"{prefix}/")[0] == {}


def test_128_operations_are_taken(store: Etcd, prefix: str) -> None:
    assert store.transact(success=[put(f"{prefix}/{n}", b"") for n in range(128)]).succeeded


def test_a_put_under_a_dead_lease_changes_nothing(store: Etcd, prefix: str) -> None:
    lease_id = store.grant(60)
    store.revoke(lease_id)

    with pytest.raises(LeaseGone):
        store.transact(success=[put(f"{prefix}/a", b"1", lease_id)])

    assert store.get(f"{prefix}/a")[0] is None


def test_a_swallowed_answer_leaves_the_outcome_unknown_and_the_write_done(
    etcd: EtcdServer, store: Etcd, prefix: str
) -> None:
    with TcpProxy(etcd.port) as proxy:
        client = Etcd([proxy.endpoint], timeout_s=0.5)
        client.get("/warm")
        proxy.swallows_answers = True

        with pytest.raises(OutcomeUnknown, match="may have been stored or not"):
            client.transact(success=[put(f"{prefix}/a", b"1")])
        with pytest.raises(Unreachable):
            client.get(f"{prefix}/a")
        client.close()

    stored, _ = store.get(f"{prefix}/a")
    assert stored is not None
    assert stored.version == 1, "written once, not repeated"


def test_a_reset_connection_leaves_the_outcome_unknown(etcd: EtcdServer, prefix: str) -> None:
    with TcpProxy(etcd.port) as proxy:
        client = Etcd([proxy.endpoint], timeout_s=5)
        client.get("/warm")
        proxy.swallows_answers = True
        threading.Timer(0.3, proxy.cut).start()

        with pytest.raises(OutcomeUnknown):
            client.transact(success=[put(f"{prefix}/a", b"1")])
        client.close()


def test_where_nobody_listens_a_write_surely_did_not_happen() -> None:
    endpoint = f"127.0.0.1:{free_port()}"

    with pytest.raises(Unreachable, match=endpoint):
        Etcd([endpoint]).transact(success=[put("/a", b"1")])


def test_with_one_of_two_endpoints_dead_reads_and_writes_go_to_the_other(
    etcd: EtcdServer, prefix: str
) -> None:
    for number in range(4):  # which endpoint is tried first is chosen at random
        client = Etcd([f"127.0.0.1:{free_port()}", etcd.endpoint])
        key = f"{prefix}/{number}"

        client.transact(compare=[mod_revision_is(key, 0)], success=[put(key, b"1")])

        assert client.get(key)[0] is not None
        client.close()


@pytest.mark.faults
def test_a_frozen_etcd_answers_nothing_within_the_limit(
    own_etcd: EtcdServer, own_store: Etcd
) -> None:
    own_store.get("/warm")
    own_etcd.freeze()

    with pytest.raises(Unreachable):
        own_store.get("/a")
    with pytest.raises(OutcomeUnknown):
        own_store.transact(success=[put("/a", b"1")])

    own_etcd.thaw()
    own_store.get("/a")


@pytest.mark.faults
def test_the_same_client_works_again_after_a_kill(own_etcd: EtcdServer, own_store: Etcd) -> None:
    own_store.transact(success=[put("/a", b"1")])
    own_etcd.kill()
    with pytest.raises(Unreachable):
        own_store.get("/a")
    own_etcd.start()

    def answers() -> bool:
        try:
            return own_store.get("/a")[0] is not None
        except Unreachable:
            return False

    wait_until(answers, what="the client is back", timeout_s=5)


@pytest.mark.faults
def test_a_full_store_is_told_apart(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path, arguments=["--quota-backend-bytes", str(4 * MIB)])
    server.start()
    try:
        store = Etcd([server.endpoint])

        def fill() -> None:
            for number in range(20):
                store.transact(success=[put(f"/{number}", b"x" * MIB)])

        with pytest.raises(StoreFull, match="disarm"):
            fill()

        assert store.read_prefix("/")[0], "reads go on"
        with pytest.raises(StoreFull):
            store.grant(10)
        # Not in a transaction: etcd before 3.5.2 refuses even one that only deletes.
        etcdctl.delete_prefix(server.endpoint, "/")
        assert etcdctl.get_prefix(server.endpoint, "/") == {}
    finally:
        server.stop()
