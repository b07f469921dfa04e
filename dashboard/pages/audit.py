"""The audit: who did what to which thing, narrowed, exported, and whether its chain fits."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.access import audit as door
from confhub.core.actors import Actor
from confhub.events import chain, export
from dashboard import shell

SHOWN = 100  # entries on one page
EXPORTED = 50_000  # entries of one download; manage.py export_audit writes all
CHECKED = 1000  # newest entries whose chain is computed anew for the page
FIELDS = ("person", "target", "action", "since", "until")


@require_safe
@shell.page
def audit(request: HttpRequest, who: Actor) -> HttpResponse:
    asked = _asked(request)
    before = request.GET.get("before", "")
    problem, rows = "", []
    try:
        wanted = _wanted(asked)
    except door.BadMoment as error:
        problem = error.detail
    else:
        below = int(before) if before.isdecimal() and len(before) < 10 else None
        rows = door.entries_for(who, wanted, before=below, limit=SHOWN + 1)
    shown = rows[:SHOWN]
    context = {
        "section": "audit",
        "entries": shown,
        "asked": asked,
        "problem": problem,
        "is_narrowed": any(asked.values()),
        "before": before,
        "next_before": shown[-1].position if len(rows) > SHOWN else None,
        "reads_everything": door.reads_everything(who),
        "chain": chain.verify(last=CHECKED) if door.reads_everything(who) else None,
        "exported": EXPORTED,
    }
    return render(request, "dashboard/audit.html", context, status=422 if problem else 200)


@require_safe
@shell.page
def download(request: HttpRequest, who: Actor, format: str) -> HttpResponse:
    """The newest entries that fit the filter, newest first, as a file."""
    try:
        wanted = _wanted(_asked(request))
    except door.BadMoment as error:
        return HttpResponse(error.detail, status=422, content_type="text/plain; charset=utf-8")
    rows = door.entries_for(who, wanted, limit=EXPORTED)
    kind: export.Format = "csv" if format == "csv" else "jsonl"
    response = HttpResponse(
        "".join(export.lines(rows, kind)), content_type=export.MEDIA_TYPES[kind]
    )
    response["Content-Disposition"] = f'attachment; filename="audit.{kind}"'
    return response


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET.get(name, "").strip()[:200] for name in FIELDS}


def _wanted(asked: dict[str, str]) -> door.Wanted:
    """Raises BadMoment."""
    return door.Wanted(
        person=asked["person"],
        target=asked["target"],
        action=asked["action"],
        since=door.moment_of(asked["since"], field="since"),
        until=door.moment_of(asked["until"], field="until"),
    )
