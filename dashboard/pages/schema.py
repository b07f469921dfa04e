"""A service's schema: its keys in a table, its text, what a change would break, its versions."""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from confhub.access import queries as access
from confhub.access.policies import NotFound, Verb, may
from confhub.catalog import schema_versions
from confhub.catalog.schemas import facts
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import schemas
from confhub.releases.schemas import Break, SchemaBreaks
from dashboard import changes, schema_rules, shell, values
from dashboard.forms import put_errors

DRAWN = 200  # keys of the table; a filter finds the others
VERSIONS_SHOWN = 20
EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


class SchemaForm(forms.Form):
    document = forms.CharField(
        label="Schema as JSON", strip=False,
        widget=forms.Textarea(attrs={"rows": 22, "spellcheck": "false"}),
        help_text="JSON Schema 2020-12 of one object, with a property for each key.",
    )  # fmt: skip
    message = forms.CharField(label="Reason", max_length=2000, required=False)
    number = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def clean_document(self) -> Any:
        try:
            return values.read("json", self.cleaned_data["document"])
        except values.NotAValue as error:
            raise forms.ValidationError(str(error)) from error


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def schema(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    """GET shows it; POST with act=save, check or infer."""
    verb: Verb = "edit" if request.method == "POST" else "see"
    held = access.service_for(who, verb, service)
    if request.method != "POST":
        return _answer(request, who, held, {"form": _form(held)})
    act = request.POST.get("act", "save")
    if act == "infer":
        return _propose(request, who, held)
    form = SchemaForm(request.POST)
    if not form.is_valid():
        return _answer(request, who, held, {"form": form}, status=422)
    try:
        if act == "check":
            breaks = schemas.check_schema(held, form.cleaned_data["document"])
            return _answer(request, who, held, {"form": form, "breaks": breaks, "checked": True})
        save(request, held, form.cleaned_data["document"], form.cleaned_data, who)
    except ConfHubError as error:
        return _answer(request, who, held, refusal(form, error), status=error.status)
    return redirect("schema", service)


def save(
    request: HttpRequest, service: Any, document: Any, held: dict[str, Any], who: Actor
) -> None:
    """Save and say so. Raises what `save_schema` raises."""
    saved = schemas.save_schema(
        service, document, message=held["message"], expected_number=held["number"], who=who,
        now=clock.now(),
    )  # fmt: skip
    if saved.created:
        messages.success(request, f"Version {saved.version.number} of the schema is saved.")
    else:
        messages.info(request, f"Nothing differs from version {saved.version.number}; it stays.")


def refusal(form: forms.Form, error: ConfHubError) -> dict[str, Any]:
    """What a page shows of a refusal: sentences at the fields, and what breaks where."""
    breaks: list[Break] = error.breaks if isinstance(error, SchemaBreaks) else []
    put_errors(form, ConfHubError(error.detail, fields={} if breaks else error.fields))
    paths = {} if breaks else {k: v for k, v in error.fields.items() if k not in form.fields}
    return {"form": form, "breaks": breaks, "paths": dict(list(paths.items())[:20])}


@require_safe
@shell.page
def version(request: HttpRequest, who: Actor, service: str, number: int) -> HttpResponse:
    """One version, and what it changed."""
    held = access.service_for(who, "see", service)
    found = schema_versions.version_of(held, number)
    if found is None:
        raise NotFound(f"{service} has no version {number} of its schema.")
    before = schema_versions.version_of(held, number - 1)
    drawn = changes.drawn(
        schema_rules.as_entries(before.document if before else None),
        schema_rules.as_entries(found.document),
    )
    context = {
        "service": held,
        "version": found,
        "before": before,
        "changes": drawn,
        "counts": changes.counts(drawn),
        "text": _text(found.document),
    }
    return render(request, "dashboard/schema_version.html", context)


def _propose(request: HttpRequest, who: Actor, service: Any) -> HttpResponse:
    document = schemas.infer_schema(service)
    present = schema_versions.document_of(service)
    drawn = changes.drawn(schema_rules.as_entries(present), schema_rules.as_entries(document))
    context = {
        "form": _form(service, document),
        "proposed": True,
        "changes": drawn if present is not None else [],
        "counts": changes.counts(drawn),
    }
    return _answer(request, who, service, context)


def _form(service: Any, document: dict[str, Any] | None = None) -> SchemaForm:
    newest = schema_versions.schema_of(service)
    shown = document or (newest.document if newest else EMPTY)
    return SchemaForm(initial={"document": _text(shown), "number": newest.number if newest else 0})


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)


def _answer(
    request: HttpRequest, who: Actor, service: Any, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    versions = schema_versions.versions_of(service, limit=VERSIONS_SHOWN)
    document = versions[0].document if versions else None
    environments = [scope.environment for scope in access.scopes_of(who, service)]
    chosen = request.GET.get("environment", "")
    wanted = request.GET.get("q", "").strip()[:120]
    known = facts(document, chosen)
    found = {key: each for key, each in known.items() if wanted.lower() in key.lower()}
    drawn = {
        "service": service,
        "newest": versions[0] if versions else None,
        "versions": versions,
        "environments": environments,
        "chosen": chosen,
        "q": wanted,
        "keys": dict(list(found.items())[:DRAWN]),
        "hidden": max(0, len(found) - DRAWN),
        "total": len(known),
        "may_edit": may(who, "edit", service),
        **context,
    }
    return render(request, "dashboard/schema.html", drawn, status=status)
