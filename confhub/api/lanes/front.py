"""Which request takes a lane, and which goes to Django."""

import re

import structlog
from django.http import HttpResponse

from confhub.api import streams as wire
from confhub.api.interface import api
from confhub.api.lanes import gates, heads, hops, streams
from confhub.api.lanes.board import board
from confhub.api.lanes.looks import Seat
from confhub.api.lanes.requests import (
    Django,
    Receive,
    Scope,
    Send,
    Wardrobe,
    header,
    headers_of,
    request_id_in,
    request_of,
    send_start,
    send_whole,
)
from confhub.core.errors import ConfHubError

_PLACE = re.compile(r"/api/v1/services/([^/\0]+)/environments/([^/\0]+)/(config|convergence|watch)")


class Lanes:
    """An ASGI application for HTTP, in front of Django's."""

    def __init__(self, django: Django) -> None:
        self._django = django
        self._wardrobe = Wardrobe(django)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PLACE.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
        if found is None or scope["method"] not in ("GET", "HEAD"):
            await self._django(scope, receive, send)
            return
        service, environment, call = found.groups()
        if call == "config":
            done = await self._config(scope, send, service, environment)
        elif header(scope, b"transfer-encoding") is not None:
            done = False  # Django says what is wrong with it
        else:
            request_id = request_id_in(scope)
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                wait = self._convergence if call == "convergence" else self._watch
                done = await wait(scope, receive, send, service, environment, request_id)
        if not done:
            await self._django(scope, receive, send)

    async def _config(self, scope: Scope, send: Send, service: str, environment: str) -> bool:
        if scope["method"] != "GET":
            return False
        own = await heads.answer(scope, service, environment)
        headers = own and self._wardrobe.dressed(scope, request_id_in(scope), own)
        if not headers:
            return False
        await send_start(send, 304, headers)
        await send({"type": "http.response.body", "body": b""})
        return True

    async def _convergence(
        self, scope: Scope, receive: Receive, send: Send, service: str, environment: str,
        request_id: str,
    ) -> bool:  # fmt: skip
        try:
            response = await gates.answer(scope, receive, service, environment, request_id)
        except gates.ClientGone:
            return True
        except ConfHubError as error:
            response = api.on_exception(request_of(scope, request_id), error)
        if response is None:
            return False
        await self._send(scope, send, request_id, response)
        return True

    async def _watch(
        self, scope: Scope, receive: Receive, send: Send, service: str, environment: str,
        request_id: str,
    ) -> bool:  # fmt: skip
        try:
            begun = await hops.sign_ins.run(streams.begin, scope, service, environment, request_id)
            if isinstance(begun, HttpResponse):
                await self._send(scope, send, request_id, begun)
                return True
            seat = Seat(begun.credential, begun.scope_id, service, environment, sent=begun.sent)
            with board().seat(seat):
                response = self._wardrobe.whole(scope, request_id, wire.begun())
                del response["Content-Length"]
                if begun.credential.kind == "session":
                    response["Vary"] = "Cookie"
                await send_start(send, response.status_code, headers_of(response))
                if scope["method"] == "HEAD":
                    await send({"type": "http.response.body", "body": b""})
                else:
                    await streams.run(begun, seat, receive, send)
        except ConfHubError as error:
            response = api.on_exception(request_of(scope, request_id), error)
            await self._send(scope, send, request_id, response)
        return True

    async def _send(
        self, scope: Scope, send: Send, request_id: str, response: HttpResponse
    ) -> None:
        """In Django's clothes, from the wardrobe where that is quicker."""
        own = [*headers_of(response), (b"content-length", str(len(response.content)).encode())]
        headers = self._wardrobe.dressed(scope, request_id, own)
        if headers is None:
            await send_whole(send, self._wardrobe.whole(scope, request_id, response))
            return
        await send_start(send, response.status_code, headers)
        await send({"type": "http.response.body", "body": response.content})
