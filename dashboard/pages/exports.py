"""A place's configuration as a download; the form for it stands on the page of imports."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from confhub.access import layers as layer_doors
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import exports
from dashboard import shell
from dashboard.pages.layers import addresses
from dashboard.pages.where import frame

FORMATS = {
    "env": ".env",
    "json": "JSON",
    "yaml": "YAML",
    "toml": "TOML",
    "properties": "Java properties",
    "compose": "Docker Compose file",
    "configmap": "Kubernetes ConfigMap",
    "secret": "Kubernetes Secret",
}


class ExportForm(forms.Form):
    format = forms.ChoiceField(label="Format", choices=list(FORMATS.items()))
    of = forms.ChoiceField(
        label="Of", choices=[("release", "the newest release"), ("draft", "the draft")]
    )
    secrets = forms.ChoiceField(
        label="Secrets", choices=[("masked", "masked"), ("sealed", "sealed, as in etcd")]
    )


@require_safe
@shell.page
def scope(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """The file; back to the page with the reason where there is none."""
    found, _, context = frame(who, "see", service, environment, tab="config")
    return _file(request, found, context["editor"]["config_url"])


@require_safe
@shell.page
def layer(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """The same of a layer."""
    found = layer_doors.layer_for(who, "see", kind, slug)
    return _file(request, found, addresses(found)["config_url"])


def _file(request: HttpRequest, place: Any, config_url: str) -> HttpResponse:
    form = ExportForm(request.GET)
    if not form.is_valid():
        messages.error(request, "Choose a format, and what to export.")
        return redirect(f"{config_url}import/")
    held = form.cleaned_data
    try:
        made = exports.export(
            place, format=held["format"], secrets=held["secrets"], of=held["of"]
        )  # fmt: skip
    except ConfHubError as error:
        messages.error(request, error.detail)
        return redirect(f"{config_url}import/")
    response = HttpResponse(made.content, content_type=made.media_type)
    response["Content-Disposition"] = f'attachment; filename="{made.filename}"'
    return response
