"""The child of `confhub.core.limited`: runs one named function after another, each within its limits.

Started by its file, isolated, without Django. It answers on its first standard output and exits when
its input ends, so that it never outlives whoever started it.
"""

import importlib
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

IDLE_S = 300.0  # the parent takes none that waited half as long
MAX_FILES = 64  # modules are still to be imported
GRACE_S = 1.0  # the parent ends it at its time; the kernel does where the parent is gone
HEADER_BYTES = 8
IDLE_MEMORY_BYTES = 1 << 30  # while a call is read; then its own limit holds


def main(root: str) -> None:
    """Serve calls from standard input until it ends."""
    sys.path.append(root)
    sys.dont_write_bytecode = True
    answers = os.dup(1)
    os.dup2(2, 1)  # what a function prints is not an answer
    _close_doors()
    while (call := _read_call()) is not None:
        answer, goes_on = _answer(call)
        _write_all(answers, len(answer).to_bytes(HEADER_BYTES, "big") + answer)
        if not goes_on:
            return


def _close_doors() -> None:
    """No files, no core, no further processes."""
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, MAX_FILES),
    ):
        resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_AS, (IDLE_MEMORY_BYTES, resource.RLIM_INFINITY))


def _read_call() -> bytes | None:
    if not select.select([0], [], [], IDLE_S)[0]:
        return None
    head = _read_all(HEADER_BYTES)
    return None if head is None else _read_all(int.from_bytes(head, "big"))


def _read_all(size: int) -> bytes | None:
    read = bytearray()
    while len(read) < size:
        chunk = os.read(0, min(size - len(read), 1 << 20))
        if not chunk:
            return None
        read += chunk
    return bytes(read)


def _write_all(to: int, data: bytes) -> None:
    at = 0
    while at < len(data):
        at += os.write(to, data[at : at + (1 << 20)])


def _answer(call: bytes) -> tuple[bytes, bool]:
    """The answer, and whether this process is still fit for another call."""
    try:
        asked = json.loads(call)
        function = _function(asked["name"])
        with _Limits(**asked["limits"]) as limits:
            answer = json.dumps({"answer": function(*asked["args"])}).encode()
    except MemoryError:
        return b'{"limit": "memory"}', False
    except RecursionError:
        return b'{"limit": "depth"}', False
    except Exception as error:  # noqa: BLE001  # told to the parent, which raises it
        return json.dumps({"failed": _told(error)}).encode(), False
    if len(answer) > limits.output_bytes:
        return b'{"limit": "output"}', False
    return answer, True


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _told(error: Exception) -> str:
    """Which error and where, without its message: that may quote a value."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, {last.filename}:{last.lineno}"


class _Limits:
    """The kernel ends this process, with a signal that tells why, when a call takes too much.

    Signals are left at their default because a handler of Python's would wait for a regular
    expression to come to its end.
    """

    def __init__(
        self, cpu_s: float, wall_s: float, memory_bytes: int, output_bytes: int, **_: Any
    ) -> None:
        self.cpu_s, self.wall_s, self.memory_bytes = cpu_s, wall_s, memory_bytes
        self.output_bytes = output_bytes

    def __enter__(self) -> "_Limits":
        used_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        hard = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_CPU, (int(used_s + self.cpu_s) + 2, hard))
        resource.setrlimit(resource.RLIMIT_AS, (self.memory_bytes, hard))
        signal.setitimer(signal.ITIMER_PROF, self.cpu_s)  # RLIMIT_CPU counts whole seconds
        signal.setitimer(signal.ITIMER_REAL, self.wall_s + GRACE_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        hard = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_AS, (IDLE_MEMORY_BYTES, hard))
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


if __name__ == "__main__":
    main(sys.argv[1])
