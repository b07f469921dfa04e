"""One key of a service's schema, as a form."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access import queries as access
from confhub.access.policies import may
from confhub.catalog import schema_versions
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from dashboard import schema_rules, shell, values
from dashboard.pages.schema import EMPTY, refusal, save
from watchers.wire.names import BadName, check_key


class RuleForm(forms.Form):
    key = forms.CharField(label="Key", max_length=128)
    type = forms.ChoiceField(
        label="Type", required=False,
        choices=[*schema_rules.TYPES.items(), (schema_rules.SEVERAL, "Several, as in the JSON")],
    )  # fmt: skip
    nullable = forms.BooleanField(label="May be null", required=False)
    required = forms.BooleanField(label="Required in every environment", required=False)
    secret = forms.BooleanField(label="Secret: never shown", required=False)
    description = forms.CharField(
        label="Description", required=False, max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )  # fmt: skip
    default = forms.CharField(
        label="Default, as JSON", required=False, max_length=10_000,
        help_text="What the program takes where the key is not set; ConfHub does not set it.",
    )  # fmt: skip
    minimum = forms.CharField(label="Minimum", required=False, max_length=40)
    maximum = forms.CharField(label="Maximum", required=False, max_length=40)
    pattern = forms.CharField(
        label="Pattern", required=False, max_length=500, strip=False,
        help_text="A regular expression that a text must contain; ^…$ for the whole of it.",
    )  # fmt: skip
    enum = forms.CharField(
        label="One of, as a JSON list", required=False, max_length=10_000,
        help_text='["small", "large"]',
    )  # fmt: skip
    reload = forms.ChoiceField(
        label="Taking a change up", required=False, choices=list(schema_rules.RELOADS.items())
    )
    deprecated = forms.BooleanField(label="Deprecated", required=False)
    instead = forms.CharField(
        label="What to use instead", required=False, max_length=300, help_text="Where deprecated."
    )
    message = forms.CharField(label="Reason", max_length=2000, required=False)
    number = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"])
        try:
            check_key(key)
        except BadName as error:
            raise forms.ValidationError(str(error)) from error
        return key

    def clean_minimum(self) -> int | float | None:
        return _number(self.cleaned_data["minimum"])

    def clean_maximum(self) -> int | float | None:
        return _number(self.cleaned_data["maximum"])


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def key(request: HttpRequest, who: Actor, service: str) -> HttpResponse:
    """GET ?key=NAME shows its rule; POST with act=save or remove makes the schema's next version."""
    held = access.service_for(who, "edit" if request.method == "POST" else "see", service)
    newest = schema_versions.schema_of(held)
    document = newest.document if newest else EMPTY
    number = newest.number if newest else 0
    name = (request.POST.get("key") or request.GET.get("key", ""))[:128]
    context: dict[str, Any] = {
        "service": held,
        "name": name,
        "is_known": name in document["properties"],
        "may_edit": may(who, "edit", held),
    }
    if request.method != "POST":
        form = RuleForm(initial=schema_rules.initial(document, name) | {"number": number})
        return render(request, "dashboard/schema_key.html", context | {"form": form})
    form = RuleForm(request.POST)
    status = 422
    if form.is_valid():
        try:
            after = _after(document, form.cleaned_data, request.POST.get("act", "save"))
            save(request, held, after, form.cleaned_data, who)
        except schema_rules.BadField as error:
            form.add_error(error.field, str(error))
        except ConfHubError as error:
            context |= refusal(form, error)
            status = error.status
        else:
            return redirect("schema", service)
    return render(request, "dashboard/schema_key.html", context | {"form": form}, status=status)


def _after(document: dict[str, Any], held: dict[str, Any], act: str) -> dict[str, Any]:
    if act == "remove":
        return schema_rules.without(document, held["key"])
    return schema_rules.merged(document, held)


def _number(text: str) -> int | float | None:
    """The number as JSON has it; None where nothing is written."""
    if not text.strip():
        return None
    try:
        found = values.read("number", text)
    except values.NotAValue as error:
        raise forms.ValidationError(str(error)) from error
    assert isinstance(found, int | float)  # noqa: S101  # what read answers for a number
    return found
