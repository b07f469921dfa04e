"""The program: reads what to do, has it done by two processes of its own, watches over them, reports.

    the agent ── this program ── a warden ── the command
                 stays outside    inside      inside

The warden adopts what the command leaves behind, so that nothing stays with the container's first
process; this program ends all that the command began when it is over, its time is up, or the agent
has gone.

In: one line of JSON on standard input, which stays open for as long as the agent lives. Out: one
line of JSON on the descriptor `report`.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from watchers.runtimes.entering import becoming, kernel, target
from watchers.runtimes.entering.groups import Descendants, Groups, Kept
from watchers.runtimes.entering.target import Refused, Target

TERM_S = 2.0  # between TERM and KILL
TICK_S = 0.1
MAX_PROCESSES = 500
WARDEN_S = 5.0
TOO_MANY = f"it began more than {MAX_PROCESSES} processes, so all of them were ended"


@dataclass(frozen=True)
class Job:
    """What the agent writes on standard input."""

    argv: list[str]
    timeout_s: float
    environment: dict[str, str]  # under what the target's own process has
    report: int  # descriptors that the agent handed on
    stdin: int
    interpreter: int  # what we were begun from; nobody needs it any more
    pid: int = 0  # the process whose surroundings it gets; 0 = it runs where we do
    start_ticks: int = 0
    directory: str = ""
    shows: str = ""  # "gen-43": what `current` in `directory` leads to; "" = what it leads to now
    cwd: str = ""


def main() -> None:
    """Read a Job, do it, report {"code", "timed_out", "note"} or {"error"}."""
    job = Job(**json.loads(_line(0)))
    os.close(job.interpreter)
    for descriptor in (job.report, job.stdin):
        os.set_inheritable(descriptor, False)
    kernel.hide_memory()
    kernel.be_called("confhub-command")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the agent ends us by ending itself
    try:
        found = _inside(job) if job.pid else _beside(job)
    except (OSError, Refused) as error:
        found = {"error": str(error)}
    os.write(job.report, json.dumps(found).encode())


def _line(descriptor: int) -> bytes:
    read = b""
    while not read.endswith(b"\n"):
        more = os.read(descriptor, 65536)
        if not more:
            sys.exit(2)  # the agent has gone before it said what to do
        read += more
    return read


def _inside(job: Job) -> dict[str, Any]:
    """Run it in the container that the process job.pid belongs to."""
    held = target.look(job.pid, job.start_ticks)
    groups = Groups(job.pid)
    try:
        return _entered(job, held, groups)
    finally:
        groups.close()


def _entered(job: Job, held: Target, groups: Groups) -> dict[str, Any]:
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if "pid" in held.namespaces:
        kernel.setns(held.namespaces["pid"])  # for what we fork from now on

    def prepare() -> None:
        groups.join()
        becoming.enter(held)
        if job.shows:
            becoming.show(job.directory, job.shows)

    def before_command() -> None:
        groups.join_inner()
        _die_first(proc)
        becoming.limit(held.limits, job.timeout_s)
        attributes = (
            os.open("thread-self/attr", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
            if held.label
            else None
        )
        becoming.take_rights(held, attributes)
        os.umask(held.umask)

    environment = {**job.environment, **held.environment}
    inside = Steps(prepare, before_command, lambda: becoming.take_rights(held, None))
    return _warded(job, environment, inside, lambda _: groups)


def _beside(job: Job) -> dict[str, Any]:
    """Run it with the surroundings that we have ourselves."""

    def prepare() -> None:
        if job.cwd:
            os.chdir(job.cwd)

    def before_command() -> None:
        becoming.limit({}, job.timeout_s)

    return _warded(job, job.environment, Steps(prepare, before_command, _nothing), Descendants)


def _nothing() -> None:
    """What a warden has to give up that has no more than the command."""


# ── the warden and the command ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Steps:
    """What the two do between their fork and their work."""

    prepare: Callable[[], None]  # the warden, before it begins the command
    before_command: Callable[[], None]  # the command, before it becomes the program
    disarm: Callable[[], None]  # the warden, once it has begun the command


def _warded(
    job: Job, environment: dict[str, str], steps: Steps, keep: Callable[[int], Kept]
) -> dict[str, Any]:
    status, theirs = os.pipe()
    go, ours = os.pipe()
    warden = os.fork()
    if warden == 0:
        os.close(ours)
        _ward(job, theirs, go, environment, steps)
    os.close(theirs)
    os.close(go)
    return _watch(job, warden, status, ours, keep(warden))


def _ward(
    job: Job, status: int, go: int, environment: dict[str, str], steps: Steps
) -> NoReturn:  # fmt: skip
    """Begin the command, take in all that ends, and say how the command did."""
    try:
        kernel.adopt_orphans()
        steps.prepare()
        command = os.fork()
        if command == 0:
            _command(job, status, environment, steps.before_command)
        steps.disarm()
        kernel.die_with_parent()
        _let_go(status, go)
        _take_in(command, status, go)
    except (OSError, Refused) as error:
        _tell(status, error=str(error))
    finally:
        os._exit(0)


def _command(job: Job, status: int, environment: dict[str, str], before: Any) -> NoReturn:
    try:
        os.setsid()
        if not job.pid:  # in a container, it counts otherwise than who would signal it
            _tell(status, group=os.getpid())
        os.dup2(job.stdin, 0)
        before()
        kernel.die_with_parent()
        becoming.execute(job.argv, environment)
    except FileNotFoundError:
        _tell(status, error=f"{job.argv[0]}: there is no such program there")
    except OSError as error:
        _tell(status, error=f"{job.argv[0]} cannot be run: {error.strerror}")
    except Refused as error:
        _tell(status, error=str(error))
    finally:
        os._exit(127)


def _let_go(*kept: int) -> None:
    """Close what the agent waits for the end of, and whatever a warden has no use for."""
    least, most = min(kept), max(kept)
    os.closerange(0, least)
    os.closerange(least + 1, most)
    os.closerange(most + 1, os.sysconf("SC_OPEN_MAX"))


def _take_in(command: int, status: int, go: int) -> None:
    """Until nothing is left. The command itself is taken in last, so that nobody gets its number."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid != command:
            os.waitpid(found.si_pid if found else -1, 0)
            continue
        ended = found.si_code == os.CLD_EXITED
        _tell(status, code=found.si_status if ended else 128 + found.si_status)
        os.read(go, 1)  # its end: all that the command began was ended
        os.waitpid(command, 0)


def _tell(status: int, **what: Any) -> None:
    os.write(status, json.dumps(what).encode() + b"\n")


def _die_first(proc: int) -> None:
    """When memory runs out, a command goes before the workload does."""
    with contextlib.suppress(OSError):
        descriptor = os.open("self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(descriptor, b"1000")
        os.close(descriptor)


# ── watching over them ────────────────────────────────────────────────────────────────────────────


def _watch(job: Job, warden: int, status: int, go: int, kept: Kept) -> dict[str, Any]:
    """Until the command has ended, by itself or by us; then nothing of it is left."""
    seen = Seen()
    try:
        return _await_end(job, status, kept, seen)
    finally:
        kept.kill(seen.group)
        os.close(go)
        _await_warden(warden)


@dataclass
class Seen:
    """What is known of a command that runs."""

    group: int = 0  # its process group
    timed_out: bool = False
    note: str = ""


def _await_end(job: Job, status: int, kept: Kept, seen: Seen) -> dict[str, Any]:
    deadline = time.monotonic() + job.timeout_s
    poll = select.poll()
    for descriptor in (0, status):
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while True:
        ready = dict(poll.poll(TICK_S * 1000))
        if status in ready:
            found = _told(status, seen)
            if found:
                return {"timed_out": seen.timed_out, "note": seen.note, **found}
        if 0 in ready and not os.read(0, 65536):
            return {"error": "the agent has gone"}
        if time.monotonic() > deadline:
            if seen.timed_out:
                return {"code": 128 + signal.SIGKILL, "timed_out": True, "note": seen.note}
            seen.timed_out, deadline = True, time.monotonic() + TERM_S
            kept.terminate(seen.group)
        if len(kept.pids()) > MAX_PROCESSES:
            return {"code": 128 + signal.SIGKILL, "note": TOO_MANY}


def _told(status: int, seen: Seen) -> dict[str, Any]:
    """What it came to, as the first of them said it; {} while it goes on."""
    lines = os.read(status, 65536).splitlines()
    if not lines:
        return {"code": 128 + signal.SIGKILL}  # somebody ended the warden
    for line in lines:
        found: dict[str, Any] = json.loads(line)
        seen.group = found.pop("group", seen.group)
        if found:
            return found
    return {}


def _await_warden(warden: int) -> None:
    deadline = time.monotonic() + WARDEN_S
    while os.waitpid(warden, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(warden, signal.SIGKILL)
            os.waitpid(warden, 0)
            return
        time.sleep(0.005)


if __name__ == "__main__":
    main()
