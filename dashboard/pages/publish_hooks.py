"""Publish hooks: who is asked before something is published, and who is told after it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access import queries as access
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import calls, hooks, trying
from dashboard import shell
from dashboard.forms import put_errors
from dashboard.pages.people import EVERY_ENVIRONMENT, EVERY_SERVICE

CALLS_SHOWN = 25
# {outcome of a call: (tone, icon, word)}
OUTCOMES = {
    "agreed": ("ok", "check", "agreed"),
    "told": ("ok", "check", "told"),
    "refused": ("bad", "cross", "refused"),
    "failed": ("bad", "cross", "no answer"),
    "waiting": ("lag", "dots", "waits"),
}
WHEN = [
    ("before", "before: is asked, and may refuse or annotate"),
    ("after", "after: is told, and changes nothing"),
]
SILENCE = [
    ("closed", "refuse to publish"),
    ("open", "publish all the same, with a note in the release"),
]


class ChangeForm(forms.Form):
    url = forms.CharField(
        label="Address", max_length=500, help_text="https://host/path; it is sent signed JSON.",
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    order = forms.IntegerField(
        label="Order", min_value=0, max_value=hooks.MAX_ORDER, initial=0,
        help_text="The lowest is asked first; later ones see what it noted.",
    )  # fmt: skip
    timeout_s = forms.FloatField(
        label="Seconds for its answer", min_value=hooks.SHORTEST_S, max_value=hooks.LONGEST_S,
        initial=hooks.USUAL_S, widget=forms.NumberInput(attrs={"step": "0.1"}),
    )  # fmt: skip
    silence = forms.ChoiceField(label="Without an answer", choices=SILENCE, initial="closed")

    def settings(self, before: hooks.Settings | None = None) -> hooks.Settings:
        held = self.cleaned_data
        return replace(
            before or hooks.Settings(held["url"]), url=held["url"], order=held["order"],
            timeout_s=held["timeout_s"], fail_open=held["silence"] == "open",
        )  # fmt: skip


class NewForm(ChangeForm):
    name = forms.CharField(
        label="Name", max_length=63, help_text="Small letters, digits and '-'. It never changes.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    when = forms.ChoiceField(label="When", choices=WHEN, initial="before")
    service = forms.ChoiceField(label="Service", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)
    field_order = ("name", "when", "service", "environment", "url")

    def __init__(self, *args: Any, who: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        services = [(each.slug, each.slug) for each in access.services_for(who)]
        environments = [(each.slug, each.slug) for each in access.environments_for(who)]
        self.fields["service"].choices = [EVERY_SERVICE, *services]  # type: ignore[attr-defined]  # declared above
        self.fields["environment"].choices = [EVERY_ENVIRONMENT, *environments]  # type: ignore[attr-defined]


class TryForm(forms.Form):
    """A scope at the hook's place, as "service@environment"."""

    scope = forms.ChoiceField(label="As if this were published")

    def __init__(self, *args: Any, who: Actor, hook: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        service, environment = hooks.slugs(hook)
        names = [
            str(each)
            for each in access.all_scopes(who)
            if service in (None, each.service.slug) and environment in (None, each.environment.slug)
        ]
        self.fields["scope"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]  # declared above
        self.first = names[0] if names else ""


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def publish_hooks(request: HttpRequest, who: Actor) -> HttpResponse:
    """The list, and making one."""
    found = hooks.hooks_for(who)
    form = NewForm(request.POST or None, who=who)
    if request.method == "POST":
        held = form.cleaned_data if form.is_valid() else {}
        place = request.POST.get("service") or None, request.POST.get("environment") or None
        service, environment = hooks.place_for(who, *place)
        if held:
            try:
                made, secret = hooks.make_hook(
                    held["name"], when=held["when"], service=service, environment=environment,
                    settings=form.settings(), who=who, now=clock.now(),
                )  # fmt: skip
            except ConfHubError as error:
                put_errors(form, error)
            else:
                return _drawn(request, who, made, secret=secret, is_new=True)
    newest = calls.newest_of(found)
    context = {
        "tab": "publish-hooks",
        "section": "automation",
        "lines": [(hook, _place(hook), _call(newest.get(hook.pk))) for hook in found],
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "dashboard/publish_hooks.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def publish_hook(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """One hook; POST `act` is one of ACTS."""
    hook = hooks.hook_for(who, name)
    act = ACTS.get(request.POST.get("act", "")) if request.method == "POST" else None
    return act(request, who, hook) if act is not None else _drawn(request, who, hook)


def _change(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    form = ChangeForm(request.POST)
    if form.is_valid():
        try:
            wanted = form.settings(hooks.settings_of(hook))
            hooks.change_hook(hook, wanted, who=who, now=clock.now())
        except ConfHubError as error:
            put_errors(form, error)
        else:
            messages.success(request, f"{hook.name} is changed.")
            return redirect("publish-hook", hook.name)
    return _drawn(request, who, hook, form=form, status=422)


def _switch(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    is_on = request.POST.get("on") == "yes"
    try:
        wanted = replace(hooks.settings_of(hook), is_on=is_on)
        hooks.change_hook(hook, wanted, who=who, now=clock.now())
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, f"{hook.name} is {'on' if is_on else 'off'}.")
    return redirect("publish-hook", hook.name)


def _secret(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    try:
        secret = hooks.renew_secret(hook, who=who, now=clock.now())
    except ConfHubError as error:
        messages.error(request, error.detail)
        return redirect("publish-hook", hook.name)
    return _drawn(request, who, hook, secret=secret)


def _test(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    form = TryForm(request.POST, who=who, hook=hook)
    if not form.is_valid():
        return _drawn(request, who, hook, test_form=form, status=422)
    service, _, environment = form.cleaned_data["scope"].partition("@")
    scope = access.scope_for(who, "see", service, environment)
    try:
        done = trying.try_hook(hook, scope, who=who, now=clock.now())
    except ConfHubError as error:
        put_errors(form, error)
        return _drawn(request, who, hook, test_form=form, status=error.status)
    return _drawn(request, who, hook, tried=done)


def _remove(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    hooks.remove_hook(hook, who=who, now=clock.now())
    messages.success(request, f"The publish hook {hook.name} is removed, with its calls.")
    return redirect("publish-hooks")


ACTS: dict[str, Callable[[HttpRequest, Actor, Any], HttpResponse]] = {
    "change": _change,
    "switch": _switch,
    "secret": _secret,
    "test": _test,
    "remove": _remove,
}


def _drawn(
    request: HttpRequest, who: Actor, hook: Any, *, form: ChangeForm | None = None,
    test_form: TryForm | None = None, secret: str = "", is_new: bool = False, tried: Any = None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    test_form = test_form or TryForm(who=who, hook=hook)
    initial = {
        "url": hook.url,
        "order": hook.order,
        "timeout_s": hook.timeout_s,
        "silence": "open" if hook.fail_open else "closed",
    }
    context = {
        "tab": "publish-hooks",
        "section": "automation",
        "hook": hook,
        "place": _place(hook),
        "form": form or ChangeForm(initial=initial),
        "test_form": test_form,
        "test_scope": test_form.first,
        "secret": secret,
        "is_new": is_new,
        "tried": tried,
        "tried_state": OUTCOMES[tried.outcome] if tried else None,
        "calls": [_call(each) for each in calls.calls_of(hook, limit=CALLS_SHOWN)],
    }
    return render(request, "dashboard/publish_hook.html", context, status=status)


def _place(hook: Any) -> str:
    service, environment = hooks.slugs(hook)
    if service and environment:
        return f"{service}@{environment}"
    if service:
        return f"{service} in every environment"
    return f"every service in {environment}" if environment else "everything"


def _call(call: Any) -> Any:
    return (call, OUTCOMES[call.outcome]) if call is not None else None
