"""Who is behind a request: a program with a token, or a browser's session.

A request with an Authorization header is judged by it alone, so a wrong token is never helped by a
cookie. A session's writes need the CSRF token; a bearer's do not, because no browser adds it by
itself.
"""

from typing import ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from ninja.security import APIKeyCookie, HttpBearer

from confhub.access import last_use
from confhub.access import queries as access
from confhub.access.policies import NotSignedIn, require_active
from confhub.api import limits
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError


class CsrfFailed(ConfHubError):
    """A change by session without the session's CSRF token."""

    code: ClassVar[str] = "csrf.failed"
    status: ClassVar[int] = 403


class Bearer(HttpBearer):
    """`Authorization: Bearer TOKEN`."""

    def __call__(self, request: HttpRequest) -> Actor | None:
        if request.headers.get("Authorization") is None:
            return None
        token = bearer_of(request)
        if token is None:
            raise NotSignedIn("The Authorization header is not 'Bearer' and a token.")
        return self.authenticate(request, token)

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        # Before the token is looked for, so that a program gone wild costs the database nothing.
        limits.require(limits.of_token(access.token_digest(token)))
        now = clock.now()
        held = access.token_row(token, now=now) if token.isascii() else None
        if held is None:
            limits.by_address(request)
            raise access.refusal_of(token, now=now)
        actor = access.actor_of_row(held, _request_id(request))
        require_active(actor, "call", "anything")
        address = str(request.META.get("REMOTE_ADDR") or "")  # behind a proxy uvicorn puts it right
        last_use.touch(held.pk, held.last_used_at, address=address, now=now)
        return actor


def bearer_of(request: HttpRequest) -> str | None:
    """The token that the request came with; None where it came with none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Session(APIKeyCookie):
    """The browser's session; a change needs `X-CSRFToken` with the cookie's value."""

    param_name: str = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Actor | None:
        if self.param_name not in request.COOKIES:
            return None  # nobody, rather than somebody without a CSRF token
        if not request.user.is_authenticated:
            return None
        if not _csrf_token_fits(request):
            raise CsrfFailed(
                "A change by a signed-in browser needs the X-CSRFToken header. Load the page "
                "again, or use a bearer token."
            )
        limits.require(limits.of_person(request.user.pk))
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, _: str | None) -> Actor:
        return access.actor_of_user(request.user, _request_id(request))


class _Csrf(CsrfViewMiddleware):
    """Django's check with a short answer in place of the page that people get."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseForbidden:
        return HttpResponseForbidden(reason)


def _csrf_token_fits(request: HttpRequest) -> bool:
    # Every view of ninja's is exempt from the middleware, which has looked at this request already.
    def view(_: HttpRequest) -> HttpResponseForbidden:
        return HttpResponseForbidden()

    check = _Csrf(view)
    request.csrf_processing_done = False  # type: ignore[attr-defined]  # the middleware's own mark
    check.process_request(request)
    return check.process_view(request, view, (), {}) is None


def _request_id(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", ""))


def who_asks(request: HttpRequest) -> Actor:
    """The actor that the classes above found; every call but the documents' has one."""
    actor: Actor = request.auth  # type: ignore[attr-defined]  # set by ninja
    return actor
