"""One service in all its environments side by side, and one key set in several of them at once."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from confhub.access import queries as access
from confhub.access.policies import NotFound, allowed, may, require
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.releases.entries import answered
from confhub.releases.setting import set_in_each
from confhub.releases.side_by_side import Cell, KeyLine, Only, SideBySide, side_by_side
from dashboard import each_environment, paging, shell, values
from dashboard.each_environment import EnvironmentField
from watchers.wire.names import BadName, check_key

LINES = 100  # keys on one page


@dataclass(frozen=True)
class DrawnCell:
    """One key in one environment: "value", "secret" or "missing", and its text on one line."""

    environment: Any
    kind: str
    text: str
    drafted: bool
    layer: str


@require_safe
@shell.page
def all_environments(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    """`q` narrows by key and value, `show` is all, differs or missing, `page` counts from 1."""
    context, table = _frame(who, service)
    wanted = request.GET.get("q", "").strip()[:120]
    asked = request.GET.get("show", "all")
    only: Only = asked if asked in get_args(Only) else "all"  # type: ignore[assignment]  # one of its words
    lines = table.narrowed(wanted=wanted, only=only)
    part = paging.part(lines, request.GET.get("page", ""), size=LINES)
    context |= {
        "rows": [(line, _cells(table, line)) for line in part.rows],
        "part": part,
        "q": wanted,
        "show": only,
        "total": len(table.lines),
        "fields": each_environment.fields(who, table.columns, None),
        "kinds": each_environment.KINDS,
        "next_to": _next_to(context["scopes"]),
    }
    return render(request, "dashboard/all.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def key(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    """GET ?key=NAME shows it in every environment; POST saves what was changed into each draft."""
    context, table = _frame(who, service)
    name = (request.POST.get("key") or request.GET.get("key", "")).strip()[:140]
    line = table.line(name)
    fresh = each_environment.fields(who, table.columns, line)
    if request.method != "POST":
        return _answer(request, context, name, fresh, is_new=line is None)
    scopes = context["scopes"]
    if not any(may(who, "edit", scope) for scope in scopes):
        require(who, "edit", scopes[0])
    asked = each_environment.sent(fresh, request.POST)
    is_new = line is None
    try:
        check_key(name)
    except BadName as error:
        return _answer(request, context, name, asked.fields, is_new=is_new, problem=str(error), status=422)  # fmt: skip
    outcomes = set_in_each(name, asked.wishes, who=who, now=clock.now())
    saved = [each.scope.environment.slug for each in outcomes.values() if each.is_saved]
    if not asked.has_problem and len(saved) == len(outcomes):
        _say(request, name, saved)
        return redirect(f"{reverse('all-environments', args=[service])}?{urlencode({'q': name})}")
    _, after = _frame(who, service)
    now = each_environment.fields(who, after.columns, after.line(name))
    stands = each_environment.settled(now, asked, outcomes, name)
    status = max([422, *(each.error.status for each in outcomes.values() if each.error)])
    is_new = after.line(name) is None
    return _answer(request, context, name, stands, is_new=is_new, saved=saved, status=status)


def _frame(who: Actor, slug: str) -> tuple[dict[str, Any], SideBySide]:
    found = access.service_for(who, "see", slug)
    scopes = access.scopes_of(who, found)
    if not scopes:
        raise NotFound(f"{slug} runs in no environment that you may see.")
    context = {
        "service": found,
        "scopes": scopes,
        "may": allowed(who, found),
        "may_edit": any(may(who, "edit", scope) for scope in scopes),
    }
    return context, side_by_side(scopes)


def _next_to(scopes: list[Any]) -> list[tuple[str, str]]:
    """[("dev", "staging"), …]: from each environment to the one behind it."""
    slugs = [scope.environment.slug for scope in scopes]
    return list(pairwise(slugs))


def _cells(table: SideBySide, line: KeyLine) -> list[DrawnCell]:
    return [
        drawn_cell(column.scope.environment, cell)
        for column, cell in zip(table.columns, line.cells, strict=True)
    ]


def drawn_cell(environment: Any, cell: Cell) -> DrawnCell:
    kind, text = one_line(cell.entry)
    return DrawnCell(environment, kind, text, cell.drafted, cell.layer)


def one_line(entry: Any) -> tuple[str, str]:
    """("value", "200"), ("secret", "3f2a9c1b7d4e"), ("missing", "")"""
    if entry is None:
        return "missing", ""
    if entry.get("secret"):
        return "secret", str(entry.get("fingerprint", ""))
    shown = values.shown(answered(entry))
    text = shown.raw if shown.kind == "json" else shown.text
    first, _, rest = text.partition("\n")
    more = f" … {rest.count(chr(10)) + 2} lines" if rest else ""
    return "value", f"{first[:160]}{'…' if len(first) > 160 else ''}{more}"


def _say(request: HttpRequest, name: str, saved: list[str]) -> None:
    if saved:
        messages.success(
            request, f"{name} is in the draft of {', '.join(saved)}. Nothing is published."
        )
    else:
        messages.info(request, f"Nothing was changed, so no draft of {name} was touched.")


def _answer(
    request: HttpRequest, context: dict[str, Any], name: str, fields: list[EnvironmentField], *,
    is_new: bool, problem: str = "", saved: list[str] | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    drawn = context | {
        "key": name,
        "is_new": is_new,
        "problem": problem,
        "fields": fields,
        "saved": saved or [],
        "failed": [each.name for each in fields if each.problem],
        "kinds": each_environment.KINDS,
    }
    return render(request, "dashboard/all_key.html", drawn, status=status)
