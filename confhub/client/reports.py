"""What a process says of the release it was shown, and the socket on which it says so."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MAX_ERROR_CHARS = 3000  # a receipt's reason holds 4000
AGAIN_S = 10.0  # said again: whoever listens may have begun anew meanwhile


@dataclass(frozen=True)
class Report:
    """One process has loaded a release, or keeps the one before and says why."""

    release: int
    generation: str
    ok: bool
    error: str = ""
    pending_restart: tuple[str, ...] = ()  # entries that it reads at its start only

    def to_bytes(self) -> bytes:
        return json.dumps(
            {"pid": os.getpid(), **asdict(self), "error": self.error[:MAX_ERROR_CHARS]}
        ).encode()

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Report":
        """Raises KeyError, TypeError or ValueError for what `to_bytes` did not write."""
        return cls(
            int(held["release"]),
            str(held["generation"]),
            held["ok"] is True,
            str(held.get("error", ""))[:MAX_ERROR_CHARS],
            tuple(map(str, held.get("pending_restart", ()))),
        )


class Datagrams:
    """Sends reports to a unix datagram socket (CONFHUB_REPORT), and sees to it that they arrive.

    A full or missing socket holds nobody up: what was not sent is sent at the next look.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._last: Report | None = None
        self._due = 0.0

    def send(self, report: Report) -> None:
        self._last, self._due = report, 0.0
        self.look()

    def look(self) -> None:
        """Send what is due. A refusal is said once, because a later try of the release is another one."""
        if self._last is None or time.monotonic() < self._due:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held,
        ):
            held.setblocking(False)
            held.sendto(self._last.to_bytes(), self._path)
            self._due = time.monotonic() + (AGAIN_S if self._last.ok else float("inf"))
