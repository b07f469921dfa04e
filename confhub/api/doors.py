"""What happens to a request before ninja sees it, and to the few answers that ninja writes itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver

from confhub.api import problems


def guarded(patterns: Sequence[URLResolver | URLPattern]) -> list[URLPattern]:
    """`patterns` with every view behind `_refusal` and `_after`, without ninja's empty home."""
    calls = [each for each in patterns if isinstance(each, URLPattern) and each.name != "api-root"]
    for pattern in calls:
        pattern.callback = _behind_door(pattern.callback)
    return calls


def _behind_door(view: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(view):

        async def waiting(request: HttpRequest, **parts: Any) -> HttpResponse:
            if refused := _refusal(request):
                return refused
            with _head_as_get(request):
                return _after(request, await view(request, **parts))

        door: Callable[..., Any] = markcoroutinefunction(waiting)
    else:

        def direct(request: HttpRequest, **parts: Any) -> HttpResponse:
            if refused := _refusal(request):
                return refused
            with _head_as_get(request):
                return _after(request, view(request, **parts))

        door = direct
    door.csrf_exempt = True  # type: ignore[attr-defined]  # auth.Session checks it, where a session is used
    return door


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if "\x00" in request.path:  # PostgreSQL refuses to look for it
        return problems.no_such_call(request)
    # Under ASGI Django bounds a body by its declared length only.
    if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
        return problems.length_required(request)
    return None


@contextmanager
def _head_as_get(request: HttpRequest) -> Iterator[None]:
    """HEAD is GET whose body the server leaves out (RFC 9110 section 9.3.2); ninja knows GET."""
    asked = request.method
    if asked == "HEAD":
        request.method = "GET"
    try:
        yield
    finally:
        request.method = asked


def _after(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if response.status_code == 405:
        return problems.method_not_allowed(request, response["Allow"])
    return response


def unknown(request: HttpRequest, rest: str = "") -> HttpResponse:
    """The answer at every address below /api that is no call's."""
    return problems.no_such_call(request)


unknown.csrf_exempt = True  # type: ignore[attr-defined]  # nothing is there that could be changed
