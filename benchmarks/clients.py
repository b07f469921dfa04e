"""HTTP/1.1 clients that cost next to nothing themselves: bytes in, bytes out, on one event loop."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self


class Client(asyncio.Protocol):
    """One connection. `bytes` is what came since the last request, `came_at` when it was whole."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.bytes = b""
        self._wanted = b""
        self._came: asyncio.Future[float] | None = None

    @classmethod
    async def connected(cls, port: int) -> Self:
        _, client = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.bytes += data
        if self._came is not None and not self._came.done() and self._is_there():
            self._came.set_result(time.monotonic())

    def connection_lost(self, error: Exception | None) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_exception(ConnectionError(f"closed after {self.bytes[-200:]!r}"))

    def send(self, request: bytes) -> None:
        assert self.transport is not None
        self.bytes = b""
        self.transport.write(request)

    async def answer(self) -> float:
        """When the whole answer had come, on the monotonic clock."""
        return await self._until(b"")

    async def holds(self, wanted: bytes) -> float:
        """When `wanted` had come, in a stream."""
        return await self._until(wanted)

    async def close(self) -> None:
        self._came = None  # nobody waits for it any more
        if self.transport is not None:
            self.transport.abort()
            await asyncio.sleep(0)  # the loop closes the socket in its next turn

    async def _until(self, wanted: bytes) -> float:
        self._wanted = wanted
        self._came = asyncio.get_running_loop().create_future()
        if self._is_there():
            return time.monotonic()
        return await self._came

    def _is_there(self) -> bool:
        if self._wanted:
            return self._wanted in self.bytes
        head, end, body = self.bytes.partition(b"\r\n\r\n")
        if not end:
            return False
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if length.strip():
            return len(body) >= int(length)
        return b" 304 " in head[:16] or body.endswith(b"0\r\n\r\n")


async def rate(port: int, request: bytes, *, connections: int, for_s: float) -> float:
    """Answers a second over so many connections, each with one request on its way at a time."""
    clients = [await Client.connected(port) for _ in range(connections)]
    ends_at, done = time.monotonic() + for_s, 0

    async def one(client: Client) -> None:
        nonlocal done
        while time.monotonic() < ends_at:
            client.send(request)
            await client.answer()
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(one(client) for client in clients))
    took_s = time.monotonic() - began
    for client in clients:
        await client.close()
    return done / took_s


async def times(
    asked: Sequence[tuple[int, bytes]], rounds: int, *, for_s: float = 60.0
) -> list[list[float]]:
    """Milliseconds of each (port, request), in turns that begin with another one each round, one
    request at a time; fewer rounds where these take longer than `for_s`."""
    ends_at = time.monotonic() + for_s
    clients = {port: await Client.connected(port) for port in {port for port, _ in asked}}
    found: list[list[float]] = [[] for _ in asked]
    for number in range(rounds):
        if time.monotonic() > ends_at:
            break
        for step in range(len(asked)):
            at = (number + step) % len(asked)
            port, request = asked[at]
            began = time.monotonic()
            clients[port].send(request)
            found[at].append((await clients[port].answer() - began) * 1000)
            assert b" 200 " in clients[port].bytes[:16], clients[port].bytes[:300]
    for client in clients.values():
        await client.close()
    return found
