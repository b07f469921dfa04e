"""A workload to look at: a small HTTP server that shows its configuration and reads it again on SIGHUP.

confhub run --service demo --environment dev -- python -m watchers.demo --port 8100
"""

import argparse
import html
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from watchers import moments, options

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>demo: release {release}</title>
<style>body{{font:16px/1.5 system-ui;margin:3rem auto;max-width:44rem;padding:0 1rem}}
td,th{{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}}td{{font-family:monospace}}</style>
<h1>{greeting}</h1>
<p>Release <b>{release}</b>, process <b>{pid}</b>, started {started_at}, configuration read again
<b>{reloads}</b> times without a restart.</p><table><tr><th>key<th>value</tr>{rows}</table>"""


class Configuration:
    """What the process read last. Replaced whole, so that no page mixes two releases."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started_at = moments.stamp()
        self.held: dict[str, Any] = {}
        self._reloads = -1
        self.read()

    def read(self) -> None:
        """Read the files through one open generation; keep what is held when they cannot be read."""
        generation = (self._directory / "current").resolve()
        try:
            values = json.loads((generation / "config.json").read_text(encoding="utf-8"))
            release = int((generation / "release").read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            say("config.not_read", reason=str(error))
            return
        self._reloads += 1
        self.held = {
            "release": release,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "reloads": self._reloads,
            "values": values,
        }
        say("config.read", **self.held)


def say(event: str, **fields: object) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json.dumps({"at": moments.stamp(), "event": event, **fields}) + "\n")
    sys.stdout.flush()


def page(held: dict[str, Any]) -> str:
    values = held.get("values", {})
    rows = "".join(
        f"<tr><td>{html.escape(key)}<td>{html.escape(json.dumps(value, ensure_ascii=False))}</tr>"
        for key, value in sorted(values.items())
    )
    return PAGE.format(
        greeting=html.escape(str(values.get("GREETING", "This is the demo service"))),
        release=held.get("release", "none"),
        pid=os.getpid(),
        started_at=held.get("started_at", ""),
        reloads=held.get("reloads", 0),
        rows=rows,
    )


def serve(configuration: Configuration, host: str, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_json = self.path == "/config.json"
            text = json.dumps(configuration.held) if is_json else page(configuration.held)
            body = text.encode()
            self.send_response(200)
            kind = "application/json" if is_json else "text/html; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The page refreshes itself; a line for each would hide those that matter."""

    with ThreadingHTTPServer((host, port), Handler) as server:
        say("demo.listening", url=f"http://{host}:{server.server_address[1]}/")
        server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--host", default="127.0.0.1")
    asked = parser.parse_args()
    configuration = Configuration(Path(options.delivered_directory()))
    signal.signal(signal.SIGHUP, lambda *_: configuration.read())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(configuration, asked.host, asked.port)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        say("demo.cannot_listen", host=asked.host, port=asked.port, reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
