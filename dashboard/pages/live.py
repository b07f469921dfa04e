"""A service in an environment, live: the newest release on its way through its instances."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.core import clock
from confhub.core.actors import Actor
from confhub.fleet import queries as fleet
from confhub.publishing import queries as publishing
from confhub.releases import queries as releases
from dashboard import shell, tiles
from dashboard.pages.where import frame

DRAWN_BY_SERVER = 150  # tiles; the page's script draws the others from the same data


@require_safe
@shell.page
def live(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    scope, _, context = frame(who, "see", service, environment, tab="live")
    return render(
        request, "dashboard/live.html", context | _head(scope) | _grid(scope) | _how_to(request)
    )


@require_safe
@shell.page
def head_part(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """The newest release and where it is, drawn again when it moves."""
    scope, _, context = frame(who, "see", service, environment, tab="live")
    return render(request, "dashboard/parts/release_head.html", context | _head(scope))


@require_safe
@shell.page
def grid_part(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """All instances, for a page that missed too much or may have no socket."""
    scope, _, context = frame(who, "see", service, environment, tab="live")
    return render(request, "dashboard/parts/grid.html", context | _grid(scope) | _how_to(request))


def _head(scope: Any) -> dict[str, Any]:
    release = releases.head_of(scope)
    publication = publishing.publication_of(release) if release else None
    return {"release": release, "publication": publication}


def _grid(scope: Any) -> dict[str, Any]:
    found = fleet.instances_of(scope)
    drawn = tiles.drawn_all(found, scope.head)
    return {
        "tiles": drawn[:DRAWN_BY_SERVER],
        "more": len(drawn) - DRAWN_BY_SERVER,
        "all_tiles": found,
        "total": len(found),
        "alive": sum(tile["state"] != "gone" for tile in drawn),
        "counts": tiles.counts(drawn),
        "head": scope.head,
        "blank": BLANK,
        "fresh": fleet.freshness(now=clock.now()),
    }


def _how_to(request: HttpRequest) -> dict[str, Any]:
    """What the snippets need to be right where they are pasted."""
    return {
        "etcd_endpoints": ",".join(settings.ETCD_ENDPOINTS),
        "etcd_prefix": settings.ETCD_PREFIX,
        "base_url": request.build_absolute_uri("/").rstrip("/"),
    }


# What the <template> of a tile is drawn from; the script fills it for instances that appear.
BLANK: dict[str, Any] = {
    "id": "", "name": "", "host": "", "where": "", "state": "waiting", "tone": "off",
    "icon": "dots", "word": "Waiting", "rank": 1, "release_line": "", "failure": "", "pid": None,
    "started_at": None, "restarts": None, "image": "", "health": "unknown", "problems": [],
    "seen_at": None, "gone_at": None,
    "ticks": [
        {"stage": stage, "word": tiles.STATES[stage][2], "at": None, "took": ""}
        for stage in tiles.STAGES
    ],
}  # fmt: skip
