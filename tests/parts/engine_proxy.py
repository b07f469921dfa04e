"""A unix socket before an engine's with the allow-list that we ship; it writes down what it was asked."""

import contextlib
import re
import socket
import threading
from pathlib import Path

import yaml

LIST = Path(__file__).resolve().parents[2] / "docs" / "operating" / "socket-proxy.yml"


def shipped_list() -> re.Pattern[str]:
    """What docs/operating/socket-proxy.yml allows; such a proxy puts ^ and $ around it."""
    words = yaml.safe_load(LIST.read_text(encoding="utf-8"))["services"]["socket-proxy"]["command"]
    allowed = [word for word in words if word.startswith("-allow")]
    assert len(allowed) == 1, "one method, one expression"
    return re.compile(f"^{allowed[0].removeprefix('-allowGET=')}$")


class GetOnly:
    """Use it in a `with` block; give the agent its `address`."""

    def __init__(self, engine_socket: str, path: Path) -> None:
        self.address = f"unix://{path}"
        self.asked: list[str] = []  # "GET /v1.41/containers/json?…"
        self._engine_socket, self._path = engine_socket, path
        self._allowed = shipped_list()
        self._lock = threading.Lock()
        self._streams: set[socket.socket] = set()  # clients that listen to events
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> "GetOnly":
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def cut_events(self) -> int:
        """End every stream of events in the middle, as a network or a restarted engine does."""
        with self._lock:
            streams, self._streams = self._streams, set()
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        return len(streams)

    def inspections(self, full_id: str) -> int:
        """How often this container was looked at; others may share the engine."""
        return sum(f"/containers/{full_id}/json" in line for line in self.asked)

    @property
    def refused(self) -> list[str]:
        return [line for line in self.asked if not self._may(line)]

    def _may(self, line: str) -> bool:
        method, _, target = line.partition(" ")
        return method == "GET" and self._allowed.fullmatch(target.partition("?")[0]) is not None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Requests without a body, one after the other on one connection, as GETs are."""
        engine = socket.socket(socket.AF_UNIX)
        with client, engine:
            engine.connect(self._engine_socket)
            threading.Thread(target=_pour, args=(engine, client), daemon=True).start()
            held = b""
            while True:
                try:
                    read = client.recv(65536)
                except OSError:
                    return
                if not read:
                    return
                held += read
                while b"\r\n\r\n" in held:
                    request, _, held = held.partition(b"\r\n\r\n")
                    line = request.split(b"\r\n", 1)[0].decode().rpartition(" HTTP")[0]
                    self.asked.append(line)
                    if "/events" in line:
                        with self._lock:
                            self._streams.add(client)
                    if not self._may(line):
                        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                        return
                    engine.sendall(request + b"\r\n\r\n")


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while read := source.recv(65536):
            target.sendall(read)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
