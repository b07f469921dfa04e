"""The editor: every key with its value as the draft has it."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.core.actors import Actor
from confhub.releases import queries as releases
from dashboard import hints, rows, shell
from dashboard.pages.where import frame
from dashboard.values import KINDS

DRAWN_BY_SERVER = 200  # keys; the page's script draws more of them, a filter finds the others


@require_safe
@shell.page
def config(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    scope, draft, context = frame(who, "see", service, environment, tab="config")
    entries, layers = releases.written_entries(scope), releases.layer_names(scope)
    wanted = request.GET.get("q", "").strip()[:120]
    known = hints.facts_of(scope)
    texts = hints.hints(known)
    found = rows.rows(entries, draft, wanted, layers, texts)
    present = {*entries, *(change.key for change in draft.changes)}
    return render(
        request,
        "dashboard/config.html",
        context
        | {
            "rows": found[:DRAWN_BY_SERVER],
            "hidden": max(0, len(found) - DRAWN_BY_SERVER),
            "total": len(present),
            "unset": hints.unset(known, present),
            "q": wanted,
            "model": rows.model(entries, draft, layers, texts),
            "kinds": KINDS,
            "blank": {
                "key": "",
                "status": "same",
                "word": "",
                "preview": "",
                "value": {"kind": "string"},
            },
        },
    )


@require_safe
@shell.page
def model(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """What the editor's script works on, as it is now."""
    scope, draft, _ = frame(who, "see", service, environment, tab="config")
    layers = releases.layer_names(scope)
    texts = hints.hints(hints.facts_of(scope))
    return JsonResponse(rows.model(releases.written_entries(scope), draft, layers, texts))
