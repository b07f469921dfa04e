"""Reading everything below a prefix as it stood at one revision, however much it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etcd3 import etcdrpc

from watchers.etcd.connection import Connection
from watchers.etcd.errors import AnswerTooLarge, Compacted, Unreachable
from watchers.etcd.operations import Stored, name_of, prefix_end, stored

PAGE = 500  # keys in one answer; halved where the values are large
ATTEMPTS = 5  # a compaction between two pages makes the first page's revision unreadable


@dataclass(frozen=True, slots=True)
class Read:
    """Everything wanted below a prefix, as it stood at `revision`."""

    keys: dict[str, Stored]
    count: int  # of all keys below the prefix, wanted or not
    revision: int
    epoch: str | None


def read_prefix(
    connection: Connection,
    prefix: str,
    *,
    page: int = PAGE,
    wanted: Callable[[str], bool] | None = None,
    epoch_key: str | None = None,
) -> Read:
    """Read in pages, all at the first page's revision, so that two states are never mixed.

    Raises EtcdError; Unreachable also when the store is compacted faster than it can be read.
    """
    for _ in range(ATTEMPTS):
        try:
            return _read_once(connection, prefix, page, wanted, epoch_key)
        except Compacted:
            continue  # at the revision of now, which is not compacted
        except AnswerTooLarge:
            if page == 1:
                raise
            page = max(1, page // 8)
    raise Unreachable(f"etcd at {connection.name} is compacted faster than {prefix} can be read.")


def _read_once(
    connection: Connection,
    prefix: str,
    page: int,
    wanted: Callable[[str], bool] | None,
    epoch_key: str | None,
) -> Read:
    end = prefix_end(prefix)
    found: dict[str, Stored] = {}
    first = range_message(prefix.encode(), end, limit=page)
    revision, part, epoch = ask_with_epoch(connection, first, epoch_key)
    count = part.count
    while True:
        for kv in part.kvs:
            name = name_of(kv)
            if wanted is None or wanted(name):
                found[name] = stored(kv)
        if not part.more:
            return Read(found, count, revision, epoch)
        following = part.kvs[-1].key + b"\0"
        part = ask_range(connection, range_message(following, end, limit=page, revision=revision))


def range_message(key: bytes, end: bytes = b"", **more: Any) -> Any:
    return etcdrpc.RangeRequest(key=key, range_end=end, **more)


def ask_range(connection: Connection, message: Any) -> Any:
    """One range's answer; linearizable, so it tells of every write that was answered before."""
    return connection.ask(
        lambda stubs, metadata: stubs.kv.Range(message, connection.timeout_s, metadata=metadata),
        writes=False,
    )


def ask_with_epoch(
    connection: Connection, message: Any, epoch_key: str | None
) -> tuple[int, Any, str | None]:
    """(store revision, the range's answer, the epoch's value), all of one moment."""
    if epoch_key is None:
        part = ask_range(connection, message)
        return part.header.revision, part, None
    both = etcdrpc.TxnRequest(
        success=[
            etcdrpc.RequestOp(request_range=message),
            etcdrpc.RequestOp(request_range=range_message(epoch_key.encode())),
        ]
    )
    answer = connection.ask(
        lambda stubs, metadata: stubs.kv.Txn(both, connection.timeout_s, metadata=metadata),
        writes=False,
    )
    part, epoch = (one.response_range for one in answer.responses)
    held = epoch.kvs[0].value.decode(errors="replace") if epoch.kvs else None
    return answer.header.revision, part, held
