"""Take chosen keys from one environment of a service into the draft of another."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access import queries as access
from confhub.access.policies import NotFound, allowed
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import promoting
from confhub.releases.promoting import Plan
from dashboard import changes, paging, shell

OFFERS = 100  # on one page; the filter finds the others


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def promote(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    """GET ?from=dev&to=prod&new=1&q= lists what differs; POST act=check is the dry run, act=promote
    writes the ticked keys into the target's draft."""
    data = request.POST if request.method == "POST" else request.GET
    scopes = access.scopes_of(who, access.service_for(who, "see", service))
    if len(scopes) < 2:
        raise NotFound(f"{service} runs in fewer than two environments that you may see.")
    source = _named(scopes, data.get("from", ""), scopes[0])
    target = _named(
        scopes, data.get("to", ""), next(each for each in scopes if each.pk != source.pk)
    )
    if request.method == "POST":
        target = access.scope_for(who, "edit", service, target.environment.slug)
    context: dict[str, Any] = {
        "service": scopes[0].service,
        "scopes": scopes,
        "source": source,
        "target": target,
        "only_new": data.get("new") == "1",
        "q": data.get("q", "").strip()[:120],
        "may": allowed(who, target),
        "ticked": [],
        "dry_run": None,
    }
    if request.method == "POST":
        return _promoted(request, who, context)
    return _answer(request, who, context)


def _promoted(request: HttpRequest, who: Actor, context: dict[str, Any]) -> HttpResponse:
    context["ticked"] = keys = request.POST.getlist("key")
    is_dry_run = request.POST.get("act") != "promote"
    try:
        done = promoting.promote(
            context["source"], context["target"], keys, only_new=context["only_new"],
            expected_source=_number(request.POST.get("release", "")),
            expected=_number(request.POST.get("version", "")),
            is_dry_run=is_dry_run, who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        return _answer(request, who, context, error=error)
    if is_dry_run:
        drawn = changes.drawn_of(done.changes)
        context["dry_run"] = done
        return _answer(request, who, context | {"changes": drawn, "counts": changes.counts(drawn)})
    target = context["target"]
    messages.success(
        request,
        f"{len(done.changes)} key{'s' if len(done.changes) != 1 else ''} of {context['source']} "
        f"{'stand' if len(done.changes) != 1 else 'stands'} in the draft of {target}. Nothing is published yet.",
    )
    return redirect("review", target.service.slug, target.environment.slug)


def _number(text: str) -> int:
    """The version that the page was drawn from. Raises CannotPromote."""
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    raise promoting.CannotPromote("The page was incomplete. Nothing was written. Look again.")


def _named(scopes: list[Any], slug: str, otherwise: Any) -> Any:
    """The scope in the environment; raises NotFound for one that is named and not there."""
    if not slug:
        return otherwise
    found = next((each for each in scopes if each.environment.slug == slug), None)
    if found is None:
        raise NotFound(
            f"{scopes[0].service.slug} does not run in {slug[:80]!r}, or you may not see it."
        )
    return found


def _answer(
    request: HttpRequest, who: Actor, context: dict[str, Any], error: ConfHubError | None = None
) -> HttpResponse:
    plan: Plan | None = None
    try:
        plan = promoting.plan(
            context["source"], context["target"], only_new=context["only_new"], who=who
        )
    except ConfHubError as refused:
        error = error or refused
    word = context["q"].lower()
    offers = [each for each in plan.offers if word in each.key.lower()] if plan else []
    part = paging.part(offers, request.GET.get("page", ""), size=OFFERS)
    drawn = context | {
        "plan": plan,
        "part": part,
        "rows": list(
            zip(part.rows, changes.drawn_of([each.change for each in part.rows]), strict=True)
        ),
        "error": error,
    }
    status = error.status if error and request.method == "POST" else 200
    return render(request, "dashboard/promote.html", drawn, status=status)
