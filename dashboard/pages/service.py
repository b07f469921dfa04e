"""One service: a line for each of its environments."""

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from confhub.access import queries as access
from confhub.access.policies import allowed, may
from confhub.catalog import sets
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import layers
from confhub.publishing.consulting import with_hooks
from confhub.publishing.gates import Consent
from confhub.releases.guards import GuardTripped
from dashboard import confirmations, shell
from dashboard.pages import overview


@require_safe
@shell.page
def service(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    return render(request, "dashboard/service.html", _drawn(who, service))


@require_POST
@shell.page
def includes(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    """Let the service include the sets that are named, in that order, one a line or with commas."""
    found = access.service_for(who, "edit", service)
    slugs = re.split(r"[\s,]+", request.POST.get("includes", "").strip())
    try:
        sets.set_includes(found, [slug for slug in slugs if slug], who=who, now=clock.now())
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(
            request, "The sets are kept; each environment takes them with its next release."
        )
    return redirect("service", service)


@require_POST
@shell.page
def follow(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """act=hold, follow or take: what a scope does with layers that are published."""
    scope = access.scope_for(who, "publish", service, environment)
    act = request.POST.get("act")

    def take(consent: Consent) -> Any:
        message = request.POST.get("message", "").strip()
        return layers.take_layers(scope, message=message, consent=consent, who=who, now=clock.now())

    try:
        if act == "take":
            done = with_hooks(take, Consent(confirmed=confirmations.confirmed(request)))
            messages.success(
                request, f"{scope} is at r{done.release.number}, with its layers as they are now."
            )
        else:
            sets.hold_back(scope, act == "hold", who=who, now=clock.now())
            messages.success(
                request, f"{scope} {'holds back' if act == 'hold' else 'follows its layers'}."
            )
    except GuardTripped as error:
        return confirmations.ask(request, error, back=reverse("service", args=[service]))
    except ConfHubError as error:
        messages.error(request, error.detail)
    return redirect("service", service)


@require_safe
@shell.page
def part(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    return render(request, "dashboard/parts/service.html", _drawn(who, service))


def _drawn(who: Actor, slug: str) -> dict[str, Any]:
    position = shell.live_from()
    found = access.service_for(who, "see", slug)
    scopes = access.scopes_of(who, found)
    behind = layers.behind(scopes)
    return {
        "sets": sets.includes_of(found),
        "following": [(scope, scope.pk in behind, may(who, "publish", scope)) for scope in scopes],
        "may": allowed(who, found),
        "service": found,
        "lines": overview.lines_of(scopes),
        "kinds": overview.STREAM_KINDS,
        "position": position,
        "streams": " ".join(["catalog", *(scope.stream for scope in scopes)]),
    }
