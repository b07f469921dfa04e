"""One service: a line for each of its environments."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.access import queries as access
from confhub.core.actors import Actor
from dashboard import shell
from dashboard.pages import overview


@require_safe
@shell.page
def service(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    return render(request, "dashboard/service.html", _drawn(who, service))


@require_safe
@shell.page
def part(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    return render(request, "dashboard/parts/service.html", _drawn(who, service))


def _drawn(who: Actor, slug: str) -> dict[str, Any]:
    position = shell.live_from()
    found = access.service_for(who, "see", slug)
    scopes = access.scopes_of(found)
    return {
        "service": found,
        "lines": overview.lines_of(scopes),
        "kinds": overview.STREAM_KINDS,
        "position": position,
        "streams": " ".join(["catalog", *(scope.stream for scope in scopes)]),
    }
