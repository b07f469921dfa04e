"""Several programs under one: started in order, started again when they end, stopped together.

Why not a ready-made process manager: docs/decisions/0010-make-up-supervises-by-itself.md.
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confhub.cli import kernel

POLL_S = 0.1
STOP_APPS_S = (
    12.0  # a worker may take 10 s to finish its task (CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT)
)
STOP_STORES_S = 5.0
LONG_ENOUGH_S = 20.0  # a program that ran this long starts again with the shortest delay
LONGEST_DELAY_S = 15.0
MARK = "CONFHUB_STARTED_BY"  # in the environment of every program, and so of all that it starts


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `is_store`: it stops after the programs that talk to it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_store: bool = False


class Running:
    """One program's process now, and when it is due again after an end."""

    def __init__(self, program: Program, log: Path, mark: str) -> None:
        self.program = program
        self._environment = {**program.environment, MARK: mark}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.due_at = 0.0
        self.ended_quickly = 0

    def start(self, directory: Path) -> None:
        """In a session of its own, so that the terminal's Ctrl-C reaches only us."""
        manager = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.program.command), env=self._environment, cwd=directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=lambda: kernel.end_with_parent(manager),  # we have no threads
            )  # fmt: skip
        self.started_at = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_end(self) -> None:
        """SIGTERM to the program alone: it ends its own children, in its own order."""
        if self.process is not None and self.is_alive:
            self.process.terminate()

    def kill(self) -> None:
        """SIGKILL to it and to what is left of its group, and wait for it.

        Once a program is reaped its number can be another's, so the rest of its group is looked for
        among our own descendants and nowhere else.
        """
        if self.process is None:
            return
        if self.is_alive:
            self.process.kill()
            self.process.wait()
        for pid in kernel.descendants_of(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)

    def last_lines(self, count: int = 12) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_bytes()[-8192:].decode(errors="replace").splitlines()
            return "\n".join(f"    {line}" for line in lines[-count:])
        return ""


class Supervisor:
    """The programs of one `make up`. It has no threads: `look` is called in a loop."""

    def __init__(self, *, directory: Path, logs: Path, say: Callable[[str], None]) -> None:
        self._directory = directory
        self._logs = logs
        self._say = say
        self._mark = f"{os.getpid()}.{time.monotonic_ns()}"
        self.running: dict[str, Running] = {}
        self._known_adopted: list[int] = []
        logs.mkdir(parents=True, exist_ok=True)
        kernel.adopt_orphans()

    def start(self, programs: Sequence[Program]) -> None:
        for program in programs:
            log = self._logs / f"{program.name}.log"
            if log.exists():
                log.replace(log.with_suffix(".log.1"))
            self.running[program.name] = Running(program, log, self._mark)
            self.running[program.name].start(self._directory)

    @property
    def pids(self) -> dict[str, int]:
        """{"web": 4711, …} of what is alive."""
        return {
            name: held.process.pid
            for name, held in self.running.items()
            if held.process is not None and held.is_alive
        }

    def ended(self) -> Running | None:
        """One that is not alive, where there is one."""
        return next((held for held in self.running.values() if not held.is_alive), None)

    def look(self) -> bool:
        """Start again what ended, after a delay that grows. True when something was started."""
        self._reap_adopted()
        now, started = time.monotonic(), False
        for held in self.running.values():
            if held.is_alive:
                continue
            if not held.due_at:
                held.kill()  # what its group left behind
                quick = now - held.started_at < LONG_ENOUGH_S
                held.ended_quickly = held.ended_quickly + 1 if quick else 0
                delay = min(2.0**held.ended_quickly, LONGEST_DELAY_S) * random.uniform(0.5, 1)  # noqa: S311  # jitter
                held.due_at = now + delay
                code = held.process.returncode if held.process is not None else None
                self._say(
                    f"{held.program.name} ended ({_how(code)}); it starts again in {delay:.1f} s. "
                    f"Its log is {held.log}"
                )
            elif now >= held.due_at:
                held.due_at = 0.0
                held.start(self._directory)
                started = True
        return started

    def stop(self, hurried: Callable[[], bool]) -> None:
        """End all, stores last, politely at first; at once where `hurried()` says so."""
        for stores, patience_s in ((False, STOP_APPS_S), (True, STOP_STORES_S)):
            wave = [held for held in self.running.values() if held.program.is_store is stores]
            for held in wave:
                held.ask_to_end()
            deadline = time.monotonic() + patience_s
            while any(held.is_alive for held in wave):
                if time.monotonic() > deadline or hurried():
                    break
                time.sleep(POLL_S)
            for held in wave:
                held.kill()
        self._end_adopted()

    def _adopted(self) -> list[int]:
        """Our children by adoption: what programs of ours started and left. Known by the mark."""
        ours = {held.process.pid for held in self.running.values() if held.process is not None}
        return [
            pid
            for pid in kernel.children_of(os.getpid())
            if pid not in ours and kernel.environment_of(pid).get(MARK) == self._mark
        ]

    def _reap_adopted(self) -> None:
        """Ended ones have no environment any more, so all that have ended are asked for by number."""
        for pid in self._known_adopted:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._known_adopted = self._adopted()

    def _end_adopted(self) -> None:
        """Each round may make the children of what it ended ours, so it goes on until none is left."""
        while adopted := self._adopted():
            for pid in adopted:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in adopted:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _how(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"by {signal.Signals(-returncode).name}"
    return f"exit {returncode}"
