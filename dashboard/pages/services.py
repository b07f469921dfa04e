"""The list of services, and making one."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from confhub.access import queries as access
from confhub.access.policies import may, require
from confhub.catalog import actions as catalog
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from dashboard import shell
from dashboard.forms import put_errors
from dashboard.live.feed import CATALOG, MAX_STREAMS
from dashboard.pages import overview

SHOWN = 100  # services on one page; the filter finds the others


class ServiceForm(forms.Form):
    slug = forms.CharField(
        label="Name", max_length=63, help_text="Small letters, digits and '-'. It never changes: it stands in etcd keys and labels.",
    )  # fmt: skip
    description = forms.CharField(label="What it is (optional)", max_length=2000, required=False)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return redirect("services")


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def services(request: HttpRequest, who: Actor) -> HttpResponse:
    form = ServiceForm(request.POST or None)
    if request.method == "POST":
        require(who, "administer", "services")
    if request.method == "POST" and form.is_valid():
        try:
            made = catalog.create_service(
                slug=form.cleaned_data["slug"], description=form.cleaned_data["description"],
                who=who, now=clock.now(),
            )  # fmt: skip
        except ConfHubError as error:
            put_errors(form, error)
        else:
            return redirect("service", made.slug)
    status = 422 if form.errors else 200
    return render(
        request, "dashboard/services.html", {"form": form, **_listed(request, who)}, status=status
    )


@require_safe
@shell.page
def part(request: HttpRequest, who: Actor) -> HttpResponse:
    return render(request, "dashboard/parts/services.html", _listed(request, who))


def _listed(request: HttpRequest, who: Actor) -> dict[str, Any]:
    position = shell.live_from()
    wanted = request.GET.get("q", "").strip()[:80]
    everything = access.services_for(who)
    found = [
        each for each in everything if wanted.lower() in f"{each.slug} {each.description}".lower()
    ]
    shown = found[:SHOWN]
    slugs = {each.slug for each in shown}
    scopes = [scope for scope in access.all_scopes(who) if scope.service.slug in slugs]
    environments = access.environments_for(who)
    lines: dict[str, dict[str, overview.Line]] = {slug: {} for slug in slugs}
    for line in overview.lines_of(scopes):
        lines[line.scope.service.slug][line.scope.environment.slug] = line
    followed = scopes[: MAX_STREAMS - 1]  # the last lines of a very long list are drawn on reload
    return {
        "section": "services",
        "services": [
            (each, [lines[each.slug].get(place.slug) for place in environments]) for each in shown
        ],
        "environments": environments,
        "may_make": may(who, "administer", "services"),
        "total": len(everything),
        "hidden": len(found) - len(shown),
        "q": wanted,
        "kinds": overview.STREAM_KINDS,
        "position": position,
        "streams": " ".join([CATALOG, *(scope.stream for scope in followed)]),
    }
