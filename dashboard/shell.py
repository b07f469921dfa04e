"""What every page has: who looks, which theme, where one is, and from which position it is live."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from confhub.access import queries as access
from confhub.access.people import whom_to_ask
from confhub.access.policies import NotAllowed, NotFound, may
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.events import queries as events
from confhub.publishing import asked
from confhub.webhooks import queries as webhooks

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "theme"

Arguments = ParamSpec("Arguments")
View = Callable[Concatenate[HttpRequest, Arguments], HttpResponse]
Page = Callable[Concatenate[HttpRequest, Actor, Arguments], HttpResponse]


def context(request: HttpRequest) -> dict[str, Any]:
    """For every template: {"theme": "dark", "now": "…Z", "request_id": "…", "sees_people": True,
    "to_decide": 2, "webhooks_off": […]}, the last two only where a template asks for them."""
    theme = request.COOKIES.get(THEME_COOKIE, "auto")
    who: Actor | None = getattr(request, "who", None)
    return {
        "theme": theme if theme in THEMES else "auto",
        "now": clock.stamp(clock.now()),
        "request_id": getattr(request, "request_id", ""),
        "sees_people": who is not None and may(who, "see", "people"),
        "to_decide": lambda: len(asked.waiting_for(who)) if who is not None else 0,
        "webhooks_off": lambda: webhooks.switched_off_for(who) if who is not None else [],
    }


def page(view: Page[Arguments]) -> View[Arguments]:
    """A page for people who are signed in; it gets their actor after the request.

    What they may not see becomes the 404 page, what they may not do the 403 page, both with the
    sentence of the refusal. A part that a script asks for is refused plainly, because a sign-in
    page inside another page helps nobody.
    """

    @wraps(view)
    def guarded(
        request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> HttpResponse:
        if not request.user.is_authenticated:
            if request.headers.get("X-Part"):
                return HttpResponse("Sign in.", status=401, content_type="text/plain")
            return redirect_to_login(request.get_full_path())
        who = access.actor_of_user(request.user, getattr(request, "request_id", ""))
        request.who = who  # type: ignore[attr-defined]  # for `context`
        try:
            response = view(request, who, *args, **kwargs)
        except NotAllowed as error:
            return refused(request, error.status, whom_to_ask(error))
        except NotFound as error:
            return refused(request, error.status, error.detail)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return guarded


def refused(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """The page that says what is not there or not allowed, and what to do."""
    template = "404.html" if status == 404 else "403.html"
    return render(request, template, {"detail": detail}, status=status)


def live_from() -> int:
    """The position to render into a page. Ask before the rows are read: what happens in between
    is then told twice, which changes nothing, instead of never."""
    return events.newest_position()
