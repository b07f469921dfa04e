"""Guards that a publish met: shown with a box each, and asked for once more."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from confhub.core.errors import ConfHubError
from confhub.releases.guards import Guard, GuardTripped

FIELD = "guard"  # the boxes' name
MAX_FIELDS = 1000  # that are sent once more; Django reads no more of a form either


def confirmed(request: HttpRequest) -> list[str]:
    """The codes that were ticked."""
    return request.POST.getlist(FIELD)[:20]


def asked(error: ConfHubError) -> list[Guard]:
    """One guard of each code that `error` asks about; [] where it is another refusal."""
    guards = error.guards if isinstance(error, GuardTripped) else []
    return list({guard.code: guard for guard in reversed(guards)}.values())[::-1]


def ask(request: HttpRequest, error: GuardTripped, *, back: str) -> HttpResponse:
    """The page that asks: the same form once more, with a box for each guard. For forms that are
    nothing but a button; where there is a form to draw, `asked` goes into it."""
    fields = [
        (name, value)
        for name, held in request.POST.lists()
        if name not in (FIELD, "csrfmiddlewaretoken")
        for value in held
    ]
    context: dict[str, Any] = {
        "detail": error.detail,
        "guards": asked(error),
        "can_be_confirmed": all(guard.can_be_confirmed for guard in error.guards),
        "fields": fields[:MAX_FIELDS],
        "back": back,
    }
    return render(request, "dashboard/ask_twice.html", context, status=error.status)
