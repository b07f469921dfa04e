"""The follower's view of the processes that read what it delivers, and their say in a release."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from confhub.client.reports import Report
from watchers import moments
from watchers.attempt import Attempt
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.processes import Gone
from watchers.wire.canonical import Json

LOADS_S = 10.0  # a release is "applied" once all have it, or after this; the proof waits longer
WAIT_S = 30.0  # a process that has not taken a release by then does not run it


@dataclass
class Client:
    """One process at the other end of a connection."""

    pid: int  # as the kernel says it
    program: str = "?"
    report: Report | None = None  # its latest
    heard_ns: int = 0  # boot clock, when that came

    @property
    def name(self) -> str:
        return f"Process {self.pid} ({self.program})"

    def refuses(self, generation: str, after_ns: int) -> bool:
        """True when it refused `generation`, and not at an earlier try than the one since then."""
        report = self.report
        return (
            report is not None
            and not report.ok
            and report.generation == generation
            and self.heard_ns > after_ns
        )

    def has_loaded(self, generation: str) -> bool:
        return self.report is not None and self.report.ok and self.report.generation == generation


class Clients:
    """All of them. Any thread may ask; the one that serves the socket tells."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._all: dict[socket.socket, Client] = {}
        self._closed = False
        self.had_any = False
        self.empty_since = time.monotonic()

    # ── told by the socket ────────────────────────────────────────────────────────────────────

    def join(self, link: socket.socket, program: str) -> None:
        with self._news:
            self._all[link] = Client(peer_of(link), program)
            self.had_any = True

    def leave(self, link: socket.socket) -> None:
        with self._news:
            if self._all.pop(link, None) is not None and not self._all:
                self.empty_since = time.monotonic()
            self._news.notify_all()

    def heard(self, link: socket.socket, report: Report) -> None:
        with self._news:
            if link in self._all:
                self._all[link].report, self._all[link].heard_ns = report, moments.boot_ns()
            self._news.notify_all()

    def close(self) -> None:
        """Wait for nobody any more."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    # ── asked ─────────────────────────────────────────────────────────────────────────────────

    def now(self) -> list[Client]:
        with self._news:
            return list(self._all.values())

    def tell(self, message: Mapping[str, Json]) -> None:
        """Whoever cannot take it now looks by itself within a moment."""
        raw = json.dumps(message).encode()
        with self._news:
            links = list(self._all)
        for link in links:
            with contextlib.suppress(OSError):
                link.send(raw, socket.MSG_DONTWAIT)

    def await_answers(self, generation: str, after_ns: int) -> None:
        """Return once each process that had loaded something has this, or one has refused it."""

        def answered() -> bool:
            loaded = [one for one in self._all.values() if one.report is not None]
            return (
                self._closed
                or all(one.has_loaded(generation) for one in loaded)
                or any(one.refuses(generation, after_ns) for one in loaded)
            )

        with self._news:
            self._news.wait_for(answered, LOADS_S)

    def refusals(self) -> tuple[str, ...]:
        """Sentences about those whose latest word is a refusal."""
        return tuple(
            f"{one.name} refuses release {one.report.release}: {one.report.error}"
            for one in self.now()
            if one.report is not None and not one.report.ok
        )

    def pending_restart(self) -> tuple[str, ...]:
        names = {name for one in self.now() if one.report for name in one.report.pending_restart}
        return tuple(sorted(names))


@dataclass(frozen=True)
class TellClients:
    """The way to reload: say that there is something, and wait until all have it."""

    clients: Clients

    restarts = False

    def __str__(self) -> str:
        return "client"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "Armed":
        if attempt.process is None:
            raise Gone("nothing runs")
        return Armed(self.clients, attempt.generation)


class Armed:
    """Made before the swap, so that what is heard from now on is about this try."""

    def __init__(self, clients: Clients, generation: str) -> None:
        self._clients, self._generation = clients, generation
        self._since_ns = moments.boot_ns()

    def send(self) -> None:
        self._clients.tell({"look": True})
        self._clients.await_answers(self._generation, self._since_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class ClientsProof:
    """Every living process says that it has loaded the release, and none refuses it."""

    clients: Clients
    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {"after_ns": moments.boot_ns()}

    def look(self, attempt: Attempt) -> Proven:
        after = attempt.noted.get("after_ns")
        after_ns = after if isinstance(after, int) and after < moments.boot_ns() else 0
        clients = self.clients.now()
        for one in clients:
            if one.refuses(attempt.generation, after_ns) and one.report is not None:
                raise Disproved(f"{one.name} refused it: {one.report.error}")
        behind = [one.name for one in clients if not one.has_loaded(attempt.generation)]
        if behind or not clients:
            said = ", ".join(behind[:5]) or "No process is there, so none"
            raise NotYet(f"{said} has not loaded release {attempt.release} yet.")
        return Proven(self.clients.pending_restart())


def peer_of(link: socket.socket) -> int:
    """The process at the other end, as the kernel knows it: unix(7), SO_PEERCRED."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", raw)[0]
    return pid


def parse(raw: bytes) -> dict[str, Any]:
    """One message; {} for anything that is none."""
    try:
        held = json.loads(raw)
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}
