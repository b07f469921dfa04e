"""ConfHub's web application, and beside it in the same process what does nothing: `benchmarks.gates`.

/nothing/django   a Django async view that does nothing, without any middleware
/nothing/asgi     an ASGI application that does nothing
"""

from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from confhub.asgi import application


async def nothing(_: HttpRequest) -> HttpResponse:
    return HttpResponse(b"")


urlpatterns = [path("nothing/django", nothing), path("", include("confhub.urls"))]
settings.ROOT_URLCONF = __name__  # in this process alone, and before the first request

_ours, settings.MIDDLEWARE = settings.MIDDLEWARE, []
_django: Any = ASGIHandler()
settings.MIDDLEWARE = _ours


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["path"] == "/nothing/asgi":
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "http" and scope["path"] == "/nothing/django":
        await _django(scope, receive, send)
    else:
        await application(scope, receive, send)
