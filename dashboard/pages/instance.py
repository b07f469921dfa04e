"""One instance: what it is, what it runs, and how it got there."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from confhub.core import clock
from confhub.core.actors import Actor
from confhub.fleet import actions as asks
from confhub.fleet import queries as fleet
from dashboard import shell, tiles
from dashboard.pages.where import frame


@require_safe
@shell.page
def instance(
    request: HttpRequest, who: Actor, service: str, environment: str, instance_id: str
) -> HttpResponse:
    context = _drawn(who, service, environment, instance_id)
    return render(request, "dashboard/instance.html", context)


@require_POST
@shell.page
def ask(
    request: HttpRequest, who: Actor, service: str, environment: str, instance_id: str
) -> HttpResponse:
    """Ask the instance's host to look again now, or to try once more what the instance refused."""
    scope, _, _ = frame(who, "publish", service, environment, tab="live")
    tile = fleet.tile_for(who, scope, instance_id)
    if request.POST.get("what") == "retry":
        asks.ask_to_retry(scope, instance_id, tile["host"], who=who, now=clock.now())
        messages.info(request, f"{tile['host']} was asked to try r{tile['target']} again.")
    else:
        asks.ask_to_look_again(tile["host"], who=who, now=clock.now())
        messages.info(request, f"{tile['host']} was asked to look again.")
    return redirect("instance", service, environment, instance_id)


@require_safe
@shell.page
def part(
    request: HttpRequest, who: Actor, service: str, environment: str, instance_id: str
) -> HttpResponse:
    context = _drawn(who, service, environment, instance_id)
    return render(request, "dashboard/parts/instance.html", context)


def _drawn(who: Actor, service: str, environment: str, instance_id: str) -> dict[str, Any]:
    scope, _, context = frame(who, "see", service, environment, tab="live")
    tile = fleet.tile_for(who, scope, instance_id)
    return context | {
        "tile": tiles.drawn(tile, scope.head),
        "head": scope.head,
        "fresh": fleet.freshness(now=clock.now()),
    }
