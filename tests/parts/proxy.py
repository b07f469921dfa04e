"""A TCP proxy on loopback that can cut connections, refuse them, and swallow one direction."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

CHUNK_BYTES = 64 * 1024


class TcpProxy:
    """Forwards to 127.0.0.1:`target_port`, until told otherwise. Its own thread runs the loop.

    Swallowed bytes are gone, so `heal` cuts what was connected meanwhile: like a broken path that is
    replaced by a working one, and unlike a mere delay.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.swallows_answers = False  # what the server says is lost; what it is told arrives
        self.swallows_requests = False
        self.refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> "TcpProxy":
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._run(self._cut())

    def heal(self) -> None:
        self.swallows_answers = self.swallows_requests = self.refuses = False
        self.cut()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _stop(self) -> None:
        self._server.close()
        await self._cut()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)  # the loop closes the sockets in its next round

    async def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        if self.refuses:
            answers.transport.abort()
            return
        try:
            server, requests = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            answers.transport.abort()
            return
        self._writers |= {answers, requests}
        await asyncio.gather(
            self._pump(client, requests, "swallows_requests"),
            self._pump(server, answers, "swallows_answers"),
        )

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, swallow: str
    ) -> None:
        try:
            while chunk := await source.read(CHUNK_BYTES):
                if not getattr(self, swallow):
                    sink.write(chunk)
                    await sink.drain()
        except OSError:
            pass  # cut, or gone: the other side is told below
        finally:
            if not self.swallows_answers:  # a black hole does not tell that somebody hung up
                sink.close()
                self._writers.discard(sink)
