"""One agent, one etcd, and a real service in a container: publish, wait for the receipt, ask the service.

A container has a network of its own with nothing but a loopback (`network="none"`), so each may use
the ports that its documentation shows. The service is asked there, past the code under test.
"""

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from tests.parts.docker import SERVICES, started_at
from tests.parts.servers import wait_until
from tests.watchers.hosts import Host, id_of
from tests.watchers.profiles.snippets import Snippet
from tests.watchers.served import Served
from watchers.wire.canonical import Json
from watchers.wire.status import Receipt, Status

RECEIPT_S = 40.0
NEW_NETWORK = 0x40000000  # CLONE_NEWNET


class Bench(Host):
    """A host whose agent serves one service; see `run`."""

    served: Served

    def run(
        self,
        values: Mapping[str, Json],
        snippet: Snippet | None = None,
        command: list[str] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        **more: Any,
    ) -> "Running":
        """Publish `values`, start the service of a documentation's snippet, or `command`, serve it,
        and wait until release 1 is confirmed.

        `labels` and `more` go over the snippet's; `more` is what Docker's client takes.
        """
        running = self.begin(values, snippet, command, labels=labels, **more)
        running.confirmed(1)
        running.before = started_at(running.container)
        return running

    def begin(
        self,
        values: Mapping[str, Json],
        snippet: Snippet | None = None,
        command: list[str] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        **more: Any,
    ) -> "Running":
        """As `run`, without waiting for the receipt."""
        self.publisher.publish(dict(values))
        of_snippet = snippet.options() if snippet else {}
        said = {**(snippet.labels if snippet else {}), **(labels or {})}
        said |= {"confhub.service": self.publisher.service, "confhub.environment": "dev"}
        said["confhub.soak"] = (labels or {}).get("confhub.soak", "200ms")
        options: dict[str, Any] = {"restart": "always", **of_snippet, **more}
        container = self.start(
            SERVICES, command or (snippet.command if snippet else None), labels=said, **options
        )
        self.served = self.serve()
        return Running(self, container)


class Running:
    """The service in its container, and what the agent says of it."""

    def __init__(self, bench: Bench, container: Container) -> None:
        self.bench, self.container = bench, container
        self.before = started_at(container)

    @property
    def files(self) -> Path:
        """The delivered directory, on this machine."""
        return self.bench.files(self.container)

    @property
    def pid(self) -> int:
        """The container's first process."""
        return started_at(self.container)[1]

    def publish(self, values: Mapping[str, Json]) -> int:
        return self.bench.publisher.publish(dict(values))

    def until(self, state: str, release: int) -> Status:
        return self.bench.served.until(
            state, release, instance=id_of(self.container), timeout_s=RECEIPT_S
        )

    def confirmed(self, release: int) -> Status:
        return self.until("confirmed", release)

    def failed(self, release: int, stage: str) -> str:
        """The reason in the receipt, once `release` has failed at `stage`."""
        receipt = self.until("failed", release).receipt
        assert isinstance(receipt, Receipt)
        assert receipt.stage == stage, receipt
        return receipt.reason

    def awaits_restart(self, release: int) -> tuple[str, ...]:
        """What waits for a restart, once the receipt of `release` says so."""
        seen: list[Receipt] = []

        def waits() -> bool:
            status = self.bench.served.status(id_of(self.container))
            receipt = status.receipt if status else None
            seen[:] = [receipt] if receipt else []
            return (
                receipt is not None and receipt.release == release and bool(receipt.pending_restart)
            )

        try:
            wait_until(waits, what=f"release {release} waits for a restart", timeout_s=RECEIPT_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; the receipt says {seen}") from None
        return seen[0].pending_restart

    def is_seen(self, health: str) -> None:
        """Wait until the agent says so of the container: "unknown" for a paused one, "stopped", …"""

        def says() -> bool:
            status = self.bench.served.status(id_of(self.container))
            return status is not None and status.health == health

        wait_until(says, what=f"the agent sees {health}")

    def take_port(self, port: int) -> None:
        """Have another program of the container listen at `port`."""
        listen = f"import socket, time; s = socket.create_server(('', {port})); time.sleep(600)"
        self.container.exec_run(["python3", "-c", listen], detach=True)
        wait_until(lambda: self.answers(port), what=f"port {port} is taken")

    def answers(self, port: int) -> bool:
        with contextlib.suppress(OSError), self.connect(port):
            return True
        return False

    def drains(self, port: int, held: contextlib.ExitStack) -> None:
        """Begin a request that ends with `held`, so that whoever takes it stays as long."""
        connection = held.enter_context(self.connect(port, timeout_s=30))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")

    def not_restarted(self) -> bool:
        """True when it is the same process as after `run`, and the engine counts no restart."""
        return started_at(self.container) == self.before

    def logs(self) -> str:
        return self.container.logs().decode(errors="replace")

    def execute(self, *argv: str, user: str = "") -> str:
        """What a command prints that is run in the container by the engine, past the code under test."""
        code, output = self.container.exec_run(list(argv), user=user)
        assert code == 0, (argv, code, output)
        assert isinstance(output, bytes)
        return output.decode(errors="replace")

    def connect(self, port: int, *, timeout_s: float = 5.0) -> socket.socket:
        """A TCP connection to the container's own loopback. Raises OSError."""
        return connect_in(self.pid, port, timeout_s)

    def fetch(self, port: int, path: str = "/") -> str:
        """The body of one GET to the container's own loopback; "" where nothing answers."""
        try:
            with contextlib.closing(HTTPConnection("localhost", port, timeout=5)) as connection:
                connection.sock = self.connect(port)
                connection.request("GET", path, headers={"Connection": "close"})
                return connection.getresponse().read().decode(errors="replace")
        except (OSError, HTTPException):
            return ""

    def serves(self, text: str, port: int, path: str = "/") -> None:
        """Wait until the service answers with `text`; fails the test where it does not."""
        wait_until(
            lambda: self.fetch(port, path).strip() == text,
            what=f"port {port} answers {text!r}, not {self.fetch(port, path)!r}",
        )


def connect_in(pid: int, port: int, timeout_s: float) -> socket.socket:
    """A socket keeps the network that its thread had when it was made, so one is made for it."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(network, NEW_NETWORK):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(network)
            made.append(socket.create_connection(("127.0.0.1", port), timeout_s))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]
