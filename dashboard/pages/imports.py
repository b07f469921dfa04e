"""Import another tool's configuration into a draft.

A text is read, its difference to the draft shown, and only then taken. It may hold secrets, so it
never stands in a page: between the steps it travels sealed (`dashboard.carried`).
"""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access import layers as layer_doors
from confhub.access.policies import Verb, allowed
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import importing, imports
from confhub.releases import queries as releases
from confhub.releases.actions import DraftIsStale
from confhub.releases.importing import ImportPlan
from confhub.releases.imports import MAX_BYTES, ImportUnreadable, Options
from dashboard import carried, changes, shell
from dashboard.carried import NotCarried
from dashboard.pages.exports import ExportForm
from dashboard.pages.layers import addresses
from dashboard.pages.where import frame

SOURCES = {
    "": "Guess from the text",
    "env": ".env",
    "json": "JSON",
    "yaml": "YAML",
    "toml": "TOML",
    "properties": "Java properties",
    "compose": "Docker Compose file",
    "kubernetes": "Kubernetes ConfigMap or Secret",
    "consul": "Consul KV export",
    "etcd": "etcd, etcdctl get --prefix -w json",
    "chef": "Chef data bag, environment or role",
}
DRAWN = 500  # keys of a difference; all of them are imported
NAMED = 200  # names of a list
_FLATTEN = {"": None, "yes": True, "no": False}


class ImportForm(forms.Form):
    text = forms.CharField(
        label="Paste it", required=False, strip=False,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip
    file = forms.FileField(
        label="or choose a file", required=False, help_text="UTF-8, 1 MiB at most."
    )
    held = forms.CharField(required=False, widget=forms.HiddenInput)
    source = forms.ChoiceField(label="It is", choices=list(SOURCES.items()), required=False)
    replace = forms.BooleanField(
        label="Remove the draft's own keys that the text does not have", required=False
    )
    flatten = forms.ChoiceField(
        label="Objects", required=False,
        choices=[("", "As is usual for the source"), ("yes", "Keys with dots"), ("no", "One value")],
    )  # fmt: skip
    left_out = forms.CharField(
        label="Prefix left out", max_length=500, required=False,
        help_text="Of names in Consul or etcd. Empty: what all have in common; / for nothing.",
    )  # fmt: skip
    item = forms.CharField(
        label="Only this one", max_length=300, required=False,
        help_text="The service of a Compose file, the object of a manifest.",
    )  # fmt: skip
    version = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def options(self) -> Options:
        held = self.cleaned_data
        return Options(_FLATTEN[held["flatten"]], held["left_out"].strip(), held["item"].strip())


@dataclass(frozen=True)
class Sent:
    """A text that came in, however it did."""

    text: str
    filename: str
    token: str  # the same, sealed for the next step


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def scope(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """GET shows the form; POST with act=preview the difference, with act=import takes it."""
    found, _, context = frame(who, _verb(request), service, environment, tab="config")
    return _answer(request, who, found, context | {"crumb": environment})


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def layer(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """The same of a layer."""
    position = shell.live_from()
    found = layer_doors.layer_for(who, _verb(request), kind, slug)
    context = {
        "section": "layers",
        "layer": found,
        "draft": releases.draft_of(found),
        "editor": addresses(found),
        "may": allowed(who, found),
        "tab": "config",
        "position": position,
        "streams": found.stream,
        "crumb": str(found),
    }
    return _answer(request, who, found, context)


def _verb(request: HttpRequest) -> Verb:
    return "edit" if request.method == "POST" else "see"


def _answer(request: HttpRequest, who: Actor, place: Any, context: dict[str, Any]) -> HttpResponse:
    if request.method != "POST":
        return _page(request, context, ImportForm())
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, context, form, status=422)
    sent = _sent(form, who, place)
    if sent is None:
        return _page(request, context, form, status=422)
    try:
        plan = _plan(form, sent, place)
        if request.POST.get("act") == "import":
            return _imported(request, form, plan, who, context)
    except ImportUnreadable as error:
        form.add_error("item" if error.choices else "text", error.detail)
        return _page(request, context | {"choices": error.choices}, form, sent, status=422)
    except DraftIsStale as error:
        form.add_error(None, error.detail)
        return _page(request, context, form, sent, _anew(form, sent, place), status=error.status)
    except ConfHubError as error:
        form.add_error(None, error.detail)
        return _page(request, context, form, sent, status=error.status)
    return _page(request, context, form, sent, plan)


def _plan(form: ImportForm, sent: Sent, place: Any) -> ImportPlan:
    held = form.cleaned_data
    source = held["source"] or imports.guess(sent.text, sent.filename)
    imported = imports.read(source, sent.text, options=form.options())
    return importing.plan(place, imported, replace=held["replace"], now=clock.now())


def _anew(form: ImportForm, sent: Sent, place: Any) -> ImportPlan | None:
    """The plan against the draft as it is now; None with the reason in the form."""
    try:
        return _plan(form, sent, place)
    except ConfHubError as error:  # what moved made it too large, say
        form.add_error(None, error.detail)
        return None


def _imported(
    request: HttpRequest, form: ImportForm, plan: ImportPlan, who: Actor, context: dict[str, Any]
) -> HttpResponse:
    """Take it. Raises what `importing.apply` raises."""
    expected = form.cleaned_data["version"]
    importing.apply(plan, expected=-1 if expected is None else expected, who=who, now=clock.now())
    count = len(plan.set) + len(plan.unset)
    messages.success(
        request,
        f"{count} key{'s' if count != 1 else ''} of the draft changed. Nothing is published yet."
        if count
        else "The draft has all of it already; nothing changed.",
    )
    return redirect(context["editor"]["review_url"])


def _sent(form: ImportForm, who: Actor, place: Any) -> Sent | None:
    """What was chosen, pasted, or sent with the step before; None with the reason in the form."""
    owner = {"owner": who.name, "place": place.stream}
    held = form.cleaned_data
    text, filename = str(held["text"]).replace("\r\n", "\n"), ""
    if held["file"]:
        try:
            text, filename = _read(held["file"]), str(held["file"].name)
        except ValueError as error:
            form.add_error("file", str(error))
            return None
    elif not text.strip() and held["held"]:
        try:
            text, filename = carried.opened(held["held"], **owner)
        except NotCarried:
            form.add_error(
                "text", "This page is too old, or not yours. Paste the text again; nothing changed."
            )
            return None
    return Sent(text, filename, carried.sealed(text, filename, **owner))


def _read(file: "UploadedFile[bytes]") -> str:
    """Raises ValueError with a sentence."""
    if (file.size or 0) > MAX_BYTES:
        raise ValueError(f"The file has {file.size:,} bytes; at most {MAX_BYTES:,} are read.")
    try:
        text: str = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            "The file is no text in UTF-8. Save it so, and choose it again."
        ) from error
    return text


def _page(
    request: HttpRequest, context: dict[str, Any], form: ImportForm, sent: Sent | None = None,
    plan: ImportPlan | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    """The page. Nothing of the text stands in it, but its sealed form."""
    token = sent.token if sent is not None else ""
    if form.is_bound:
        data = request.POST.copy()
        data["text"], data["held"] = "", token
        form.data = data
    drawn = context | {
        "form": form,
        "held": token,
        "export_form": ExportForm(),
        "plan": plan,
    }
    if plan is not None:
        found = plan.changes
        drawn |= {
            "changes": changes.drawn_of(found[:DRAWN]),
            "counts": changes.counts(found),
            "hidden": max(0, len(found) - DRAWN),
            "source_name": SOURCES[plan.source],
            "lists": _lists(plan),
        }
    return render(request, "dashboard/imports.html", drawn, status=status)


def _lists(plan: ImportPlan) -> list[dict[str, Any]]:
    """What is not in the difference: [{"title", "rows": [(name, sentence)], "hidden"}]."""
    parts = [
        ("Skipped", plan.skipped),
        ("References without a target", list(plan.problems.items())),
        ("Renamed", [(name, f"becomes {key}") for name, key in plan.renamed]),
    ]
    return [
        {"title": title, "rows": rows[:NAMED], "count": len(rows), "hidden": len(rows[NAMED:])}
        for title, rows in parts
        if rows
    ]
