"""What is measured. Each variant does one thing once when it is its turn, and adds to its figures."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import grpc
import httpx
from etcd3 import etcdrpc

from benchmarks.bare import BareRows
from benchmarks.clocked import Bell, Figure, RawWatch, TooSlow
from tests.parts.publisher import Publisher
from tests.parts.system import TOKEN, System

SERVICE, ENVIRONMENT = "bench", "dev"
RECEIPT_S = 0.07  # soak, receipt, rows and live frames come after the signal
QUIET_S = 0.01  # what nothing follows
KEYS = 20  # of the release that is published: a usual service's


class Variant(Protocol):
    """One kind of thing that is done in turn with all others."""

    figures: list[Figure]
    settles_s: float  # how long what it began goes on after its last time was taken

    def once(self) -> None: ...


def values() -> dict[str, object]:
    """A usual configuration, with one value that is new each time."""
    held: dict[str, object] = {
        f"KEY_{number:02d}": f"value of key {number}" for number in range(KEYS)
    }
    return {**held, "CHANGED": secrets.token_hex(8)}


class WholeWay:
    """A publish request over HTTP until the workload, a process or a container, has handled its signal."""

    settles_s = RECEIPT_S

    def __init__(
        self, system: System, bell: Bell, *, service: str = SERVICE, runtime: str = ""
    ) -> None:
        self._url = f"{system.url}/api/v1/services/{service}/environments/{ENVIRONMENT}/releases"
        self._client = httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        self._bell = bell
        self._watch = RawWatch(system.etcd.endpoint, f"{system.prefix}/{ENVIRONMENT}/{service}/")
        self.accepted = Figure("accepted", "publish request sent → answered; PostgreSQL, uvicorn")
        self.in_etcd = Figure(
            "in etcd", "answered (committed just before) → pointer at a bare watcher"
        )
        what = ", ".join(("handled, in the whole way", *([runtime] if runtime else [])))
        self.handled = Figure(what, "pointer at a bare watcher → signal handled")
        what = ", ".join(("the whole way", *([runtime] if runtime else [])))
        self.whole = Figure(what, "publish request sent → signal handled")
        # The server's stages are the same whoever watches, so they are counted once.
        server = [] if runtime else [self.accepted, self.in_etcd]
        self.figures = [*server, self.handled, self.whole]

    def once(self) -> None:
        self._watch.forget()
        self._bell.forget()
        sent, answered = self.publish()
        visible = self._watch.next()
        handled = self._bell.wait(b"x")
        self.accepted.add(sent, answered)
        self.in_etcd.add(answered, max(answered, visible))
        self.handled.add(visible, handled)
        self.whole.add(sent, handled)

    def publish(self) -> tuple[int, int]:
        """(sent, answered), in monotonic nanoseconds."""
        sent = time.monotonic_ns()
        answer = self._client.post(self._url, json={"message": "bench", "set": values()})
        answered = time.monotonic_ns()
        if answer.status_code != 201:
            raise TooSlow(f"a publish was answered {answer.status_code}: {answer.text[:200]}")
        return sent, answered


class Floors:
    """A bare ASGI answer, and the same number of rows committed."""

    settles_s = QUIET_S

    def __init__(self, url: str, rows: BareRows) -> None:
        self._client, self._url, self._rows = httpx.Client(timeout=30), url, rows
        self.figures = [
            Figure("floor of accepted", "bare ASGI answer + the same rows by bare psycopg")
        ]

    def once(self) -> None:
        body = {"message": "bench", "set": values()}
        began = time.monotonic_ns()
        self._client.post(self._url, json=body)
        self._rows.commit(str(body))
        self.figures[0].add(began, time.monotonic_ns())


class RawPut:
    """Puts by the bare stubs."""

    def __init__(self, endpoint: str) -> None:
        self._kv = etcdrpc.KVStub(grpc.insecure_channel(endpoint))

    def put(self, key: str, value: bytes) -> None:
        self._kv.Put(etcdrpc.PutRequest(key=key.encode(), value=value), timeout=30)


class PutToEvent:
    """The floor of *in etcd*: a bare put until a bare watcher has it."""

    settles_s = QUIET_S

    def __init__(self, endpoint: str) -> None:
        self._put, self._watch = RawPut(endpoint), RawWatch(endpoint, "/bench-floor/")
        self.figures = [Figure("floor of in etcd", "bare put → bare watcher in Python")]

    def once(self) -> None:
        self._watch.forget()
        began = time.monotonic_ns()
        self._put.put("/bench-floor/current", secrets.token_bytes(300))
        self.figures[0].add(began, self._watch.next())


class Handled:
    """A release that the harness publishes, until the workload has handled its signal."""

    settles_s = RECEIPT_S

    def __init__(self, runtime: str, note: str, publisher: Publisher, bell: Bell) -> None:
        self._publisher, self._bell = StubPublisher(publisher), bell
        self._watch = RawWatch(publisher.endpoint, f"{publisher.keys.root}/")
        self._receipts = RawWatch(
            publisher.endpoint,
            publisher.keys.instances,
            lambda _, status: b'"state":"confirmed"' in status and self._newest in status,
        )
        self._newest = b""
        self.from_pointer = Figure(f"handled, {runtime}", f"pointer at a bare watcher → {note}")
        self.from_put = Figure(f"put to handled, {runtime}", f"transaction sent to etcd → {note}")
        self.confirmed = Figure(
            f"put to confirmed, {runtime}",
            "transaction sent to etcd → receipt `confirmed` at a bare watcher; no soak",
        )
        self.figures = [self.from_pointer, self.from_put, self.confirmed]

    def once(self) -> None:
        self._watch.forget()
        self._bell.forget()
        self._newest = b'"running":%d,' % (self._publisher.number + 1)
        self._receipts.forget()
        began = time.monotonic_ns()
        self._publisher.publish()
        visible = self._watch.next()
        handled = self._bell.wait(b"x")
        self.from_pointer.add(visible, handled)
        self.from_put.add(began, handled)
        self.confirmed.add(began, self._receipts.next())


class StubPublisher:
    """Document, keys and pointer in one transaction, as the relay writes them, on the bare stubs."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._kv = etcdrpc.KVStub(grpc.insecure_channel(publisher.endpoint))

    @property
    def number(self) -> int:
        """Of the newest release."""
        return self._publisher.number

    def publish(self) -> None:
        publisher, held = self._publisher, values()
        publisher.number += 1
        document = publisher.document(held, number=publisher.number)  # type: ignore[arg-type]  # JSON
        puts = {
            publisher.keys.release(publisher.number): document.to_bytes(),
            publisher.keys.value("CHANGED"): str(held["CHANGED"]).encode(),
            publisher.keys.current: publisher.pointer(document),
        }
        request = etcdrpc.TxnRequest(
            success=[
                etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=key.encode(), value=value))
                for key, value in puts.items()
            ]
        )
        self._kv.Txn(request, timeout=30)


class FloorAgent:
    """The floor of *handled*: benchmarks/floor.py, on a document of the same size."""

    settles_s = QUIET_S

    def __init__(
        self, endpoint: str, publisher: Publisher, bell: Bell, folder: Path, pid: int
    ) -> None:
        self._document = publisher.document(values(), number=1).to_bytes()  # type: ignore[arg-type]
        self._put, self._bell = RawPut(endpoint), bell
        self._watch = RawWatch(endpoint, "/bench-agent/")
        folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.floor", endpoint, "/bench-agent/floor", str(folder / "file"), str(pid)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()
        least = "write, fsync, rename of the same bytes + pidfd signal handled"
        self.from_pointer = Figure("floor of handled", f"event at a bare watcher → {least}")
        self.from_put = Figure("floor of put to handled", f"bare put → bare watch + {least}")
        self.figures = [self.from_pointer, self.from_put]

    def once(self) -> None:
        self._watch.forget()
        self._bell.forget()
        began = time.monotonic_ns()
        self._put.put("/bench-agent/floor", self._document)
        visible = self._watch.next()
        handled = self._bell.wait(b"x")
        self.from_pointer.add(visible, handled)
        self.from_put.add(began, handled)


class Peer:
    """A put until the peer's container has handled its signal."""

    settles_s = 0.03  # the command that signalled is still ending

    def __init__(self, name: str, note: str, trigger: Callable[[], None], bell: Bell) -> None:
        self._trigger, self._bell = trigger, bell
        self.figures = [Figure(name, note)]

    def once(self) -> None:
        self._bell.forget()
        began = time.monotonic_ns()
        self._trigger()
        self.figures[0].add(began, self._bell.wait(b"x"))
