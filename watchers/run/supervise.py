"""`confhub run`: one process that starts with its configuration and is told of each new one."""

import signal
import threading
import time
from pathlib import Path

import structlog

from watchers import moments, options
from watchers.agent import Agent
from watchers.confirm.reported import Reports
from watchers.etcd import Etcd
from watchers.options import Options
from watchers.run.beginning import Beginning, NoConfiguration
from watchers.run.child import ENDING, CannotStart, Child, environment_of
from watchers.run.job import Job
from watchers.run.listening import Ears
from watchers.run.reaping import reap_orphans, take_in_orphans
from watchers.run.restarts import Restarts
from watchers.run.signals import Interrupted, Signals
from watchers.runtimes import commands
from watchers.runtimes.base import Workload
from watchers.runtimes.process import ProcessRuntime

log = structlog.get_logger("watchers.supervise")
LOOK_S = 1.0  # signals wake us; orphans that were missed may wait for so long
SETTLE_S = 6.0  # for the agent to end
VERDICT_S = 3.0  # for its verdict on a process that has just ended
STOP_S = 1.5  # for the agent to end once the grace of a stop was used up


class Supervisor:
    """Runs one Job. `run` returns the exit code."""

    def __init__(self, job: Job, told: Options, etcd: Etcd, state_dir: Path) -> None:
        """Raises OSError when `state_dir` cannot be used."""
        self._job, self._state_dir = job, state_dir
        self._reports = Reports()
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
            reports=self._reports,
        )
        self.agent = Agent(
            etcd, told.keyspace, [self._runtime], state_dir, told.host, ends_with_us=True
        )
        self._beginning = Beginning(job, self.agent, self._runtime)
        self._stop = threading.Event()
        self._told_to_stop_at: float | None = None
        self._ears: Ears | None = None

    def run(self) -> int:
        """Start the process when its files are there, serve it until it ends; its exit code.

        Raises NoConfiguration, CannotStart.
        """
        take_in_orphans()
        agent = threading.Thread(target=self.agent.run, args=(self._stop,), name="agent")
        with Signals() as signals:
            restarts = Restarts(signals.wake, grace_s=self._job.stop_grace_s)
            self._runtime.restarts_by(restarts.ask, restarts.why_not)
            agent.start()
            try:
                self._beginning.wait(signals)
                return self._serve(signals, restarts)
            except Interrupted as error:
                return 128 + error.number
            finally:
                restarts.refuse("confhub run is being stopped.")
                self._stop.set()
                agent.join(self._settle_s())

    def _settle_s(self) -> float:
        """How long the agent may take: whoever stopped us may not wait much longer than its grace."""
        if self._told_to_stop_at is None:
            return SETTLE_S
        used_s = time.monotonic() - self._told_to_stop_at
        return min(SETTLE_S, max(STOP_S, self._job.stop_grace_s - used_s))

    # ── one process after another ─────────────────────────────────────────────────────────────

    def _serve(self, signals: Signals, restarts: Restarts) -> int:
        """Raises NoConfiguration, CannotStart, Interrupted."""
        while True:
            try:
                child = self._start(signals)
            except CannotStart as error:
                if error.by_release and self._is_taken_back(str(error)):
                    continue
                raise
            restarts.allow()
            try:
                code = self._follow(child, signals, restarts)
            finally:
                child.close()
                self._deafen(signals)
            log.info("process.ended", pid=child.pid, how=child.ending)
            if child.told_to_restart and self._told_to_stop_at is None:
                self._runtime.ended(child.ending, asked=True, lived_s=child.lived_s)
                restarts.done()
                continue
            restarts.refuse(f"process {child.pid} has ended")
            if not self._is_taken_back(child.ending, child):
                return code

    def _start(self, signals: Signals) -> Child:
        """Raises NoConfiguration, CannotStart, Interrupted."""
        job = self._job
        # Under the directory's lock: what is read here is what it finds, whatever comes meanwhile.
        with self._beginning.opened(signals) as directory:
            generation = directory.current()
            files = directory.read(generation) if generation else None
            if generation is None or files is None:
                raise NoConfiguration(f"{directory.name} was emptied while we started.")
            made = environment_of(files, generation=generation, directory=job.directory)
            environment = options.child_environment(
                {**made, **job.environment_words(), **self._listen(signals)}
            )
            started_at = moments.stamp()
            try:
                child = Child(job.command, environment)
            except CannotStart:
                self._deafen(signals)
                self._runtime.started(None, generation=generation, started_at=started_at)
                raise
        self._runtime.started(
            child.identity, generation=generation, started_at=started_at, environment=environment
        )
        log.info("process.started", pid=child.pid, generation=generation)
        return child

    def _follow(self, child: Child, signals: Signals, restarts: Restarts) -> int:
        """Pass signals on, and end it where a restart is wanted; its exit code."""
        job = self._job
        while (code := child.code()) is None:
            if restarts.wanted() and not child.told_to_restart:
                log.info("process.restarts", pid=child.pid)
                child.stop(job.stop_signal, grace_s=job.stop_grace_s, restarts=True)
            left_s = child.press()
            for number in signals.wait(LOOK_S if left_s is None else min(LOOK_S, left_s)):
                self._pass_on(number, child)
            reap_orphans(lambda pid: pid == child.pid or commands.owns(pid))
        return code

    def _pass_on(self, number: int, child: Child) -> None:
        """TERM, and the signal that ends the command, are requests to end; others are its own."""
        job = self._job
        stops = number in (signal.SIGTERM, job.stop_signal)
        if stops or (number in ENDING and child.told_to_restart):
            self._told_to_stop_at = self._told_to_stop_at or time.monotonic()
        if not stops:
            child.send(number)
            return
        child.stop(job.stop_signal, grace_s=job.stop_grace_s)

    # ── its own voice ─────────────────────────────────────────────────────────────────────────

    def _listen(self, signals: Signals) -> dict[str, str]:
        """Make the sockets of the next process; {} and a word in the log where that cannot be."""
        try:
            self._ears = Ears(self._state_dir, self._reports, outer=options.outer_notify_socket())
        except OSError as error:
            log.warning("sockets.not_made", reason=str(error), directory=str(self._state_dir))
            return {}
        signals.attend(self._ears.sources())
        return self._ears.environment()

    def _deafen(self, signals: Signals) -> None:
        if self._ears is not None:
            signals.leave(self._ears.sources())
            self._ears.close()
            self._ears = None

    # ── an end that is the release's fault ────────────────────────────────────────────────────

    def _is_taken_back(self, ending: str, child: Child | None = None) -> bool:
        """Say that the process has ended by itself; True when it shall begin anew with the release
        before, because this one was judged to be at fault and the ladder allows restarts.
        """
        asked = child is not None and child.asked_to_stop
        before = self._beginning.shown()
        began_at = self._runtime.ended(
            ending, asked=asked, lived_s=child.lived_s if child is not None else 0.0
        )
        if asked:
            return False
        # Or the next start would not know of it, and begin with the same release again.
        self.agent.await_verdict(self._job.instance_id, VERDICT_S, began_at=began_at)
        if not any(way.restarts for way in self._job.wishes.ladder):
            return False
        after = self._beginning.shown()
        return after is not None and after != before
