"""One key of the draft on a page of its own: what the editor does, without its script."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access.policies import Verb
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import actions
from confhub.releases import queries as releases
from confhub.releases.actions import DraftIsStale
from confhub.releases.queries import DraftView
from dashboard import rows, shell, values
from dashboard.forms import put_errors
from dashboard.pages.where import frame


class KeyForm(forms.Form):
    key = forms.CharField(label="Key", max_length=128)
    kind = forms.ChoiceField(label="Kind", choices=list(values.KINDS.items()))
    value = forms.CharField(
        label="Value", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"})
    )  # fmt: skip
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def key(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """GET ?key=NAME shows it; POST with act=save, remove or undo changes the draft."""
    verb: Verb = "edit" if request.method == "POST" else "see"
    scope, draft, context = frame(who, verb, service, environment, tab="config")
    name = (request.POST.get("key") or request.GET.get("key", "")).strip()[:128]
    row = next(
        (each for each in rows.rows(releases.written_entries(scope), draft) if each.key == name), None
    )
    if request.method != "POST":
        return _answer(request, context, _first_form(name, row, draft), row)
    form = KeyForm(request.POST)
    act = request.POST.get("act", "save")
    if act != "save":  # what is not asked for need not be filled in
        form.fields["kind"].required = False
    if not form.is_valid():
        return _answer(request, context, form, row, status=422)
    try:
        _change(scope, act, form.cleaned_data, who)
    except values.NotAValue as error:
        form.add_error("value", str(error))
        return _answer(request, context, form, row, status=422)
    except DraftIsStale as error:
        # The next save is made with what is on the page now, so it has to show both sides.
        shown = request.POST.copy()
        shown["version"] = str(error.extra["version"])
        stale = KeyForm(shown)
        conflict = error.extra.get("conflicts", {}).get(name)
        context |= {"conflict": conflict and conflict | {"shown": values.shown(conflict["theirs"])}}
        return _answer(request, context, stale, row, status=error.status)
    except ConfHubError as error:
        put_errors(form, ConfHubError(error.detail, fields=_at_value(error, name)))
        return _answer(request, context, form, row, status=error.status)
    return redirect("config", service, environment)


def _change(scope: Any, act: str, held: dict[str, Any], who: Actor) -> None:
    name, expected, now = held["key"], held["version"], clock.now()
    if act == "undo":
        actions.change_draft(scope, set={}, revert=[name], expected=expected, who=who, now=now)
    elif act == "remove":
        actions.change_draft(scope, set={}, unset=[name], expected=expected, who=who, now=now)
    else:
        value = values.read(held["kind"], held["value"])
        actions.change_draft(scope, set={name: value}, expected=expected, who=who, now=now)


def _first_form(name: str, row: rows.KeyRow | None, draft: DraftView) -> KeyForm:
    shown = row.value if row else values.shown("")
    return KeyForm(
        initial={"key": name, "kind": shown.kind, "value": shown.text, "version": draft.version}
    )


def _at_value(error: ConfHubError, name: str) -> dict[str, str]:
    """The refusal's sentence about this key, at the value; about its name, at the key."""
    sentence = error.fields.get(name)
    if sentence is None:
        return {}
    return {"key" if "is not a key" in sentence else "value": sentence}


def _answer(
    request: HttpRequest, context: dict[str, Any], form: KeyForm, row: rows.KeyRow | None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    return render(
        request, "dashboard/key.html", {**context, "form": form, "row": row}, status=status
    )
