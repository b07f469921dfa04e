"""A secret's value, shown once to one person who may see it and says why."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from confhub.access.policies import Verb
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import revealing
from dashboard import shell, values
from dashboard.forms import put_errors
from dashboard.pages.layers import layer_frame
from dashboard.pages.where import frame

SHOWN_S = 60  # then the browser goes back to the key by itself


class RevealForm(forms.Form):
    key = forms.CharField(label="Key", max_length=128)
    reason = forms.CharField(
        label="Reason", max_length=revealing.MAX_REASON_CHARS, required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )  # fmt: skip
    release = forms.IntegerField(
        widget=forms.HiddenInput, min_value=1, max_value=2**31 - 1, required=False
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def reveal(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """GET ?key=NAME&release=N asks for the reason; POST shows the value."""
    verb: Verb = "reveal" if request.method == "POST" else "see"
    scope, _, context = frame(who, verb, service, environment, tab="config")
    return _page(request, who, scope, context | {"crumb": environment})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def reveal_in_layer(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """The same for a layer."""
    verb: Verb = "reveal" if request.method == "POST" else "see"
    found, _, context = layer_frame(who, verb, kind, slug, tab="config")
    return _page(request, who, found, context | {"crumb": str(found)})


@sensitive_variables("revealed", "context")
def _page(request: HttpRequest, who: Actor, place: Any, context: dict[str, Any]) -> HttpResponse:
    needs_reason = revealing.needs_reason(place)
    form, revealed = _form(request, needs_reason=needs_reason), None
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                revealed = revealing.reveal(
                    place, form.cleaned_data["key"].strip(),
                    of=form.cleaned_data["release"] or "draft", reason=form.cleaned_data["reason"],
                    who=who, now=clock.now(),
                )  # fmt: skip
                status = 200
            except ConfHubError as error:
                put_errors(form, error)
                status = error.status
    context |= {"form": form, "revealed": revealed, "shown_s": SHOWN_S}
    if revealed is not None:
        context["shown"] = values.shown(revealed.value)
    response = render(request, "dashboard/reveal.html", context, status=status)
    response["Cache-Control"] = "no-store"
    if revealed is not None:
        back = f"{context['editor']['key_url']}?key={revealed.key}"
        response["Refresh"] = f"{SHOWN_S}; url={back}"
    return response


def _form(request: HttpRequest, *, needs_reason: bool) -> RevealForm:
    asked = {"key": request.GET.get("key", "")[:128], "release": request.GET.get("release")}
    form = RevealForm(request.POST) if request.method == "POST" else RevealForm(initial=asked)
    if needs_reason:
        reason = form.fields["reason"]
        reason.required = True
        reason.error_messages["required"] = "Say why; the audit shows it."
    else:
        form.fields["reason"].label = "Reason (optional)"
    return form
