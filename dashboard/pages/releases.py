"""The history of a service in an environment, and one release of it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.access.policies import NotFound
from confhub.core.actors import Actor
from confhub.publishing import queries as publishing
from confhub.releases import images, queries
from confhub.releases.diff import diff
from confhub.releases.entries import answered
from dashboard import changes, shell, values
from dashboard.pages.where import frame

SHOWN = 30  # releases on one page


@require_safe
@shell.page
def releases(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    return render(request, "dashboard/releases.html", _listed(request, who, service, environment))


@require_safe
@shell.page
def part(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    context = _listed(request, who, service, environment)
    return render(request, "dashboard/parts/releases.html", context)


@require_safe
@shell.page
def release(
    request: HttpRequest, who: Actor, service: str, environment: str, number: int
) -> HttpResponse:
    """`against=live` compares with the newest release, else with the one before."""
    scope, _, context = frame(who, "see", service, environment, tab="releases")
    found = queries.release_for(who, "see", scope, number)
    against = "live" if request.GET.get("against") == "live" else "previous"
    older, newer = _sides(who, scope, found, against)
    drawn = changes.drawn(older.shown if older else {}, newer.shown)
    snapshot = [(key, values.shown(answered(entry))) for key, entry in sorted(found.shown.items())]
    return render(
        request,
        "dashboard/release.html",
        context
        | {
            "release": found,
            "publication": publishing.publication_of(found),
            "is_live": found.number == scope.head,
            "offers": images.offers_beside(found),
            "against": against,
            "older": older,
            "newer": newer,
            "changes": drawn,
            "counts": changes.counts(drawn),
            "snapshot": snapshot,
        },
    )


@require_safe
@shell.page
def publication_part(
    request: HttpRequest, who: Actor, service: str, environment: str, number: int
) -> HttpResponse:
    """Where the release is on its way into etcd."""
    scope, _, context = frame(who, "see", service, environment, tab="releases")
    found = queries.release_for(who, "see", scope, number)
    context |= {"release": found, "publication": publishing.publication_of(found)}
    return render(
        request,
        "dashboard/parts/release_facts.html",
        context | {"is_live": found.number == scope.head, "offers": images.offers_beside(found)},
    )


def _sides(who: Actor, scope: Any, found: Any, against: str) -> tuple[Any | None, Any]:
    """(older, newer): the change that this release made, or what has changed since it."""
    if against == "live":
        return found, queries.head_of(scope)
    if found.number == 1:
        return None, found
    try:
        return queries.release_for(who, "see", scope, found.number - 1), found
    except NotFound:
        return None, found


def _listed(request: HttpRequest, who: Actor, service: str, environment: str) -> dict[str, Any]:
    scope, _, context = frame(who, "see", service, environment, tab="releases")
    asked = request.GET.get("before", "")
    before = int(asked) if asked.isdecimal() and len(asked) < 10 else None
    found = queries.releases_of(scope, before=before, limit=SHOWN + 1)
    shown = found[:SHOWN]
    published = publishing.publications_of(shown)
    lines = []
    for at, each in enumerate(shown):
        older = found[at + 1] if at + 1 < len(found) else None
        drawn = diff(older.shown if older else {}, each.shown)
        lines.append(
            {
                "release": each,
                "publication": published.get(each.pk),
                "counts": changes.counts(drawn),
                "keys": [change.key for change in drawn[:4]],
                "more_keys": max(0, len(drawn) - 4),
            }
        )
    return context | {
        "lines": lines,
        "before": before,
        "next_before": shown[-1].number if len(found) > SHOWN else None,
    }
