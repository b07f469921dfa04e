"""Commands of a workload, each begun through a small program that bounds it (see entering/).

As process 1 we also take in orphans; `owns` says which children are not orphans, because whoever
reaps one of those takes its exit code with it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import watchers
from watchers import options
from watchers.inside import OUTPUT_BYTES, CannotRun, Outcome

# Where this package is; -I and -S leave everything out but the standard library.
_ROOT = str(Path(watchers.__file__).resolve().parents[1])
_START = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from watchers.runtimes.entering.program import main; main()"
)
_MFD_EXEC = 0x10  # from Linux 6.3; before that every memfd may be run
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
SPARE_S = 20.0  # over its time, for a program whose machine is too busy to end it
_lock = threading.Lock()
_owned: set[int] = set()


def owns(pid: int) -> bool:
    """True when `pid` is a child that a thread of ours waits for. Never reap one of those.

    One that could not begin may be reaped already when this answers False: expect ECHILD.
    """
    with _lock:
        return pid in _owned


@contextlib.contextmanager
def owned(command: Sequence[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child that owns() knows from before it could end until it was waited for; killed if left."""
    with _lock:
        process = subprocess.Popen(list(command), **more)
        _owned.add(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        with _lock:
            _owned.discard(process.pid)


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    environment: dict[str, str],
    cwd: str = "",
    **target: Any,
) -> Outcome:
    """Have the program run it; `target` as the Job has it. Raises CannotRun.

    What the command gets goes through a pipe, never through an argument: those anybody may read.
    """
    if not argv:
        raise CannotRun("There is no command to run.")
    given = _readable(stdin)
    report, theirs = os.pipe()
    try:
        interpreter = _interpreter()
        job = {
            "argv": list(argv), "timeout_s": timeout_s, "environment": environment, "cwd": cwd,
            "report": theirs, "stdin": given, "interpreter": interpreter, **target,
        }  # fmt: skip
        with owned(
            [sys.executable, "-I", "-S", "-c", _START, _ROOT],
            executable=f"/proc/self/fd/{interpreter}",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=(theirs, given, interpreter), process_group=0, env=_environment(), cwd="/",
        ) as process:  # fmt: skip
            os.close(theirs)
            theirs = -1
            output = _follow(process, job, time.monotonic() + timeout_s + SPARE_S)
            found = _reported(report)
    except OSError as error:
        raise CannotRun(f"{argv[0]} could not be begun: {error}.") from error
    finally:
        for descriptor in (report, theirs, given):
            if descriptor >= 0:
                os.close(descriptor)
    return _outcome(argv[0], found, output)


@cache
def _interpreter() -> int:
    """A copy of Python's program that nobody can write to, kept for as long as we run.

    In a container, what we run may be a link to /proc/self/exe, which at that moment is this
    program; from there its own processes could otherwise open ours, and write to it.
    """
    try:
        held = os.memfd_create("confhub", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_EXEC)
    except OSError:
        held = os.memfd_create("confhub", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with Path(sys.executable).open("rb") as program, os.fdopen(os.dup(held), "wb") as copy:
        shutil.copyfileobj(program, copy, 1024 * 1024)
    fcntl.fcntl(held, fcntl.F_ADD_SEALS, _SEALS)
    return held


def _environment() -> dict[str, str]:
    """With the way to Python's library, which a copy of its program cannot find beside itself."""
    held = options.bare_environment()
    ways = (str(sysconfig.get_config_var("LIBDIR") or ""), held.get("LD_LIBRARY_PATH", ""))
    return {**held, "LD_LIBRARY_PATH": ":".join(way for way in ways if way)}


def _readable(content: bytes) -> int:
    """A descriptor that reads `content`, then ends."""
    if not content:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    held = os.memfd_create("stdin")
    with os.fdopen(os.dup(held), "wb") as file:
        file.write(content)
    os.lseek(held, 0, os.SEEK_SET)
    return held


def _follow(process: subprocess.Popen[bytes], job: dict[str, Any], deadline: float) -> bytes:
    """Tell the program its job, and read to the end; the last OUTPUT_BYTES of what came."""
    assert process.stdin is not None  # noqa: S101  # asked for above
    assert process.stdout is not None  # noqa: S101
    late = threading.Timer(deadline - time.monotonic(), process.kill)
    late.daemon = True
    late.start()
    last = b""
    try:
        with contextlib.suppress(BrokenPipeError):  # it ended at once; its report says why
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        while more := os.read(process.stdout.fileno(), 65536):
            last = (last + more)[-OUTPUT_BYTES:]
        process.wait()
    finally:
        late.cancel()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    return last


def _reported(report: int) -> dict[str, Any]:
    read = b""
    while more := os.read(report, 65536):
        read += more
    found: dict[str, Any] = json.loads(read) if read else {}
    return found


def _outcome(program: str, found: dict[str, Any], output: bytes) -> Outcome:
    text = output.decode(errors="replace")
    if "error" in found:
        raise CannotRun(f"{program} could not be begun: {found['error']}.")
    if "code" not in found:
        raise CannotRun(f"{program}: what watches over it ended without a word. {text}".strip())
    if found.get("note"):
        text = f"{text}\n({found['note']})"
    return Outcome(int(found["code"]), text, bool(found.get("timed_out")))
