"""Every gRPC status has its class, for a read and for a write."""

import grpc
import pytest

from tests.parts.grpc_proxy import GrpcProxy
from tests.parts.servers import EtcdServer
from watchers.etcd import (
    Denied,
    Etcd,
    EtcdError,
    LeaseGone,
    OutcomeUnknown,
    Refused,
    StoreFull,
    Unreachable,
    put,
)
from watchers.etcd.errors import AnswerTooLarge, Compacted, classify

Code = grpc.StatusCode

#   status                    a read           a write
TABLE: dict[grpc.StatusCode, tuple[type[EtcdError], type[EtcdError]]] = {
    Code.CANCELLED:           (Unreachable,    OutcomeUnknown),
    Code.UNKNOWN:             (Unreachable,    OutcomeUnknown),
    Code.INVALID_ARGUMENT:    (Refused,        Refused),
    Code.DEADLINE_EXCEEDED:   (Unreachable,    OutcomeUnknown),
    Code.NOT_FOUND:           (Refused,        Refused),
    Code.ALREADY_EXISTS:      (Refused,        Refused),
    Code.PERMISSION_DENIED:   (Denied,         Denied),
    Code.UNAUTHENTICATED:     (Denied,         Denied),
    Code.RESOURCE_EXHAUSTED:  (Refused,        Refused),
    Code.FAILED_PRECONDITION: (Refused,        Refused),
    Code.ABORTED:             (Unreachable,    OutcomeUnknown),
    Code.OUT_OF_RANGE:        (Compacted,      Compacted),
    Code.UNIMPLEMENTED:       (Refused,        Refused),
    Code.INTERNAL:            (Unreachable,    OutcomeUnknown),
    Code.UNAVAILABLE:         (Unreachable,    OutcomeUnknown),
    Code.DATA_LOSS:           (Unreachable,    OutcomeUnknown),
}  # fmt: skip

#   status, what etcd or gRPC says with it                       a read          a write
WORDS = [
    (Code.UNAVAILABLE, "failed to connect to all addresses",     Unreachable,    Unreachable),
    (Code.UNAVAILABLE, "etcdserver: no leader",                  Unreachable,    Unreachable),
    (Code.UNAVAILABLE, "etcdserver: request timed out",          Unreachable,    OutcomeUnknown),
    (Code.UNAVAILABLE, "etcdserver: leader changed",             Unreachable,    OutcomeUnknown),
    (Code.UNAVAILABLE, "Socket closed",                          Unreachable,    OutcomeUnknown),
    (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", StoreFull, StoreFull),
    (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests",   Unreachable,    Unreachable),
    (Code.RESOURCE_EXHAUSTED, "grpc: received message larger than max (3 vs. 2)", Refused, Refused),
    (Code.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (3 vs. 2)", AnswerTooLarge, OutcomeUnknown),
    (Code.INVALID_ARGUMENT, "etcdserver: user name is empty",    Denied,         Denied),
    (Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password", Denied, Denied),
    (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Denied, Denied),
    (Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled", Denied, Denied),
    (Code.INVALID_ARGUMENT, "etcdserver: request is too large",  Refused,        Refused),
    (Code.NOT_FOUND, "etcdserver: requested lease not found",    LeaseGone,      LeaseGone),
]  # fmt: skip


def test_every_status_is_in_the_table() -> None:
    assert set(TABLE) == set(Code) - {Code.OK}


@pytest.mark.parametrize("code", TABLE, ids=lambda code: code.name)
def test_a_status_has_its_class(code: grpc.StatusCode) -> None:
    read = classify(code, "", endpoints="etcd:2379", writes=False)
    write = classify(code, "", endpoints="etcd:2379", writes=True)

    assert (type(read), type(write)) == TABLE[code]
    assert str(read).startswith("etcd at etcd:2379: ")


@pytest.mark.parametrize(("code", "words", "read", "write"), WORDS, ids=lambda v: str(v)[:40])
def test_its_words_decide_where_a_status_has_several_meanings(
    code: grpc.StatusCode, words: str, read: type[EtcdError], write: type[EtcdError]
) -> None:
    assert type(classify(code, words, endpoints="e", writes=False)) is read
    assert type(classify(code, words, endpoints="e", writes=True)) is write


@pytest.mark.parametrize("code", [c for c in TABLE if c is not Code.OUT_OF_RANGE], ids=str)
def test_a_status_on_the_wire_is_raised_as_its_class(
    etcd: EtcdServer, prefix: str, code: grpc.StatusCode
) -> None:
    read, write = TABLE[code]
    with GrpcProxy(etcd.endpoint) as proxy:
        store = Etcd([proxy.endpoint])
        proxy.fails_with = code

        with pytest.raises(read):
            store.get(f"{prefix}/a")
        with pytest.raises(write):
            store.transact(success=[put(f"{prefix}/a", b"1")])

        assert proxy.calls == ["/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"], "asked once each"
        proxy.fails_with = None
        assert store.get(f"{prefix}/a")[0] is None, "the next call is asked again at once"
        store.close()
