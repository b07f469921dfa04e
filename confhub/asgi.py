"""The ASGI application: pages and REST over HTTP, live pages over one WebSocket a tab."""

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

from confhub.env import name_settings_module

name_settings_module()
_http = get_asgi_application()  # loads the applications, so it comes before what imports models

from dashboard.live.routing import websocket_urlpatterns  # noqa: E402  # see the line above
from dashboard.live.origin import SameOriginOnly  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": _http,
        "websocket": SameOriginOnly(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
