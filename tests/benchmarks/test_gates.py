"""The benchmark of gates says what it found; its clients know when an answer is whole."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.clients import Client, rate, times
from benchmarks.gates import Gates, words

FOUND = Gates(
    "SQLite", 500, 17.25, 22.5, {"p50": 40.0, "p95": 55.0, "max": 60.0},
    {"p50": 41.0, "p95": 56.0, "max": 61.0}, (8, 12), (20.0, 23.0), (10.0, 10.5),
    {"config, unchanged": 3000.0, "Django view that does nothing": 1500.0,
     "ASGI application that does nothing": 20000.0},
)  # fmt: skip


def test_what_misses_its_aim_is_said_as_plainly_as_what_reaches_it() -> None:
    said = words(replace(FOUND, read_p95_ms=(10.0, 12.5)))

    assert "17.2 KiB a gate, 22.5 KiB a stream" in said
    assert "A page, p95: 20.0 ms, with all waiting 23.0 ms (+15%" in said
    assert "(+25%; the aim is at most +20%: **missed**)" in said
    assert "3000 a second, 2.00 times a Django async view that does nothing (1500)" in said
    assert "| outcome committed → gate answered, ms | 40 | 55 | 60 |" in said


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"x" * 100_000 if self.path == "/large" else b""
        self.send_response(304 if self.path == "/unchanged" else 200)
        if self.path != "/unchanged":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_is_waited_for_until_it_is_whole(port: int) -> None:
    async def asked() -> list[bytes]:
        client = await Client.connected(port)
        found = []
        for path in ("large", "unchanged", "large"):
            client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await client.answer()
            found.append(client.bytes.partition(b"\r\n\r\n")[2])
        await client.close()
        return found

    assert [len(body) for body in asyncio.run(asked())] == [100_000, 0, 100_000]


def test_turns_and_rates_are_taken(port: int) -> None:
    request = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"

    assert [len(ms) for ms in asyncio.run(times([(port, request)] * 2, 3))] == [3, 3]
    assert asyncio.run(rate(port, request, connections=2, for_s=0.1)) > 0
