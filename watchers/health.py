"""What the agent says of itself over HTTP: each loop stamps itself, and who has not is named."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

CLOSING_S = 2.0  # how often the server looks whether it shall end


class Pulse:
    """When each loop was last seen alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}  # {"status": the monotonic second by which it must stamp}

    def beat(self, loop: str, *, within_s: float) -> None:
        """`loop` is alive, and will say so again in less than `within_s`."""
        with self._lock:
            self._due[loop] = time.monotonic() + within_s

    def end(self, loop: str) -> None:
        """`loop` has ended as it should, and is not waited for."""
        with self._lock:
            self._due.pop(loop, None)

    def stale(self) -> dict[str, float]:
        """{loop: seconds overdue} of those that should have stamped by now."""
        now = time.monotonic()
        with self._lock:
            return {loop: round(now - due, 1) for loop, due in self._due.items() if due < now}


class Watched(Protocol):
    """Whose health is told: an agent."""

    pulse: Pulse

    def silence(self) -> str | None:
        """Why etcd is not heard at the moment, or None."""

    def not_ready(self) -> list[str]:
        """What has not been read a first time yet."""

    def exposition(self) -> str:
        """Its metrics, as Prometheus reads them."""


class HealthServer:
    """`GET /healthz`, `/readyz` and `/metrics`, on a thread of its own.

    /healthz: 200 while every loop lives, 503 naming those that do not. /readyz: 200 once everything
    was looked at a first time, else 503 saying what was not.
    """

    def __init__(self, address: tuple[str, int], watched: Watched) -> None:
        """Raises OSError when the address is taken."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers = {"/healthz": _health, "/readyz": _readiness, "/metrics": _metrics}
                answer = answers.get(self.path.partition("?")[0])
                if answer is None:
                    return self.send_error(404)
                code, kind, body = answer(watched)
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return None

            def log_message(self, *_: object) -> None:
                """A probe every few seconds says nothing that its answer did not."""

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(CLOSING_S,), name="healthz", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Answer = tuple[int, str, bytes]  # (status, content type, body)


def _health(watched: Watched) -> Answer:
    stale = watched.pulse.stale()
    return _as_json(not stale, {"stale": stale, "etcd": watched.silence()})


def _readiness(watched: Watched) -> Answer:
    waits_for = watched.not_ready()
    return _as_json(not waits_for, {"waits_for": waits_for})


def _metrics(watched: Watched) -> Answer:
    return 200, "text/plain; version=0.0.4; charset=utf-8", watched.exposition().encode()


def _as_json(ok: bool, more: dict[str, object]) -> Answer:
    return 200 if ok else 503, "application/json", json.dumps({"ok": ok, **more}).encode()
