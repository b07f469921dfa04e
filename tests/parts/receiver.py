"""A receiver of webhooks on loopback that keeps what came, and answers as a test says."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Got:
    """One request."""

    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answering = Callable[["Handler", Got], None]


class Handler(BaseHTTPRequestHandler):
    """`answer(…)` writes a whole answer; a test may as well write to `wfile` as it likes."""

    protocol_version = "HTTP/1.1"
    server: "Receiver"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        got = Got(self.path, headers, self.rfile.read(length))
        self.server.take(self, got)

    def answer(self, status: int = 200, body: bytes = b"ok", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@dataclass
class _Kept:
    got: list[Got] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0


class Receiver(ThreadingHTTPServer):
    """`answering` is what it does with a request; None: 200."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answering: Answering | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answering = answering
        self.closing = threading.Event()  # for those that hang
        self._kept, self._lock = _Kept(), threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def got(self) -> list[Got]:
        with self._lock:
            return list(self._kept.got)

    @property
    def most_at_once(self) -> int:
        return self._kept.most_at_once

    def take(self, handler: Handler, got: Got) -> None:
        with self._lock:
            self._kept.got.append(got)
            self._kept.at_once += 1
            self._kept.most_at_once = max(self._kept.most_at_once, self._kept.at_once)
        try:
            (self.answering or (lambda each, _: each.answer()))(handler, got)
        finally:
            with self._lock:
                self._kept.at_once -= 1

    def handle_error(self, *_: object) -> None:
        """A client that hung up is no news."""
