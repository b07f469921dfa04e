"""`confhub run`: one process that starts with its configuration and is told of each new one."""

import selectors
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from watchers import moments
from watchers.agent import Agent
from watchers.etcd import Etcd
from watchers.labels import Wishes
from watchers.options import Options
from watchers.run.child import FORWARDED, Child, environment_of, reap_orphans
from watchers.runtimes.base import Workload
from watchers.runtimes.process import ProcessRuntime
from watchers.swap import folders
from watchers.swap.disk import Directory

log = structlog.get_logger("watchers.supervise")
LOOK_S = 0.05  # until the files are there; afterwards signals wake us
ANSWER_S = 5.0  # without a word from etcd for so long, the last known good is taken
AGAIN_S = 5.0  # how often the reason for waiting is looked into again
SETTLE_S = 6.0  # for the agent to end
VERDICT_S = 3.0  # for its verdict on a process that has just ended


@dataclass(frozen=True)
class Job:
    """What the command line asks for."""

    service: str
    environment: str
    instance_id: str
    directory: Path
    wishes: Wishes
    command: Sequence[str]
    wait: bool  # for a first configuration, as long as it takes


class NoConfiguration(Exception):
    """There is nothing to start with, and waiting was not wanted. The text says why."""


class Interrupted(Exception):
    """We were asked to end before there was a process to pass it on to."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class Signals:
    """Signals as something to wait for. Only the main thread may make one."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._theirs = theirs
        for end in (self._ours, theirs):
            end.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        # A handler of our own, because only caught signals are written to the descriptor; and
        # because a child begins with the default for those, not with what we do with them.
        self._before = {
            number: signal.signal(number, lambda *_: None)
            for number in (*FORWARDED, signal.SIGCHLD)
        }
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._ours, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        self._ours.close()
        self._theirs.close()

    def wait(self, timeout_s: float) -> list[signal.Signals]:
        """Those that came, SIGCHLD left out; returns early for any."""
        if not self._selector.select(timeout_s):
            return []
        came = {signal.Signals(number) for number in self._ours.recv(4096)}
        return sorted(came - {signal.SIGCHLD})


class Supervisor:
    """Runs one Job. `run` returns the exit code."""

    def __init__(self, job: Job, options: Options, etcd: Etcd, state_dir: Path) -> None:
        """Raises OSError when `state_dir` cannot be used."""
        self._job = job
        self._runtime = ProcessRuntime(
            Workload(
                id=job.instance_id,
                service=job.service,
                environment=job.environment,
                runtime="process",
                wishes=job.wishes,
                state="stopped",
                container={"name": Path(job.command[0]).name},
            ),
            job.directory,
        )
        self.agent = Agent(
            etcd, options.keyspace, [self._runtime], state_dir, options.host, ends_with_us=True
        )
        self._stop = threading.Event()
        self._reason = ""

    def run(self) -> int:
        """Start the process when its files are there, serve it until it ends; its exit code.

        Raises NoConfiguration, CannotStart.
        """
        agent = threading.Thread(target=self.agent.run, args=(self._stop,), name="agent")
        with Signals() as signals:
            agent.start()
            try:
                self._await_files(signals)
                child = self._start()
                code = self._serve(child, signals)
            except Interrupted as error:
                return 128 + error.number
            finally:
                self._stop.set()
                agent.join(SETTLE_S)
        child.close()
        return code

    # ── before the start ──────────────────────────────────────────────────────────────────────

    def _await_files(self, signals: Signals) -> None:
        """Return once the directory shows what the process shall begin with."""
        since, tried_at = time.monotonic(), 0.0
        while True:
            for number in signals.wait(LOOK_S):
                if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                    raise Interrupted(number)
            if self._is_delivered():
                return
            now = time.monotonic()
            reason = self._why_not(now - since)
            if reason and (reason != self._reason or now - tried_at > AGAIN_S):
                tried_at = now
                if self.agent.fall_back(self._job.instance_id):
                    log.warning("start.from_last_known_good", because=reason)
                    return
                self._say_waiting(reason)

    def _is_delivered(self) -> bool:
        status = self._runtime.latest()
        if status is None or status.receipt is None or status.target is None:
            return False
        receipt = status.receipt
        return receipt.release == status.target and receipt.state != "failed"

    def _why_not(self, waited_s: float) -> str:
        """Why there are no files to begin with, once that is known."""
        status, job = self._runtime.latest(), self._job
        if status is not None and status.receipt is not None and status.receipt.state == "failed":
            return f"Release {status.receipt.release}: {status.receipt.reason}"
        if self.agent.is_empty(job.service, job.environment):
            return f"Nothing has been published for {job.service} in {job.environment} yet."
        if silence := self.agent.silence():
            return silence
        return f"etcd has said nothing within {ANSWER_S:g} s." if waited_s > ANSWER_S else ""

    def _say_waiting(self, reason: str) -> None:
        if not self._job.wait:
            raise NoConfiguration(
                f"{reason} There is no earlier configuration in {self._job.directory} to start with."
            )
        if reason != self._reason:
            log.warning("start.waits", because=reason, directory=str(self._job.directory))
        self._reason = reason

    # ── while it runs ─────────────────────────────────────────────────────────────────────────

    def _start(self) -> Child:
        path = str(self._job.directory.resolve())
        # Under the directory's lock: what is read here is what it finds, whatever comes meanwhile.
        with Directory(folders.open_directory(path), path) as directory:
            generation = directory.current()
            files = directory.read(generation) if generation else None
            if generation is None or files is None:
                raise NoConfiguration(f"{path} was emptied while we started.")
            ours = environment_of(files, generation=generation, directory=self._job.directory)
            child = Child(self._job.command, ours)
        started_at = moments.stamp()
        self._runtime.started(child.identity, generation=generation, started_at=started_at)
        log.info("process.started", pid=child.pid, generation=generation)
        return child

    def _serve(self, child: Child, signals: Signals) -> int:
        began = time.monotonic()
        while (code := child.code()) is None:
            for number in signals.wait(1.0):
                child.send(number)
            reap_orphans(child)
        lived_s = time.monotonic() - began
        self._runtime.ended(child.ending, asked=child.asked_to_stop, lived_s=lived_s)
        log.info("process.ended", pid=child.pid, how=child.ending)
        # Or the next start would not know of it, and begin with the same release again.
        self.agent.await_verdict(self._job.instance_id, VERDICT_S)
        return code
