"""One key of the draft on a page of its own: what the editor does, without its script."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
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
from confhub.releases.entries import answered
from confhub.releases.provenance import Provenance, history_of, provenance_of
from confhub.releases.queries import DraftView
from confhub.releases.renaming import rename_key
from dashboard import hints, rows, shell, values
from dashboard.forms import put_errors
from dashboard.pages.where import frame

HISTORY_SHOWN = 20  # versions of a key


class KeyForm(forms.Form):
    key = forms.CharField(label="Key", max_length=128)
    kind = forms.ChoiceField(label="Kind", choices=list(values.KINDS.items()))
    value = forms.CharField(
        label="Value", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"})
    )  # fmt: skip
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    number = forms.IntegerField(widget=forms.HiddenInput, min_value=1, required=False)

    def hide_value(self, *, several_lines: bool) -> None:
        """Take a secret: what is typed is not shown, and never sent back to the browser."""
        attrs = {"autocomplete": "new-password", "spellcheck": "false"}
        field = self.fields["value"]
        field.label = "New value"
        field.widget = forms.PasswordInput(attrs)
        if several_lines:
            field.widget = BlindTextarea({**attrs, "rows": 12})


class BlindTextarea(forms.Textarea):
    """Several lines that are never drawn again, whatever was sent."""

    def format_value(self, value: Any) -> str:
        return ""


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def key(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """GET ?key=NAME shows it; POST with act=save, remove, rename or undo changes the draft."""
    verb: Verb = "edit" if request.method == "POST" else "see"
    scope, draft, context = frame(who, verb, service, environment, tab="config")
    found = provenance_of(scope)
    context |= {"crumb": environment, "known": hints.facts_of(scope)}
    return edit_key(request, who, scope, draft, context, found)


def edit_key(
    request: HttpRequest, who: Actor, scope: Any, draft: DraftView, context: dict[str, Any],
    found: Mapping[str, Provenance] | None = None,
) -> HttpResponse:  # fmt: skip
    """The same for a scope or a layer. `found` says where each key of a scope comes from."""
    name = (request.POST.get("key") or request.GET.get("key", "")).strip()[:128]
    layers = {
        key: each.set_by.layer for key, each in (found or {}).items() if each.set_by.kind != "own"
    }
    listed = rows.rows(releases.written_entries(scope), draft, layers=layers)
    row = next((each for each in listed if each.key == name), None)
    context |= {"why": (found or {}).get(name), "history": _history(scope, name) if row else []}
    is_secret = _is_secret(request, row, context.get("known", {}).get(name))
    several_lines = "lines" in request.GET
    context |= {"is_secret": is_secret, "several_lines": several_lines}
    if request.method != "POST":
        form = _first_form(name, row, draft, is_secret=is_secret)
        if is_secret:
            form.hide_value(several_lines=several_lines)
        return _answer(request, context, form, row)
    form = KeyForm(request.POST)
    if is_secret:
        form.hide_value(several_lines=several_lines)
    act = request.POST.get("act", "save")
    if act == "rename":
        return _renamed(request, who, scope, draft, context, row)
    if act != "save":  # what is not asked for need not be filled in
        form.fields["kind"].required = False
    if not form.is_valid():
        return _answer(request, context, form, row, status=422)
    try:
        _change(scope, act, form.cleaned_data, who)
    except values.NotAValue as error:
        hidden = "This is not of the chosen kind. A secret text is of the kind Secret."
        is_quoted = is_secret and request.POST.get("kind") != "secret"  # in the usual sentence
        form.add_error("value", hidden if is_quoted else str(error))
        return _answer(request, context, form, row, status=422)
    except DraftIsStale as error:
        # The next save is made with what is on the page now, so it has to show both sides.
        shown = request.POST.copy()
        shown["version"] = str(error.extra["version"])
        stale = KeyForm(shown)
        if is_secret:
            stale.hide_value(several_lines=several_lines)
        conflict = error.extra.get("conflicts", {}).get(name)
        context |= {"conflict": conflict and conflict | {"shown": values.shown(conflict["theirs"])}}
        return _answer(request, context, stale, row, status=error.status)
    except ConfHubError as error:
        put_errors(form, ConfHubError(error.detail, fields=_at_value(error, name)))
        return _answer(request, context, form, row, status=error.status)
    return redirect(context["editor"]["config_url"])


def _renamed(
    request: HttpRequest, who: Actor, place: Any, draft: DraftView, context: dict[str, Any],
    row: rows.KeyRow | None,
) -> HttpResponse:  # fmt: skip
    name, new = request.POST.get("key", "")[:128], request.POST.get("to", "").strip()[:140]
    seen = request.POST.get("version", "")
    expected = int(seen) if seen.isdecimal() and len(seen) < 10 else draft.version
    try:
        rename_key(place, name, new, expected=expected, who=who, now=clock.now())
    except ConfHubError as error:
        is_secret = row is not None and row.value.kind == "secret"
        form = _first_form(name, row, draft, is_secret=is_secret)
        if is_secret:
            form.hide_value(several_lines=False)
        context |= {"rename_error": error.detail, "rename_to": new}
        return _answer(request, context, form, row, status=error.status)
    messages.success(request, f"{name} is {new} in the draft. References to it stay as they are.")
    return redirect(context["editor"]["config_url"])


def _history(place: Any, name: str) -> list[dict[str, Any]]:
    """The key's versions, each with its value as it is shown; None where it was removed."""
    return [
        {
            "version": each,
            "value": None if each.entry is None else values.shown(answered(each.entry)),
        }
        for each in history_of(place, name, limit=HISTORY_SHOWN)
    ]


def _change(scope: Any, act: str, held: dict[str, Any], who: Actor) -> None:
    name, expected, now = held["key"], held["version"], clock.now()
    if act == "undo":
        actions.change_draft(scope, set={}, revert=[name], expected=expected, who=who, now=now)
    elif act == "restore":
        actions.restore_key(
            scope, name, number=held["number"] or 0, expected=expected, who=who, now=now
        )
    elif act == "remove":
        actions.change_draft(scope, set={}, unset=[name], expected=expected, who=who, now=now)
    else:
        value = values.read(held["kind"], held["value"])
        actions.change_draft(scope, set={name: value}, expected=expected, who=who, now=now)


def _is_secret(request: HttpRequest, row: rows.KeyRow | None, known: Any) -> bool:
    """True where it is one, shall become one, or the schema wants one."""
    is_one = row is not None and row.value.kind == "secret"
    asked = request.POST.get("kind") or request.GET.get("kind")
    return is_one or asked == "secret" or (known is not None and known.secret)


def _first_form(
    name: str, row: rows.KeyRow | None, draft: DraftView, *, is_secret: bool
) -> KeyForm:
    shown = row.value if row else values.shown("")
    initial = {"key": name, "kind": shown.kind, "value": shown.text, "version": draft.version}
    if not is_secret:
        return KeyForm(initial=initial)
    return KeyForm(initial={**initial, "kind": "secret", "value": ""})


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
