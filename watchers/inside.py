"""A workload's own surroundings, whoever it is that runs it: its files, processes, network, commands."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from watchers.processes import ProcessId

TIMEOUT_S = 30.0  # for a command that nobody gave another limit
OUTPUT_BYTES = 8 * 1024  # the last of what a command says; a receipt holds half of it


class CannotRun(Exception):
    """A command could not be begun there; the text says why, and the way out."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int  # its exit code; 128 + n when signal n ended it
    output: str  # the last OUTPUT_BYTES of what it wrote, both streams as they came
    timed_out: bool = False

    @property
    def passed(self) -> bool:
        return self.code == 0 and not self.timed_out

    @property
    def how(self) -> str:
        """ "exit code 1", "ended by signal 9", "no answer within its time": for a sentence."""
        if self.timed_out:
            return "no answer within its time"
        return f"ended by signal {self.code - 128}" if self.code > 128 else f"exit code {self.code}"


@dataclass(frozen=True)
class Inhabitant:
    """One process of a workload."""

    process: ProcessId
    parent: int
    exe: str  # the program's file name; its command name where the kernel does not show the file
    argv: tuple[str, ...]  # as it is now: some programs write a title over it


class Inside(Protocol):
    """What can be asked of one workload, as its own process would find it."""

    @property
    def shows_generations(self) -> bool:
        """True where `run` can show a generation to one command alone."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        stdin: bytes = b"",
        shows: str = "",
    ) -> Outcome:
        """Run a program with the workload's files, user, environment, network and limits.

        `shows` names a generation ("gen-43") that `current` is for this command alone, wherever
        shows_generations. It has a process group of its own; after `timeout_s` it gets TERM, then
        KILL. Raises CannotRun.
        """

    def processes(self) -> list[Inhabitant]:
        """All of its processes, the first one included; empty when it does not run."""

    def read(self, path: str, *, max_bytes: int = 1024 * 1024) -> bytes:
        """A plain file as the workload sees it. Raises OSError, also when it is larger."""

    def connect(self, port: int, *, timeout_s: float) -> socket.socket:
        """A TCP connection to what listens on `port` of its own loopback. Raises OSError."""

    def connect_unix(self, path: str, *, timeout_s: float) -> socket.socket:
        """A connection to a unix socket in its files. Raises OSError."""

    def said_since(self, moment_s: float) -> str:
        """The last lines that it wrote to its standard streams since then (seconds of the epoch).

        "" where nobody keeps them or we may not read them.
        """

    def health(self) -> str:
        """The runtime's own health check as it is now: healthy, unhealthy, starting; "" = none."""

    def no_restart(self) -> str:
        """Why it cannot be restarted from here, with the way out; "" where it can."""

    def restart(self) -> None:
        """End its process as it asks to be ended (stop signal, grace) and have it begin anew.

        Returns once the old process has ended. Raises CannotRun.
        """

    def engine_kill(self, number: int) -> None:
        """Signal its first process through the engine, where nothing else can and it is allowed to.

        Raises CannotRun where it is not allowed, or would cancel the restart policy.
        """
