"""etcd as the rest of ConfHub knows it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from etcd3 import etcdrpc

from watchers.credentials import Credentials
from watchers.etcd.connection import Connection, Stubs
from watchers.etcd.errors import EtcdError, LeaseGone, Unreachable
from watchers.etcd.following import Follow, Snapshot
from watchers.etcd.operations import (
    Compare,
    Op,
    Result,
    Stored,
    result_of,
    stored,
    txn_message,
    writes,
)
from watchers.etcd.reads import PAGE, ask_range, range_message, read_prefix


class Etcd:
    """One connection of one process and its retries, for any of its threads.

    Nothing is connected before the first call, so one made before a fork serves each child. A child
    forked after the first call is Refused, because gRPC would hang in it. A call lasts `timeout_s` at most at each endpoint,
    and raises an EtcdError that says what is known to have happened.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        timeout_s: float = 3.0,
        credentials: Credentials | None = None,
    ) -> None:
        """`endpoints`: "host:port", "http://host:port" or "https://host:port"; ValueError otherwise."""
        self._connection = Connection(
            endpoints, timeout_s=timeout_s, credentials=credentials or Credentials()
        )

    def get(self, key: str) -> tuple[Stored | None, int]:
        """(the key, or None where it is not there; the store's revision). Linearizable."""
        answer = ask_range(self._connection, range_message(key.encode()))
        return (stored(answer.kvs[0]) if answer.kvs else None), answer.header.revision

    def read_prefix(self, prefix: str, *, page: int = PAGE) -> tuple[dict[str, Stored], int]:
        """({key: stored} of everything below `prefix`, the one revision at which it stood so)."""
        read = read_prefix(self._connection, prefix, page=page)
        return read.keys, read.revision

    def transact(
        self, *, compare: Sequence[Compare] = (), success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> Result:
        """Carry out `success` if every comparison holds, else `failure`: all of it or nothing.

        One round trip. Raises OutcomeUnknown when it was sent and not answered: read again, and
        repeat it only if it did not happen. Unreachable means that it did not.
        """
        message = txn_message(compare, success, failure)
        timeout_s = self._connection.timeout_s
        answer = self._connection.ask(
            lambda stubs, metadata: stubs.kv.Txn(message, timeout_s, metadata=metadata),
            writes=writes(success) or writes(failure),
        )
        return result_of(answer)

    def grant(self, ttl_s: int) -> int:
        """A new lease of `ttl_s` seconds; its id. An unanswered one expires by itself."""
        request = etcdrpc.LeaseGrantRequest(TTL=ttl_s)
        timeout_s = self._connection.timeout_s
        answer = self._connection.ask(
            lambda stubs, metadata: stubs.lease.LeaseGrant(request, timeout_s, metadata=metadata),
            writes=False,  # repeating it does no harm
        )
        lease_id: int = answer.ID
        return lease_id

    def keep_alive(self, lease_id: int) -> int:
        """Renew the lease; the seconds it has now, 0 when it has expired or was revoked.

        Zero is no error: its keys are gone, so take a new lease and write them again.
        """
        request = etcdrpc.LeaseKeepAliveRequest(ID=lease_id)

        def renew(stubs: Stubs, metadata: Any) -> Any:
            call = stubs.lease.LeaseKeepAlive(
                iter([request]), self._connection.timeout_s, metadata=metadata
            )
            try:
                return next(call, None)
            finally:
                call.cancel()

        try:
            answer = self._connection.ask(renew, writes=False)
        except LeaseGone:
            return 0
        if answer is None:
            raise Unreachable(f"etcd at {self._connection.name} closed the lease's stream.")
        return max(0, int(answer.TTL))

    def revoke(self, lease_id: int) -> None:
        """End the lease and delete its keys. One that is gone already is fine."""
        request = etcdrpc.LeaseRevokeRequest(ID=lease_id)
        timeout_s = self._connection.timeout_s
        try:
            self._connection.ask(
                lambda stubs, metadata: stubs.lease.LeaseRevoke(
                    request, timeout_s, metadata=metadata
                ),
                writes=True,
            )
        except LeaseGone:
            return

    def follow(
        self,
        prefix: str,
        *,
        stop: threading.Event,
        poll_s: float = 30.0,
        wanted: Callable[[str], bool] | None = None,
        epoch_key: str | None = None,
        on_trouble: Callable[[EtcdError], None] | None = None,
    ) -> Iterator[Snapshot]:
        """Everything below `prefix` now, and again whenever it changes, until `stop` is set.

        Changes that came while the caller was busy arrive together in one snapshot; those of one
        revision are never split over two. Each `poll_s` (a third more or less) a linearizable read
        proves that the watch has told everything, and a snapshot says so even where nothing
        changed. Trouble ends nothing: it is told to `on_trouble`, in the caller's thread, and the
        first snapshot after it has `anew` set.

        `wanted` says which keys to hold, and must keep saying the same. When the store's contents
        are other than before (`epoch` differs, or `revision` fell) the snapshot says what is there
        now; whether that may change anything is the caller's decision.
        """
        return Follow(
            self._connection, prefix, stop, poll_s, wanted, epoch_key, on_trouble
        ).snapshots()

    def close(self) -> None:
        """Close this process's connection; a later call would open a new one."""
        self._connection.close()
