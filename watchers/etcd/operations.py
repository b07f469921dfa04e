"""Transactions as plain data, and the messages that they become."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from etcd3 import etcdrpc


@dataclass(frozen=True, slots=True)
class Stored:
    """One key's value, and the store's revisions about it."""

    value: bytes
    mod_revision: int  # of its last write
    create_revision: int  # of the first write since it last did not exist
    version: int  # how many writes since then, from 1


@dataclass(frozen=True, slots=True)
class Result:
    """What a transaction did."""

    succeeded: bool  # True: every comparison held, and `success` was carried out; else `failure`
    revision: int  # the store's revision after it
    read: dict[str, Stored]  # what the `get` operations of the branch taken returned


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a transaction; made by the functions below."""

    kind: Literal["put", "get", "delete"]
    key: str
    end: bytes = b""  # exclusive end of a range of keys; empty: this key alone
    value: bytes = b""
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition of a transaction; made by the functions below."""

    key: str
    mod_revision: int | None = None
    value: bytes | None = None


def put(key: str, value: bytes, lease_id: int | None = None) -> Op:
    """Write `key`; under a lease it goes when the lease does."""
    return Op("put", key, value=value, lease_id=lease_id or 0)


def delete(key: str) -> Op:
    return Op("delete", key)


def delete_prefix(prefix: str) -> Op:
    """Delete everything that begins with `prefix`."""
    return Op("delete", prefix, end=prefix_end(prefix))


def get(key: str) -> Op:
    return Op("get", key)


def get_prefix(prefix: str) -> Op:
    """Read everything that begins with `prefix`, in one message: for few keys only."""
    return Op("get", prefix, end=prefix_end(prefix))


def mod_revision_is(key: str, revision: int) -> Compare:
    """Holds while nobody has written `key` since `revision`; 0: while it does not exist."""
    return Compare(key, mod_revision=revision)


def value_is(key: str, value: bytes) -> Compare:
    """Holds while `key` exists and has exactly this value; false for a key that is not there."""
    return Compare(key, value=value)


def prefix_end(prefix: str) -> bytes:
    """The first key behind all that begin with `prefix`.

    UTF-8 has no byte 0xff, so the last byte can always be raised by one.
    """
    raw = prefix.encode()
    if not raw:
        raise ValueError("An empty prefix is the whole store, which may be other people's too.")
    return raw[:-1] + bytes([raw[-1] + 1])


def txn_message(
    compare: Iterable[Compare], success: Iterable[Op], failure: Iterable[Op] = ()
) -> Any:
    return etcdrpc.TxnRequest(
        compare=[_compare_message(one) for one in compare],
        success=[_op_message(one) for one in success],
        failure=[_op_message(one) for one in failure],
    )


def result_of(answer: Any) -> Result:
    """A transaction's answer as data."""
    read = {
        kv.key.decode(errors="surrogateescape"): stored(kv)
        for part in answer.responses
        if part.WhichOneof("response") == "response_range"
        for kv in part.response_range.kvs
    }
    return Result(succeeded=answer.succeeded, revision=answer.header.revision, read=read)


def stored(kv: Any) -> Stored:
    return Stored(kv.value, kv.mod_revision, kv.create_revision, kv.version)


def name_of(kv: Any) -> str:
    """Its key as text. Foreign bytes survive as surrogates, because a strange key must not end a read."""
    name: str = kv.key.decode(errors="surrogateescape")
    return name


def _compare_message(one: Compare) -> Any:
    if one.mod_revision is not None:
        return etcdrpc.Compare(
            key=one.key.encode(),
            target=etcdrpc.Compare.MOD,
            result=etcdrpc.Compare.EQUAL,
            mod_revision=one.mod_revision,
        )
    return etcdrpc.Compare(
        key=one.key.encode(),
        target=etcdrpc.Compare.VALUE,
        result=etcdrpc.Compare.EQUAL,
        value=one.value,
    )


def _op_message(one: Op) -> Any:
    key = one.key.encode()
    match one.kind:
        case "put":
            return etcdrpc.RequestOp(
                request_put=etcdrpc.PutRequest(key=key, value=one.value, lease=one.lease_id)
            )
        case "get":
            return etcdrpc.RequestOp(request_range=etcdrpc.RangeRequest(key=key, range_end=one.end))
        case "delete":
            return etcdrpc.RequestOp(
                request_delete_range=etcdrpc.DeleteRangeRequest(key=key, range_end=one.end)
            )


def writes(operations: Sequence[Op]) -> bool:
    return any(one.kind != "get" for one in operations)
