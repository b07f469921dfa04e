"""The least that any watcher in Python does for a change: event, write, fsync, rename, signal.

python -m benchmarks.floor ENDPOINT KEY FILE PID
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
from etcd3 import etcdrpc


def main() -> None:
    endpoint, key, target, pid = (
        sys.argv[1],
        sys.argv[2].encode(),
        Path(sys.argv[3]),
        int(sys.argv[4]),
    )
    process = os.pidfd_open(pid)
    first = etcdrpc.WatchRequest(create_request=etcdrpc.WatchCreateRequest(key=key))

    def requests() -> Iterator[Any]:
        yield first
        Event().wait()

    with grpc.insecure_channel(endpoint) as channel:
        for answer in etcdrpc.WatchStub(channel).Watch(requests()):
            if answer.created:
                print("watching", flush=True)
            for event in answer.events:
                _swap(target, event.kv.value)
                signal.pidfd_send_signal(process, signal.SIGHUP)


def _swap(target: Path, content: bytes) -> None:
    half = target.with_suffix(".half")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(target)


if __name__ == "__main__":
    with contextlib.suppress(grpc.RpcError):  # etcd ended, as it does in the outages
        main()
