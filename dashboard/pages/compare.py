"""Two to six environments, drafts, releases or instances side by side."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from confhub.access import queries as access
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.fleet.sides import side_of
from confhub.releases.comparing import Line, Side, check_count, matrix
from dashboard import changes, paging, shell
from dashboard.pages.all_environments import one_line

NAMES = "abcdef"
LINES = 100  # keys on one page
SUGGESTED = 300  # names that the fields offer


@require_safe
@shell.page
def compare(request: HttpRequest, who: Actor) -> HttpResponse:
    """`a` to `f` name the sides; `show=all` draws equal keys as well."""
    asked = {name: request.GET.get(name, "").strip()[:400] for name in NAMES}
    everything = request.GET.get("show") == "all"
    context: dict[str, Any] = {
        "section": "compare",
        "fields": [{"name": name, "value": asked[name], "problem": ""} for name in NAMES],
        "everything": everything,
        "suggested": _suggested(who),
        "sides": [],
    }
    named = {name: word for name, word in asked.items() if word}
    if not named:
        return render(request, "dashboard/compare.html", context)
    sides = []
    for each in context["fields"]:
        if each["value"]:
            try:
                sides.append(side_of(who, each["value"], field=each["name"]))
            except ConfHubError as error:
                each["problem"] = error.detail
    try:
        check_count(len(named))
    except ConfHubError as error:
        context["problem"] = error.detail
    if len(sides) < len(named) or "problem" in context:
        return render(request, "dashboard/compare.html", context, status=422)
    context |= _compared(request, sides, everything=everything)
    return render(request, "dashboard/compare.html", context)


def _compared(request: HttpRequest, sides: list[Side], *, everything: bool) -> dict[str, Any]:
    lines = matrix(sides, everything=everything)
    part = paging.part(lines, request.GET.get("page", ""), size=LINES)
    found: dict[str, Any] = {
        "sides": sides,
        "part": part,
        "differing": sum(line.differs for line in lines),
    }
    if len(sides) == 2 and not everything:
        shown = [line.key for line in part.rows]
        drawn = changes.drawn(sides[0].entries, sides[1].entries, only=set(shown))
        return found | {"changes": drawn, "counts": changes.counts(drawn)}
    return found | {"rows": [(line, _cells(sides, line)) for line in part.rows]}


def _cells(sides: list[Side], line: Line) -> list[dict[str, str]]:
    found = []
    for side, entry in zip(sides, line.entries, strict=True):
        kind, text = one_line(entry)
        found.append({"side": side.title, "kind": kind, "text": text})
    return found


def _suggested(who: Actor) -> list[str]:
    names = [str(scope) for scope in access.all_scopes(who)[:SUGGESTED]]
    return [word for name in names for word in (name, f"{name}/draft")]
