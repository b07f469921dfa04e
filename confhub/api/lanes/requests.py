"""The HTTP of one request in a lane: its headers, and Django's own middleware around its answer."""

import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja.errors import AuthenticationError

from confhub.access.queries import token_digest
from confhub.access.standing import Credential
from confhub.api.auth import bearer_of
from confhub.api.interface import api
from confhub.core.actors import Actor
from confhub.core.requests import request_id_of

Scope: TypeAlias = Any  # a mapping; Django and Channels name other types for it
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

KEPT = 200  # different hosts and schemes; behind one proxy there are two or three
_OWN = frozenset({b"content-type", b"content-length", b"x-request-id"})


class Django(Protocol):
    """The ASGI handler that everything else goes to."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def around(self, request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
        """`response` as the whole middleware hands it on."""
        ...


def header(scope: Scope, name: bytes) -> str | None:
    """The header's value, several joined with commas as WSGI does; None where it was not sent."""
    values = [held for each, held in scope["headers"] if each == name]
    return b",".join(values).decode("latin-1") if values else None


def request_id_in(scope: Scope) -> str:
    return request_id_of(header(scope, b"x-request-id") or "")


def request_of(scope: Scope, request_id: str) -> ASGIRequest:
    """The request as Django would see it, without a body. Raises UnicodeDecodeError."""
    request = ASGIRequest(scope, io.BytesIO())
    request.META["HTTP_X_REQUEST_ID"] = request_id
    request.request_id = request_id  # type: ignore[attr-defined]  # as RequestIdMiddleware does
    return request


def sign_in(request: HttpRequest) -> tuple[Actor, Credential]:
    """Who asks, by the interface's own rules, and with what they signed in.

    Raises what those rules raise. Looks at rows.
    """
    SessionMiddleware(_nothing).process_request(request)
    AuthenticationMiddleware(_nothing).process_request(request)
    for rule in api.auth:  # type: ignore[union-attr]  # interface.made() gives it a list
        who = rule(request)
        if who is not None:
            request.auth = who  # type: ignore[attr-defined]  # as ninja does
            return who, _credential(request)
    raise AuthenticationError


def _credential(request: HttpRequest) -> Credential:
    token = bearer_of(request)
    if token is not None:
        return Credential("token", token_digest(token))
    return Credential("session", str(request.session.session_key))


def _nothing(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Wardrobe:
    """What Django's middleware puts on an answer: security headers, their policy, the request's id.

    For a request without cookies that depends on its host and scheme alone, so it is found out once
    for each, by sending an empty answer through the middleware itself.
    """

    def __init__(self, django: Django) -> None:
        self._django = django
        self._kept: OrderedDict[tuple[bytes | None, ...], Headers] = OrderedDict()

    def dressed(self, scope: Scope, request_id: str, own: Headers) -> Headers | None:
        """`own` headers and the middleware's; None where it would answer something else (a host
        that is not allowed), or where cookies are there that it may look at."""
        key = _key_of(scope)
        if key is None:
            return None
        worn = self._kept.get(key)
        if worn is None:
            worn = self._found(scope, request_id)
            if worn is None:
                return None
            self._kept[key] = worn
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [*own, *worn, (b"x-request-id", request_id.encode())]

    def _found(self, scope: Scope, request_id: str) -> Headers | None:
        response = self._django.around(request_of(scope, request_id), HttpResponse())
        if response.status_code != 200:
            return None
        return [each for each in headers_of(response) if each[0] not in _OWN]

    def whole(self, scope: Scope, request_id: str, response: HttpResponse) -> HttpResponse:
        """`response` through the middleware itself, for whatever request."""
        worn = self._django.around(request_of(scope, request_id), response)
        assert isinstance(worn, HttpResponse)  # noqa: S101  # none of it makes a stream of an answer
        return worn


def _key_of(scope: Scope) -> tuple[bytes | None, ...] | None:
    host = proto = None
    for name, held in scope["headers"]:
        if name == b"cookie":
            return None
        if name == b"host":
            host = held
        elif name == b"x-forwarded-proto":
            proto = held
    return host, proto, scope.get("scheme", "http").encode()


def headers_of(response: HttpResponseBase) -> Headers:
    """As Django's handler sends them."""
    found = [
        (name.lower().encode("ascii"), held.encode("latin-1")) for name, held in response.items()
    ]
    found += [
        (b"set-cookie", cookie.output(header="").strip().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return found


async def send_whole(send: Send, response: HttpResponse) -> None:
    """A response that is complete."""
    await send_start(send, response.status_code, headers_of(response))
    await send({"type": "http.response.body", "body": response.content})


async def send_start(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def until_gone(receive: Receive) -> None:
    """Return once the client has gone; what it sends until then is read and forgotten."""
    while (await receive())["type"] != "http.disconnect":
        pass
