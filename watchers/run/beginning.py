"""What a process begins with: waiting for its first files, or taking those that were proven before."""

import signal
import time

import structlog

from watchers.agent import Agent
from watchers.run.job import Job
from watchers.run.signals import Interrupted, Signals
from watchers.runtimes.process import ProcessRuntime
from watchers.swap import folders
from watchers.swap.disk import CannotWrite, Directory

log = structlog.get_logger("watchers.supervise")
LOOK_S = 0.05  # until the files are there; afterwards signals wake us
ANSWER_S = 5.0  # without a word from etcd for so long, the last known good is taken
AGAIN_S = 5.0  # how often the reason for waiting is looked into again


class NoConfiguration(Exception):
    """There is nothing to start with, and waiting was not wanted. The text says why."""


class Beginning:
    """Has the directory show what the process shall begin with."""

    def __init__(self, job: Job, agent: Agent, runtime: ProcessRuntime) -> None:
        self._job, self._agent, self._runtime = job, agent, runtime
        self._reason = ""

    def wait(self, signals: Signals) -> None:
        """Return once the files are there. Raises Interrupted, NoConfiguration."""
        since, tried_at = time.monotonic(), 0.0
        while True:
            # A terminal that hangs up takes away whoever would have wanted the command.
            if (number := signals.ending(LOOK_S, also=[signal.SIGHUP])) is not None:
                raise Interrupted(number)
            if self._is_delivered():
                return
            now = time.monotonic()
            reason = self._why_not(now - since)
            if reason and (reason != self._reason or now - tried_at > AGAIN_S):
                tried_at = now
                if self._agent.fall_back(self._job.instance_id):
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
        if self._agent.is_empty(job.service, job.environment):
            return f"Nothing has been published for {job.service} in {job.environment} yet."
        if silence := self._agent.silence():
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

    def opened(self, signals: Signals) -> Directory:
        """The directory, locked against the agent for as long as the process is being started.

        Raises Interrupted, NoConfiguration.
        """
        path = str(self._job.directory.resolve())
        while True:
            if (number := signals.ending()) is not None:
                raise Interrupted(number)
            try:
                return Directory(folders.open_directory(path), path)
            except CannotWrite as error:
                log.warning("start.waits", because=str(error), directory=path)
            except OSError as error:
                raise NoConfiguration(f"{path} cannot be opened: {error.strerror}.") from error

    def shown(self) -> str | None:
        """The generation that a process would begin with now; None where that cannot be read."""
        try:
            path = str(self._job.directory.resolve())
            with Directory(folders.open_directory(path), path) as directory:
                return directory.current()
        except (OSError, CannotWrite) as error:
            log.warning("directory.away", reason=str(error))
            return None
