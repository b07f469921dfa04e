"""What the clock is read at: etcd's own events, a process's handling of a signal, and sums of both."""

import os
import queue
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
from etcd3 import etcdrpc

# A byte into a pipe from the handler itself. Perl, because every Debian image has it, it handles the
# signal at once, and it is the same program in a container and out of it.
TIGHT = "open(my $out, '>>', $ARGV[0]) or die; $SIG{HUP} = sub { syswrite($out, 'x') }; syswrite($out, 'r'); sleep while 1;"
PATIENCE_S = 10.0


class TooSlow(Exception):
    """Something that should happen in milliseconds did not within ten seconds."""


class RawWatch:
    """One watch on the bare stubs, without any of our code: {value: when it came}, in ns."""

    def __init__(
        self,
        endpoint: str,
        prefix: str,
        wanted: Callable[[bytes, bytes], bool] = lambda key, _: key.endswith(
            (b"/current", b"/floor")
        ),
    ) -> None:
        self._wanted = wanted
        self._channel = grpc.insecure_channel(endpoint)
        self._seen: queue.SimpleQueue[tuple[bytes, int]] = queue.SimpleQueue()
        self._end = threading.Event()
        end = prefix.encode()[:-1] + bytes([prefix.encode()[-1] + 1])
        request = etcdrpc.WatchRequest(
            create_request=etcdrpc.WatchCreateRequest(key=prefix.encode(), range_end=end)
        )
        self._call = etcdrpc.WatchStub(self._channel).Watch(self._requests(request))
        next(iter(self._call))  # created
        threading.Thread(target=self._read, daemon=True).start()

    def _requests(self, first: Any) -> Iterator[Any]:
        yield first
        self._end.wait()

    def _read(self) -> None:
        try:
            for answer in self._call:
                came = time.monotonic_ns()
                for event in answer.events:
                    if self._wanted(event.kv.key, event.kv.value):
                        self._seen.put((event.kv.value, came))
        except grpc.RpcError:
            return  # closed

    def forget(self) -> None:
        while not self._seen.empty():
            self._seen.get_nowait()

    def next(self) -> int:
        """When the next wanted value came, in monotonic nanoseconds."""
        try:
            return self._seen.get(timeout=PATIENCE_S)[1]
        except queue.Empty:
            raise TooSlow("what was watched for did not come to etcd") from None

    def close(self) -> None:
        self._end.set()
        self._call.cancel()
        self._channel.close()


class Bell:
    """A pipe with a name, and when bytes came through it. `r`: ready; `x`: a signal was handled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        path.chmod(0o666)
        self._fd = os.open(path, os.O_RDWR)  # also for writing, so that it never ends
        self._rung: queue.SimpleQueue[tuple[bytes, int]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                byte = os.read(self._fd, 1)
            except OSError:
                return  # closed
            self._rung.put((byte, time.monotonic_ns()))

    def wait(self, kind: bytes) -> int:
        """When the next `kind` came, in monotonic nanoseconds."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                byte, came = self._rung.get(timeout=PATIENCE_S)
            except queue.Empty:
                break
            if byte == kind:
                return came
        raise TooSlow(f"nobody handled a signal at {self.path.name}")

    def forget(self) -> None:
        while not self._rung.empty():
            self._rung.get_nowait()


class Tight:
    """The workload as a child of ours."""

    def __init__(self, bell: Bell) -> None:
        self.process = subprocess.Popen(["perl", "-e", TIGHT, str(bell.path)])
        bell.wait(b"r")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Figure:
    """Times of one thing, in milliseconds."""

    name: str
    note: str = ""
    ms: list[float] = field(default_factory=list)

    def add(self, began_ns: int, ended_ns: int) -> None:
        self.ms.append((ended_ns - began_ns) / 1e6)

    def at(self, percent: int) -> float:
        """The `percent`th percentile."""
        if len(self.ms) < 2:
            return self.ms[0] if self.ms else float("nan")
        return statistics.quantiles(self.ms, n=100, method="inclusive")[percent - 1]
