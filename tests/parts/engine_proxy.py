"""A unix socket before an engine's, which passes GET on, refuses everything else, and writes both down."""

import socket
import threading
from pathlib import Path


class GetOnly:
    """Use it in a `with` block; give the agent its `address`."""

    def __init__(self, engine_socket: str, path: Path) -> None:
        self.address = f"unix://{path}"
        self.asked: list[str] = []  # "GET /v1.41/containers/json?…"
        self._engine_socket, self._path = engine_socket, path
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> "GetOnly":
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    @property
    def refused(self) -> list[str]:
        return [line for line in self.asked if not line.startswith("GET ")]

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
                    if not line.startswith("GET "):
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
