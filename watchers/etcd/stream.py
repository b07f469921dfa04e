"""One watch stream, read by a thread of its own into a ledger, until it ends; it never ends silently.

The package's own watcher is not used, because it takes a refused watch for a good one and its
callbacks hear nothing when the server cancels it (docs/decisions/0002-etcd-client.md).
"""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
from etcd3 import etcdrpc
from grpc import _common

from watchers.etcd.connection import Connection
from watchers.etcd.errors import Denied, EtcdError, Unreachable
from watchers.etcd.ledger import Ledger, ReadAnew
from watchers.etcd.operations import prefix_end

JOIN_S = 2.0
# gRPC wakes each thread that waits for a stream ten times a second, for signals that only the main
# thread of a Python program ever gets. It is told of answers by a condition, so nothing comes later.
QUIET_S = 5.0
if hasattr(_common, "MAXIMUM_WAIT_TIMEOUT"):
    _common.MAXIMUM_WAIT_TIMEOUT = QUIET_S


class Stream:
    """Watches `prefix` from the revision behind the ledger's on."""

    def __init__(self, connection: Connection, prefix: str, ledger: Ledger) -> None:
        self._connection = connection
        self._ledger = ledger
        self._closed = threading.Event()
        request = etcdrpc.WatchRequest(
            create_request=etcdrpc.WatchCreateRequest(
                key=prefix.encode(),
                range_end=prefix_end(prefix),
                start_revision=ledger.revision + 1,
            )
        )
        self._call = connection.ask(
            lambda stubs, metadata: stubs.watch.Watch(self._requests(request), metadata=metadata),
            writes=False,
        )
        self._thread = threading.Thread(target=self._read, name="etcd-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._call.cancel()
        self._thread.join(JOIN_S)

    def _requests(self, first: Any) -> Iterator[Any]:
        yield first
        self._closed.wait()  # the end of the requests would close our half of the stream

    def _read(self) -> None:
        try:
            for answer in self._call:
                self._take(answer)
            raise Unreachable(f"etcd at {self._connection.name} closed the watch.")
        except grpc.RpcError as failed:
            self._ledger.end(self._connection.call_failed(failed))
        except Exception as error:  # noqa: BLE001  # raised again in the follower's thread
            self._ledger.end(error)
        finally:
            self._closed.set()  # lets the thread that sends our requests go

    def _take(self, answer: Any) -> None:
        """A refused watch says created and cancelled at once; compaction comes as a cancel too."""
        if answer.compact_revision:
            raise ReadAnew
        if answer.canceled or answer.watch_id < 0:
            raise self._refusal(answer.cancel_reason)
        if answer.created:
            self._ledger.accept()
        if answer.events:
            self._ledger.add(answer.events)

    def _refusal(self, reason: str) -> EtcdError:
        said = reason.lower()
        where = f"etcd at {self._connection.name} ended the watch: {reason or 'no reason given'}."
        if "auth token" in said or "auth store" in said:
            self._connection.forget_login()
        if "permission denied" in said or "auth" in said or not reason:
            return Denied(f"{where} Give this user a role for these keys, or another login.")
        return Unreachable(where)
