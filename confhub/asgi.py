"""The ASGI application: pages and REST over HTTP, live pages over one WebSocket a tab."""

import sys

import django
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from confhub.env import SWITCH_S, name_settings_module

sys.setswitchinterval(SWITCH_S)
name_settings_module()
django.setup(set_prefix=False)  # loads the applications, so it comes before what imports models

from confhub.api.lanes.front import Lanes  # noqa: E402  # see the line above
from dashboard.live.origin import SameOriginOnly  # noqa: E402
from dashboard.live.routing import websocket_urlpatterns  # noqa: E402


class OneHop(ASGIHandler):
    """Middleware and view in one thread, because some of the middleware is synchronous and each
    change between the two worlds costs a thread hop: a small request takes half as long so."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    def around(self, request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
        """`response` as the whole middleware hands it on: what a lane beside Django answers."""
        request.made_answer = response  # type: ignore[attr-defined]  # HttpRequest is open for this
        return self.get_response(request)

    def _get_response(self, request: HttpRequest) -> HttpResponseBase:
        made: HttpResponse | None = getattr(request, "made_answer", None)
        # The end of the chain of middleware, which django-stubs does not know.
        return made if made is not None else super()._get_response(request)  # type: ignore[misc]

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


application = ProtocolTypeRouter(
    {
        "http": Lanes(OneHop()),
        "websocket": SameOriginOnly(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
