"""The draft as a text: what the editor's other side does, with and without its script."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access import layers as layer_doors
from confhub.access.policies import Verb, allowed
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import queries as releases
from confhub.releases import raw
from confhub.releases.raw import TextIsStale, TextView
from confhub.releases.texts import FORMATS, Format, TextUnwritable
from dashboard import shell, values
from dashboard.pages.layers import addresses
from dashboard.pages.where import frame

NAMES: dict[Format, str] = {
    "yaml": "YAML",
    "json": "JSON",
    "env": ".env",
    "toml": "TOML",
    "properties": "Properties",
}
AROUND = 2  # lines shown before and after the one that does not read


class RawForm(forms.Form):
    """A text and what it was opened as. Line breaks travel as browsers send them."""

    text = forms.CharField(required=False, strip=False, widget=forms.Textarea)
    opened = forms.CharField(required=False, strip=False)
    version = forms.IntegerField(min_value=0)
    draft = forms.IntegerField(min_value=0)
    give_up = forms.CharField(required=False)


@dataclass(frozen=True)
class Line:
    number: int
    text: str
    is_bad: bool


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def scope(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """GET ?format=yaml shows it; POST with act=save, theirs or drop changes it."""
    found, _, context = frame(who, _verb(request), service, environment, tab="config")
    return _answer(request, who, found, context | {"template": "dashboard/raw.html"})


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def layer(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """The same of a layer."""
    position = shell.live_from()
    found = layer_doors.layer_for(who, _verb(request), kind, slug)
    context = {
        "template": "dashboard/layer_raw.html",
        "section": "layers",
        "layer": found,
        "draft": releases.draft_of(found),
        "editor": addresses(found),
        "may": allowed(who, found),
        "tab": "config",
        "position": position,
        "streams": found.stream,
    }
    return _answer(request, who, found, context)


def _verb(request: HttpRequest) -> Verb:
    return "edit" if request.method == "POST" else "see"


def _answer(request: HttpRequest, who: Actor, place: Any, context: dict[str, Any]) -> HttpResponse:
    format = _format(request)
    context |= {
        "format": format,
        "formats": NAMES,
        "text_url": f"{context['editor']['draft_url']}/text?format={format}",
    }
    if request.method == "POST":
        return _changed(request, who, place, context, format)
    return _shown(request, place, context, format)


def _format(request: HttpRequest) -> Format:
    asked = request.GET.get("format", "")
    return next((format for format in FORMATS if format == asked), "yaml")


def _shown(
    request: HttpRequest, place: Any, context: dict[str, Any], format: Format
) -> HttpResponse:
    try:
        view = raw.text_of(place, format)
    except TextUnwritable as error:
        return _page(request, context | {"unfit": error.detail}, status=200)
    return _page(request, context | _of(view), status=200)


def _changed(
    request: HttpRequest, who: Actor, place: Any, context: dict[str, Any], format: Format
) -> HttpResponse:
    form = RawForm(request.POST)
    if not form.is_valid():
        return _page(request, context | {"unfit": "The form was not whole. Open the page again."}, status=422)  # fmt: skip
    held = form.cleaned_data
    try:
        saved = _save(request.POST.get("act", "save"), place, held, format, who)
    except ConfHubError as error:
        return _refused(request, place, context, held, format, error)
    if saved.problem is not None:
        # The text as it was opened travels on, because it is what the next save is compared with.
        kept = context | _of(saved, opened=_lines(held["opened"])) | {"is_kept": True}
        return _page(request, kept, status=422)
    messages.success(request, f"Saved to the draft as {NAMES[format]}.")
    return redirect(f"{request.path}?format={format}")


def _save(act: str, place: Any, held: dict[str, Any], format: Format, who: Actor) -> TextView:
    if act == "drop":
        return raw.drop_text(
            place, format=format, expected=held["version"], who=who, now=clock.now()
        )
    give_up = held["give_up"].split() if act == "theirs" else ()
    return raw.save_text(
        place, format=format, text=_lines(held["text"]), opened=_lines(held["opened"]),
        expected=held["version"], expected_draft=held["draft"], give_up=give_up, who=who,
        now=clock.now(),
    )  # fmt: skip


def _refused(
    request: HttpRequest, place: Any, context: dict[str, Any], held: dict[str, Any],
    format: Format, error: ConfHubError,
) -> HttpResponse:  # fmt: skip
    """The page with what was typed. The next save is made with what it shows of the other side."""
    text = _lines(held["text"])
    shown: dict[str, Any] = {
        "text": text, "opened": _lines(held["opened"]), "version": held["version"],
        "draft_version": held["draft"], "refusal": error.detail,
    }  # fmt: skip
    if isinstance(error, TextIsStale):
        shown |= {"version": error.extra["version"], "theirs": error.extra.get("theirs"), "by": error.extra.get("by")}  # fmt: skip
    elif "conflicts" in error.extra:
        shown |= {"draft_version": error.extra["version"], "conflicts": _drawn(error.extra["conflicts"])}  # fmt: skip
    if "line" in error.extra:
        shown["excerpt"] = _excerpt(text, error.extra["line"])
    return _page(request, context | shown, status=error.status)


def _drawn(conflicts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "by": each["by"], "removed": each["removed"], "theirs": values.shown(each["theirs"])}
        for key, each in conflicts.items()
    ]  # fmt: skip


def _of(view: TextView, opened: str | None = None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "text": view.text,
        "opened": view.text if opened is None else opened,
        "version": view.version,
        "draft_version": view.draft_version,
        "author": view.author,
        "changed_at": view.changed_at,
    }
    if view.problem is not None:
        context |= {"problem": view.problem, "excerpt": _excerpt(view.text, view.problem.line)}
    return context


def _lines(text: str) -> str:
    """Browsers send every line break as CR LF."""
    return text.replace("\r\n", "\n")


def _excerpt(text: str, line: int) -> list[Line]:
    """The line that does not read with its neighbours, numbered."""
    lines = text.split("\n")
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    return [
        Line(number, lines[number - 1][:200], number == line) for number in range(first, last + 1)
    ]


def _page(request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
    return render(request, context["template"], context, status=status)
