"""A request's id, from the caller or made here, in every log line and in the answer.

It goes on from there: into the audit and the release (`Actor.request_id`), the rings for workers
(core.wake), the document in etcd and the receipts of instances (watchers.wire).
"""

import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from watchers.wire.documents import REQUEST_ID


def request_id_of(sent: str) -> str:
    """What the caller sent as its id where that may be kept, else one made here."""
    return sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


class RequestIdMiddleware:
    """Sets `request.request_id`, binds it for logs and answers with `X-Request-Id`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.headers.get("X-Request-Id", ""))
        request.request_id = request_id  # type: ignore[attr-defined]  # HttpRequest is open for this
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


def current() -> str:
    """The id of the request, or of the ring, that this thread works for; "" where there is none."""
    found = structlog.contextvars.get_contextvars().get("request_id", "")
    return found if isinstance(found, str) else ""
