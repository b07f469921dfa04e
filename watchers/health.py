"""Each loop stamps itself; who has not for too long is named at /healthz."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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


class HealthServer:
    """`GET /healthz`: 200 while every loop lives, 503 naming those that do not."""

    def __init__(
        self, address: tuple[str, int], pulse: Pulse, detail: Callable[[], dict[str, object]]
    ) -> None:
        """Raises OSError when the address is taken."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/healthz":
                    return self.send_error(404)
                stale = pulse.stale()
                body = json.dumps({"ok": not stale, "stale": stale, **detail()}).encode()
                self.send_response(503 if stale else 200)
                self.send_header("Content-Type", "application/json")
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
            target=self._server.serve_forever, name="healthz", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
