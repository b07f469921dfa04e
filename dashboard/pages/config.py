"""The editor: every key with its value as the draft has it."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.core.actors import Actor
from confhub.releases import queries as releases
from dashboard import rows, shell
from dashboard.pages.where import frame
from dashboard.values import KINDS

DRAWN_BY_SERVER = 200  # keys; the page's script draws more of them, a filter finds the others


@require_safe
@shell.page
def config(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    scope, draft, context = frame(who, "see", service, environment, tab="config")
    entries = releases.written_entries(scope)
    wanted = request.GET.get("q", "").strip()[:120]
    found = rows.rows(entries, draft, wanted)
    return render(
        request,
        "dashboard/config.html",
        context
        | {
            "rows": found[:DRAWN_BY_SERVER],
            "hidden": max(0, len(found) - DRAWN_BY_SERVER),
            "total": len({*entries, *(change.key for change in draft.changes)}),
            "q": wanted,
            "model": rows.model(entries, draft),
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
    return JsonResponse(rows.model(releases.written_entries(scope), draft))
