"""The surroundings of a process that runs beside this one: same files, network and rights."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from watchers import options, processes
from watchers.inside import TIMEOUT_S, CannotRun, Inhabitant, Outcome
from watchers.processes import ProcessId
from watchers.runtimes import commands, files, inhabitants

NOBODY_RESTARTS = (
    "Nobody here supervises the process, so it cannot be restarted. Start it with confhub run."
)


class Here:
    """What `confhub run` sees of the process that it supervises."""

    # A private view of the files takes rights that a supervisor beside its process seldom has.
    shows_generations = False

    def __init__(
        self,
        first: ProcessId | None,
        environment: Mapping[str, str],
        *,
        restart: Callable[[], None] | None = None,
        why_no_restart: str = NOBODY_RESTARTS,
    ) -> None:
        """`environment` is all that the process began with; empty where it is not known."""
        self._first, self._environment = first, environment
        self._restarter, self._why_not = restart, why_no_restart

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        stdin: bytes = b"",
        shows: str = "",
    ) -> Outcome:
        environment = dict(self._environment) or options.child_environment({})
        return commands.run(
            argv, timeout_s=timeout_s, stdin=stdin, environment=environment, cwd=self._cwd()
        )

    def _cwd(self) -> str:
        """The process's own directory; ours where nothing runs, or it may not be asked."""
        first = self._first
        if first is not None and processes.identify(first.pid) == first:
            try:
                return str(Path(f"/proc/{first.pid}/cwd").readlink())
            except OSError:
                pass
        return str(Path.cwd())

    def processes(self) -> list[Inhabitant]:
        return inhabitants.below(self._first) if self._first is not None else []

    def read(self, path: str, *, max_bytes: int = 1024 * 1024) -> bytes:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return files.read(root, path, max_bytes)
        finally:
            os.close(root)

    def connect(self, port: int, *, timeout_s: float) -> socket.socket:
        return socket.create_connection(("localhost", port), timeout_s)

    def connect_unix(self, path: str, *, timeout_s: float) -> socket.socket:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return files.connect(root, path, timeout_s)
        finally:
            os.close(root)

    def said_since(self, moment_s: float) -> str:
        return ""  # its standard streams are ours, and go where they went before

    def health(self) -> str:
        return ""

    def no_restart(self) -> str:
        return "" if self._restarter is not None else self._why_not

    def restart(self) -> None:
        if self._restarter is None:
            raise CannotRun(self._why_not)
        self._restarter()

    def engine_kill(self, number: int) -> None:
        raise CannotRun("No engine runs this process, so none can signal it.")
