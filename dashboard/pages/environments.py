"""The environments, and making one."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access import queries as access
from confhub.catalog import actions as catalog
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from dashboard import shell
from dashboard.forms import put_errors


class EnvironmentForm(forms.Form):
    slug = forms.CharField(
        label="Name", max_length=63, help_text="Small letters, digits and '-'. It never changes."
    )
    order = forms.IntegerField(
        label="Order", min_value=0, max_value=10_000, initial=0, help_text="Lower comes first."
    )
    protected = forms.BooleanField(
        label="Protected: publishing asks for the environment's name", required=False
    )


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def environments(request: HttpRequest, who: Actor) -> HttpResponse:
    form = EnvironmentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            catalog.create_environment(who=who, now=clock.now(), **form.cleaned_data)
        except ConfHubError as error:
            put_errors(form, error)
        else:
            return redirect("environments")
    found = access.environments_for(who)
    return render(
        request,
        "dashboard/environments.html",
        {"form": form, "environments": found, "section": "environments"},
        status=422 if form.errors else 200,
    )
