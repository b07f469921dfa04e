"""The environments, making one, and one with its protection and its freezes."""

from datetime import UTC
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from confhub.access import queries as access
from confhub.access.policies import Verb, may, require
from confhub.catalog import actions as catalog
from confhub.catalog import freezes as catalog_freezes
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from dashboard import shell
from dashboard.forms import put_errors

APPROVALS = "Approval: another person has to agree with each release"


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
    approvals = forms.BooleanField(label=APPROVALS, required=False)

    def clean_approvals(self) -> int:
        return int(self.cleaned_data["approvals"])


class ChangeForm(EnvironmentForm):
    """The same for one that is there; its slug never changes."""

    name = forms.CharField(label="Name for people", max_length=120, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["slug"]


class FreezeForm(forms.Form):
    starts_at = forms.DateTimeField(
        label="From (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        error_messages={"invalid": "Write a date and a time, such as 2026-11-27T08:00."},
    )  # fmt: skip
    ends_at = forms.DateTimeField(
        label="Until (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        error_messages={"invalid": "Write a date and a time, such as 2026-11-27T20:00."},
    )  # fmt: skip
    reason = forms.CharField(
        label="Reason", max_length=200, help_text="Whoever wants to publish reads it."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "freeze_%s", **kwargs})


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def environments(request: HttpRequest, who: Actor) -> HttpResponse:
    form = EnvironmentForm(request.POST or None)
    if request.method == "POST":
        require(who, "administer", "environments")
    if request.method == "POST" and form.is_valid():
        try:
            catalog.create_environment(who=who, now=clock.now(), **form.cleaned_data)
        except ConfHubError as error:
            put_errors(form, error)
        else:
            return redirect("environments")
    found, now = access.environments_for(who), clock.now()
    ahead = catalog_freezes.freezes_of(found, now=now)
    return render(
        request,
        "dashboard/environments.html",
        {
            "form": form,
            "lines": [(each, _standing(ahead.get(each.pk, []), now)) for each in found],
            "may_make": may(who, "administer", "environments"),
            "section": "environments",
        },
        status=422 if form.errors else 200,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def environment(request: HttpRequest, who: Actor, environment: str) -> HttpResponse:
    """POST changes its name, order and protection."""
    verb: Verb = "administer" if request.method == "POST" else "see"
    found = access.environment_for(who, verb, environment)
    if request.method != "POST":
        return _drawn(request, who, found)
    form = ChangeForm(request.POST)
    if form.is_valid():
        try:
            catalog.change_environment(found, who=who, now=clock.now(), **form.cleaned_data)
        except ConfHubError as error:
            put_errors(form, error)
        else:
            messages.success(request, f"{found.slug} is changed.")
            return redirect("environment", environment)
    return _drawn(request, who, found, form=form, status=422)


@require_POST
@shell.page
def freeze(request: HttpRequest, who: Actor, environment: str) -> HttpResponse:
    """Add a freeze window."""
    found = access.environment_for(who, "administer", environment)
    form = FreezeForm(request.POST)
    if form.is_valid():
        held = form.cleaned_data
        try:
            catalog_freezes.add_freeze(
                found, starts_at=held["starts_at"].astimezone(UTC),
                ends_at=held["ends_at"].astimezone(UTC), reason=held["reason"], who=who,
                now=clock.now(),
            )  # fmt: skip
        except ConfHubError as error:
            put_errors(form, error)
        else:
            messages.success(request, f"The freeze of {found.slug} is kept.")
            return redirect("environment", environment)
    return _drawn(request, who, found, freeze_form=form, status=422)


@require_POST
@shell.page
def thaw(request: HttpRequest, who: Actor, environment: str) -> HttpResponse:
    """End the freeze window `freeze`, or remove it where it has not begun."""
    found = access.environment_for(who, "administer", environment)
    number = request.POST.get("freeze", "")
    try:
        catalog_freezes.end_freeze(
            found, int(number) if number.isdecimal() and len(number) < 18 else 0, who=who,
            now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, f"The freeze of {found.slug} is ended.")
    return redirect("environment", environment)


def _drawn(
    request: HttpRequest, who: Actor, found: Any, *, form: ChangeForm | None = None,
    freeze_form: FreezeForm | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    now = clock.now()
    initial = {name: getattr(found, name) for name in ("name", "order", "protected", "approvals")}
    ahead = catalog_freezes.freezes_of([found], now=now).get(found.pk, [])
    context = {
        "section": "environments",
        "environment": found,
        "form": form or ChangeForm(initial=initial),
        "freeze_form": freeze_form or FreezeForm(),
        "freezes": [(window, window.starts_at <= now) for window in ahead],
        "may_change": may(who, "administer", found),
    }
    return render(request, "dashboard/environment.html", context, status=status)


def _standing(windows: list[Any], now: Any) -> Any:
    return next((window for window in windows if window.starts_at <= now), None)
