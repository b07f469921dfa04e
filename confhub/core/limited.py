"""Run a function in a child process that can compute for so long, hold so much, and do nothing else.

For whatever one crafted input could keep busy for ever: parsing of other people's text, patterns,
deeply nested documents. The function is named, takes JSON and gives JSON:

    limited.call("confhub.catalog.schemas.checking:run", document, entries)

What the function wants to refuse it returns as data; `Limited` says that it did not come to an end.
A child is kept for further calls, because a start costs about fifty times as much as a call; after a
limit or a failure it is replaced. It ends by itself when its parent is gone.
"""

import atexit
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from confhub.core.errors import ConfHubError
from confhub.core.limited_child import HEADER_BYTES, IDLE_S

Limit = Literal["cpu", "time", "memory", "depth", "output", "input", "busy", "ended"]

AT_ONCE = 4  # in one process; more would only take the processors from those that run
MAX_IDLE = 2
MAX_CALLS = 500  # then it is replaced, and with it whatever a library has cached
_CHILD = Path(__file__).with_name("limited_child.py")
_ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Limits:
    """What one call may take."""

    cpu_s: float = 2.0
    wall_s: float = 20.0  # a busy machine may let it wait; its own time is `cpu_s`
    memory_bytes: int = 512 << 20  # address space, of which Python itself takes some 60 MiB
    input_bytes: int = 64 << 20
    output_bytes: int = 16 << 20


USUAL = Limits()


class Limited(ConfHubError):
    """The call did not come to its end within its limits. `limit` says which one it reached."""

    code: ClassVar[str] = "limited"
    status: ClassVar[int] = 422

    def __init__(self, limit: Limit, limits: Limits) -> None:
        super().__init__(_SENTENCES[limit].format(**_shown(limits)), extra={"limit": limit})
        self.limit = limit


class FunctionFailed(RuntimeError):
    """The function itself raised: a mistake in it, and not in its input."""


_SENTENCES: dict[Limit, str] = {
    "cpu": "It was stopped after {cpu_s:g} s of computing. Make it simpler or smaller.",
    "time": "It was stopped after {wall_s:g} s. Try again, or make it simpler or smaller.",
    "memory": "It needs more than {memory} MiB of memory. Make it smaller.",
    "depth": "It is nested too deeply. Take some levels out.",
    "output": "What came out is larger than {output} MiB. Make it smaller.",
    "input": "It is larger than {input} MiB. Make it smaller.",
    "busy": "Too many of these run at once. Try again in a moment.",
    "ended": "The process that worked on it ended before its time. Make it simpler, or try again.",
}
_BY_SIGNAL: dict[int, Limit] = {
    signal.SIGPROF: "cpu",
    signal.SIGXCPU: "cpu",
    signal.SIGALRM: "time",
    signal.SIGSEGV: "depth",  # the stack of a library written in C
    signal.SIGABRT: "memory",  # a library in Rust or C++ that was given none
}


def call(name: str, *args: Any, limits: Limits = USUAL) -> Any:
    """What `name` ("package.module:function") answers for `args`; arguments and answer are JSON.

    Raises Limited where it reached a limit and FunctionFailed where it raised. Safe in threads and
    after a fork.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not package.module:function.")
    asked = _encoded({"name": name, "args": args, "limits": asdict(limits)}, limits)
    return _pool.run(asked, limits)


def _encoded(asked: Any, limits: Limits) -> bytes:
    try:
        encoded = json.dumps(asked).encode()
    except RecursionError as error:
        raise Limited("depth", limits) from error
    if len(encoded) > limits.input_bytes:
        raise Limited("input", limits)
    return len(encoded).to_bytes(HEADER_BYTES, "big") + encoded


def _decoded(answer: bytes, limits: Limits) -> Any:
    try:
        told = json.loads(answer)
    except RecursionError as error:
        raise Limited("depth", limits) from error
    if "limit" in told:
        raise Limited(told["limit"], limits)
    if "failed" in told:
        raise FunctionFailed(told["failed"])
    return told["answer"]


def _shown(limits: Limits) -> dict[str, float]:
    sizes = {
        "memory": limits.memory_bytes,
        "output": limits.output_bytes,
        "input": limits.input_bytes,
    }
    return {**asdict(limits), **{name: size >> 20 for name, size in sizes.items()}}


class _LeftBefore(Exception):
    """The child had gone, of itself, before it read the call."""


class _Child:
    """One process and the pipes to it. Used by one thread at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            # By its file: it needs no import path to begin with. -B, because it may write no file.
            [sys.executable, "-I", "-B", str(_CHILD), str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,  # so that it ends with all that it might have started
            bufsize=0,
        )
        pipes = self.process.stdin, self.process.stdout
        self._to, self._from = (pipe.fileno() for pipe in pipes if pipe is not None)
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self.calls = 0
        self.idle_since = time.monotonic()

    @property
    def is_fresh(self) -> bool:
        idle_s = time.monotonic() - self.idle_since
        return idle_s < IDLE_S / 2 and self.calls < MAX_CALLS and self.process.poll() is None

    def exchange(self, asked: bytes, limits: Limits) -> bytes:
        """Its answer. Raises Limited, and _LeftBefore where nothing was asked yet."""
        until = time.monotonic() + limits.wall_s
        self.calls += 1
        try:
            self._send(asked, until, limits)
            size = int.from_bytes(self._receive(HEADER_BYTES, until, limits), "big")
            if size > limits.output_bytes:
                raise Limited("output", limits)
            answer = self._receive(size, until, limits)
        except (BrokenPipeError, EOFError) as error:
            raise self._why_it_ended(limits) from error
        self.idle_since = time.monotonic()
        return answer

    def _why_it_ended(self, limits: Limits) -> Exception:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        if self.process.returncode == 0:
            return _LeftBefore()
        return Limited(_BY_SIGNAL.get(-(self.process.returncode or 0), "ended"), limits)

    def _send(self, data: bytes, until: float, limits: Limits) -> None:
        at = 0
        while at < len(data):
            _wait(self._to, select.POLLOUT, until, limits)
            at += os.write(self._to, memoryview(data)[at : at + (1 << 20)])

    def _receive(self, size: int, until: float, limits: Limits) -> bytes:
        read = bytearray()
        while len(read) < size:
            _wait(self._from, select.POLLIN, until, limits)
            chunk = os.read(self._from, min(size - len(read), 1 << 20))
            if not chunk:
                raise EOFError
            read += chunk
        return bytes(read)

    def end(self) -> None:
        """Kill it with its group, and wait until it is gone."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def disown(self) -> None:
        """After a fork: it is the parent's, and only our copies of its pipes are ours."""
        self._close()
        self.process.returncode = 0  # so that nobody waits for it here

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _wait(pipe: int, what: int, until: float, limits: Limits) -> None:
    poll = select.poll()  # not select: a server may hold more than 1,024 files
    poll.register(pipe, what)
    left_ms = (until - time.monotonic()) * 1000
    if left_ms <= 0 or not poll.poll(left_ms):
        raise Limited("time", limits)


class _Pool:
    """The children of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seats = threading.BoundedSemaphore(AT_ONCE)
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()

    def run(self, asked: bytes, limits: Limits) -> Any:
        if not self._seats.acquire(timeout=limits.wall_s):
            raise Limited("busy", limits)
        try:
            try:
                return self._run_on(self._take(), asked, limits)
            except _LeftBefore:
                return self._run_on(self._start(), asked, limits)
        except _LeftBefore as error:
            raise Limited("ended", limits) from error
        finally:
            self._seats.release()

    def _run_on(self, child: _Child, asked: bytes, limits: Limits) -> Any:
        try:
            answer = _decoded(child.exchange(asked, limits), limits)
        except BaseException:  # a limit, a failure, or this thread is being ended: none is reused
            self._end(child)
            raise
        self._give_back(child)
        return answer

    def _take(self) -> _Child:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return self._start()
            if child.is_fresh:
                return child
            self._end(child)

    def _start(self) -> _Child:
        child = _Child()
        with self._lock:
            self._all.add(child)
        return child

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE:
                self._idle.append(child)
                return
        self._end(child)

    def _end(self, child: _Child) -> None:
        child.end()
        with self._lock:
            self._all.discard(child)

    def end_all(self) -> None:
        with self._lock:
            self._idle.clear()
            children = list(self._all)
        for child in children:
            self._end(child)

    def disown_all(self) -> None:
        for child in self._all:  # without the lock: a thread that held it is not in this process
            child.disown()


_pool = _Pool()


def _anew_after_fork() -> None:
    global _pool  # one for each process is the point
    _pool.disown_all()
    _pool = _Pool()


def end_all() -> None:
    """End this process's idle and working children. Calls after it start new ones."""
    _pool.end_all()


os.register_at_fork(after_in_child=_anew_after_fork)
atexit.register(end_all)
