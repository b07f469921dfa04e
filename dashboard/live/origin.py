"""Refuse a handshake from another site: cookies travel with it, and no CSRF token does.

`AllowedHostsOriginValidator` compares host names only and accepts everything where ALLOWED_HOSTS is
`*`. Here scheme, host and port must all be the page's own.
https://cheatsheetseries.owasp.org/cheatsheets/WebSocket_Security_Cheat_Sheet.html
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.http.request import validate_host

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]  # fmt: skip

DEFAULT_PORTS = {"http": "80", "https": "443"}


class SameOriginOnly:
    """An ASGI application that lets a handshake through only from our own pages."""

    def __init__(self, inner: Application) -> None:
        self.inner = inner

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if is_same_origin(scope):
            await self.inner(scope, receive, send)
            return
        await receive()  # the connect; an answer before it is a protocol error
        await send({"type": "websocket.close", "code": 4403})  # before accept: the server says 403


def is_same_origin(scope: Scope) -> bool:
    """True when the handshake's Origin is the address it was sent to, or one that CSRF trusts."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope.get("headers", ()):
        headers.setdefault(name.lower(), []).append(value)
    origins, hosts = headers.get(b"origin", []), headers.get(b"host", [])
    if len(origins) != 1 or len(hosts) != 1:  # a second one is an attempt to confuse somebody
        return False
    origin, host = origins[0].decode("latin-1"), hosts[0].decode("latin-1")
    if not validate_host(_without_port(host), settings.ALLOWED_HOSTS):
        return False
    own = _normal(f"{_scheme(scope, headers)}://{host}")
    trusted = {_normal(each) for each in settings.CSRF_TRUSTED_ORIGINS if "*" not in each}
    return _normal(origin) in {own, *trusted}


def _scheme(scope: Scope, headers: dict[bytes, list[bytes]]) -> str:
    """The page's scheme; behind a proxy that ends TLS it stands in the header we were told to trust."""
    forwarded = headers.get(b"x-forwarded-proto", [])
    if settings.CONFHUB_HTTPS and forwarded == [b"https"]:
        return "https"
    return "https" if scope.get("scheme") in ("wss", "https") else "http"


def _normal(origin: str) -> str:
    """The origin in small letters and without the scheme's own port, as browsers write it."""
    scheme, _, rest = origin.lower().partition("://")
    return f"{scheme}://{rest.removesuffix(':' + DEFAULT_PORTS.get(scheme, ''))}"


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host
