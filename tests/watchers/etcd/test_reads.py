"""Reads: linearizable, paged at one revision, however large."""

import threading

import pytest

from tests.parts import etcdctl
from tests.parts.servers import EtcdServer
from watchers.etcd import Etcd, Refused, delete_prefix, put

MIB = 2**20


def test_a_key_that_is_not_there_is_none_with_a_revision(store: Etcd, prefix: str) -> None:
    stored, revision = store.get(f"{prefix}/none")

    assert stored is None
    assert revision >= 1


def test_a_key_comes_with_its_revisions(store: Etcd, prefix: str) -> None:
    first = store.transact(success=[put(f"{prefix}/a", b"1")]).revision
    second = store.transact(success=[put(f"{prefix}/a", b"2")]).revision

    stored, revision = store.get(f"{prefix}/a")

    assert stored is not None
    assert (stored.value, stored.version) == (b"2", 2)
    assert (stored.create_revision, stored.mod_revision, revision) == (first, second, second)


def test_a_prefix_does_not_cover_its_longer_neighbour(store: Etcd, prefix: str) -> None:
    store.transact(success=[put(f"{prefix}/app/a", b"1"), put(f"{prefix}/app0", b"2")])

    assert list(store.read_prefix(f"{prefix}/app/")[0]) == [f"{prefix}/app/a"]


def test_the_whole_store_is_not_read_by_an_empty_prefix(store: Etcd) -> None:
    with pytest.raises(ValueError, match="empty prefix"):
        store.read_prefix("")


def test_a_foreign_key_that_is_no_text_does_not_end_a_read(
    etcd: EtcdServer, store: Etcd, prefix: str
) -> None:
    etcdctl.call(
        etcd.endpoint,
        "/v3/kv/put",
        {"key": etcdctl.b64(f"{prefix}/".encode() + b"\xff\xfe"), "value": etcdctl.b64("x")},
    )
    store.transact(success=[put(f"{prefix}/z", b"1")])

    found, _ = store.read_prefix(f"{prefix}/")

    assert sorted(stored.value for stored in found.values()) == [b"1", b"x"]


def test_pages_are_of_one_revision_while_somebody_writes(
    etcd: EtcdServer, store: Etcd, prefix: str
) -> None:
    names = [f"{prefix}/{number:02d}" for number in range(20)]
    store.transact(success=[put(name, b"0") for name in names])
    over, writes = threading.Event(), 0

    def write() -> None:
        nonlocal writes
        writer = Etcd([etcd.endpoint])
        while not over.is_set():
            writes += 1
            writer.transact(success=[put(name, b"%d" % writes) for name in names])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reads = [store.read_prefix(f"{prefix}/", page=1)[0] for _ in range(30)]
    finally:
        over.set()
        writer.join()

    assert writes > 30, "the writer was not in the way"
    for read in reads:
        assert sorted(read) == names
        assert len({stored.value for stored in read.values()}) == 1


def test_a_compaction_between_pages_makes_it_read_again(own_etcd: EtcdServer) -> None:
    store = Etcd([own_etcd.endpoint])
    names = [f"/p/{number:02d}" for number in range(20)]
    over, compactions = threading.Event(), 0

    def write() -> None:
        nonlocal compactions
        writer = Etcd([own_etcd.endpoint])
        while not over.wait(0.02):  # a page takes about 1 ms: one read in two is caught
            compactions += 1
            at = writer.transact(success=[put(name, b"%d" % compactions) for name in names])
            etcdctl.compact(own_etcd.endpoint, at.revision)

    store.transact(success=[put(name, b"0") for name in names])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        reads = [store.read_prefix("/p/", page=2)[0] for _ in range(30)]
    finally:
        over.set()
        writer.join()

    assert compactions > 3
    for read in reads:
        assert sorted(read) == names
        assert len({stored.value for stored in read.values()}) == 1


def test_more_than_one_message_holds_is_read_in_smaller_pages(store: Etcd, prefix: str) -> None:
    value = b"x" * MIB
    for number in range(20):  # 20 MiB; the client takes 16 MiB in one message
        store.transact(success=[put(f"{prefix}/{number:02d}", value)])

    found, _ = store.read_prefix(f"{prefix}/")

    assert len(found) == 20
    assert all(stored.value == value for stored in found.values())
    store.transact(success=[delete_prefix(f"{prefix}/")])


@pytest.mark.parametrize("text", ["", "ftp://h:1", "h:port", "http://u:p@h:1"])
def test_an_endpoint_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="etcd endpoint"):
        Etcd([text])


def test_no_endpoint_at_all_names_the_setting() -> None:
    with pytest.raises(ValueError, match="ETCD_ENDPOINTS"):
        Etcd([])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}", "http://127.0.0.1:{}/"])
def test_an_endpoint_may_be_written_as_a_url(etcd: EtcdServer, form: str) -> None:
    assert Etcd([form.format(etcd.port)]).get("/nothing")[0] is None


def test_a_key_too_long_for_one_request_is_refused(store: Etcd) -> None:
    with pytest.raises(Refused):
        store.get("/" + "x" * 3 * MIB)
