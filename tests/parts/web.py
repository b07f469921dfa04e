"""uvicorn with ConfHub's ASGI application in a thread of the test process, on the test's own database."""

import socket
import ssl
import threading
from typing import Any

import uvicorn
from django.db import connections

from tests.parts.servers import wait_until

# For httpx's `verify`: no TLS is spoken here, and reading every authority takes longer than the call.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class DoorCount:
    """Django's handler, which counts what goes to it by path."""

    def __init__(self, django: Any) -> None:
        self._django = django
        self.calls: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope["path"])
        await self._django(scope, receive, send)

    def around(self, request: Any, response: Any) -> Any:
        return self._django.around(request, response)


class WebThread:
    """Listens on a loopback port from `start` to `stop`. `django.calls`: what took no lane.

    A request with the header `X-Door: django` is led past the lanes.
    """

    def __init__(self) -> None:
        from confhub.api.lanes.front import Lanes
        from confhub.asgi import OneHop

        self.django = DoorCount(OneHop())
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._lanes = Lanes(self.django)
        config = uvicorn.Config(
            self._app, interface="asgi3", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=3,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        led_past = (b"x-door", b"django") in scope["headers"]
        await (self.django if led_past else self._lanes)(scope, receive, send)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
        connections.close_all()

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self._server.started, what="uvicorn in a thread")

    def stop(self) -> None:
        from confhub.api.lanes import heads

        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        heads.rest()  # its connection would be in the way of removing the test's database
        assert not self._thread.is_alive()
