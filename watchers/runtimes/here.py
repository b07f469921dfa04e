"""The surroundings of a process that runs beside this one: same files, network and rights."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence

from watchers.inside import TIMEOUT_S, CannotRun, Inhabitant, Outcome
from watchers.processes import ProcessId


class Here:
    """What `confhub run` sees of the process that it supervises."""

    shows_generations = False

    def __init__(self, first: ProcessId | None, environment: Mapping[str, str]) -> None:
        self._first, self._environment = first, environment

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        stdin: bytes = b"",
        shows: str = "",
    ) -> Outcome:
        raise CannotRun("not written yet")

    def processes(self) -> list[Inhabitant]:
        return []

    def read(self, path: str, *, max_bytes: int = 1024 * 1024) -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(max_bytes)

    def connect(self, port: int, *, timeout_s: float) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout_s)

    def connect_unix(self, path: str, *, timeout_s: float) -> socket.socket:
        held = socket.socket(socket.AF_UNIX)
        held.settimeout(timeout_s)
        held.connect(path)
        return held

    def said_since(self, moment_s: float) -> str:
        return ""

    def health(self) -> str:
        return ""

    def no_restart(self) -> str:
        return "not written yet"

    def restart(self) -> None:
        raise CannotRun("not written yet")

    def engine_kill(self, number: int) -> None:
        raise CannotRun("No engine runs this process.")


__all__ = ["Callable", "Here", "os"]
