"""Deploy hooks: make them, write and try their rules, see what came."""

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from confhub.access import queries as access
from confhub.access.policies import may
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.deploys import actions, carrying, payloads, previewing, queries, rules
from confhub.deploys.actions import MAX_WAIT_S
from confhub.deploys.payloads import BadPayload
from confhub.deploys.senders import SENDERS
from confhub.releases.texts import TextUnreadable
from dashboard import changes, deploy_snippets, shell, values
from dashboard.forms import put_errors

SHOWN = 20  # deliveries on a hook's page
FRAME = {"tab": "deploy-hooks", "section": "automation"}
TONES = {
    "received": ("lag", "dots"), "published": ("ok", "check"), "unchanged": ("ok", "check"),
    "skipped": ("off", "ring"), "refused": ("bad", "cross"), "failed": ("bad", "cross"),
    "rehearsed": ("off", "ring"),
}  # fmt: skip
_TEXT = {"rows": 12, "spellcheck": "false", "autocomplete": "off"}


class RulesForm(forms.Form):
    """The rules, and how long it waits."""

    rules = forms.CharField(
        label="Rules", max_length=20_000, strip=False, widget=forms.Textarea(attrs=_TEXT),
        help_text="YAML or JSON: events and match choose what is taken; set, types, unset, message "
        "and image say what comes of it, by JSON pointers and templates.",
    )  # fmt: skip
    wait_s = forms.IntegerField(
        label="Seconds to wait for convergence", min_value=0, max_value=MAX_WAIT_S, initial=0,
        help_text=f"Before it answers; {MAX_WAIT_S} at most. GitHub itself waits for 10.",
    )  # fmt: skip

    mapping: dict[str, Any]
    filters: dict[str, Any]

    def clean_rules(self) -> str:
        text = str(self.cleaned_data["rules"])
        try:
            self.mapping, self.filters = rules.read(text)
            actions.check_rules(self.mapping, self.filters, 0)
        except TextUnreadable as error:
            raise forms.ValidationError(error.detail) from error
        except ConfHubError as error:
            raise forms.ValidationError(" ".join(error.fields.values())) from error
        return text


class HookForm(RulesForm):
    name = forms.CharField(
        label="Name", max_length=63, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Small letters, digits, '-'. It stands in the address and never changes.",
    )  # fmt: skip
    kind = forms.ChoiceField(
        label="Who sends", choices=[(kind, sender.title) for kind, sender in SENDERS.items()]
    )
    place = forms.ChoiceField(label="Publishes to")
    field_order = ("name", "kind", "place", "rules", "wait_s")

    def __init__(self, *args: Any, places: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["place"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        field.choices = [(place, place) for place in places]


class SampleForm(forms.Form):
    """A payload to try the rules with."""

    sample = forms.CharField(
        label="Payload", max_length=200_000, required=False, strip=False,
        widget=forms.Textarea(attrs={**_TEXT, "rows": 8}),
        help_text="JSON. Empty: the newest that was kept.",
    )  # fmt: skip

    payload: dict[str, Any] | None = None

    def clean_sample(self) -> str:
        text = str(self.cleaned_data["sample"])
        if text.strip():
            try:
                self.payload = payloads.read(text.encode("utf-8", "surrogatepass"))
            except BadPayload as error:
                raise forms.ValidationError(error.detail) from error
        return text


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def deploy_hooks(request: HttpRequest, who: Actor) -> HttpResponse:
    """The list, and making one; its secret is shown in the answer and never again."""
    if request.method == "POST":
        service, _, environment = request.POST.get("place", "").partition("@")
        access.scope_for(who, "publish", service, environment)
    places = [str(each) for each in access.all_scopes(who) if may(who, "publish", each)]
    first = rules.EXAMPLES["confhub"]
    form = HookForm(
        request.POST or None, places=places,
        initial={"rules": next(iter(first.values())), "place": request.GET.get("place")},
    )  # fmt: skip
    if request.method == "POST" and form.is_valid():
        secret = _made(form, who)
        if secret is not None:
            return _drawn(request, who, form.cleaned_data["name"], secret=secret, is_new=True)
    hooks = queries.hooks_for(who)
    newest = queries.newest_deliveries(hooks)
    context = {
        "hooks": [(hook, SENDERS[hook.kind].title, _line(newest.get(hook.pk))) for hook in hooks],
        "form": form,
        "places": places,
        "examples": _examples(),
    }
    return render(
        request, "dashboard/deploy_hooks.html", FRAME | context, status=422 if form.errors else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def deploy_hook(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """One hook; POST with one of ACTS as `act`."""
    hook = queries.hook_for(who, "publish", name)
    if request.method != "POST":
        return _drawn(request, who, name)
    act = ACTS.get(request.POST.get("act", ""))
    if act is None:
        messages.error(request, "The page was incomplete. Nothing was changed.")
        return redirect("deploy-hook", name)
    try:
        return act(request, who, hook)
    except (carrying.PayloadNotKept, actions.BadDeployHook) as error:
        messages.error(request, error.detail)
        return redirect("deploy-hook", name)


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def delivery_page(request: HttpRequest, who: Actor, name: str, delivery: int) -> HttpResponse:
    """One delivery with its payload; POST carries it out once more."""
    hook = queries.hook_for(who, "publish", name)
    row = queries.delivery_for(hook, delivery)
    if request.method == "POST":
        try:
            _say(request, carrying.retry(row, who=who, now=clock.now()))
        except carrying.PayloadNotKept as error:
            messages.error(request, error.detail)
        return redirect("deploy-hook", name)
    payload = payloads.masked(queries.payload_of(row))
    context = {
        "hook": hook,
        "line": _line(row),
        "payload": None if payload is None else json.dumps(payload, indent=2, ensure_ascii=False),
    }
    return render(request, "dashboard/deploy_delivery.html", FRAME | context)


def _made(form: HookForm, who: Actor) -> str | None:
    wanted = form.cleaned_data
    service, _, environment = wanted["place"].partition("@")
    try:
        _, secret = actions.make_hook(
            access.scope_for(who, "publish", service, environment), name=wanted["name"],
            kind=wanted["kind"], mapping=form.mapping, filters=form.filters,
            wait_s=wanted["wait_s"], who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        put_errors(form, error)
        return None
    return secret


def _save(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    form = RulesForm(request.POST)
    if not form.is_valid():
        return _drawn(request, who, hook.name, form=form, status=422)
    actions.change_hook(
        hook, mapping=form.mapping, filters=form.filters, wait_s=form.cleaned_data["wait_s"],
        who=who, now=clock.now(),
    )  # fmt: skip
    messages.success(request, f"The rules of {hook.name} are saved.")
    return redirect("deploy-hook", hook.name)


def _preview(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    """What the rules as they stand in the form would make of a payload. Nothing is written."""
    form, sample = RulesForm(request.POST), SampleForm(request.POST)
    if not (form.is_valid() & sample.is_valid()):
        return _drawn(request, who, hook.name, form=form, sample=sample, status=422)
    seen = previewing.preview(
        hook, payload=sample.payload, rules=(form.mapping, form.filters), who=who, now=clock.now()
    )
    return _drawn(request, who, hook.name, form=form, sample=sample, preview=_previewed(seen))


def _fire(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    """A delivery by hand, by the saved rules; for real only where that was ticked."""
    sample = SampleForm(request.POST)
    if not sample.is_valid():
        return _drawn(request, who, hook.name, sample=sample, status=422)
    payload = sample.payload
    if payload is None:
        newest = queries.newest_with_payload(hook)
        if newest is None:
            sample.add_error("sample", "No payload was kept yet. Write one.")
            return _drawn(request, who, hook.name, sample=sample, status=422)
        payload = carrying.kept_payload(newest)
    done = carrying.fire(
        hook, payload, dry_run=request.POST.get("publish") != "yes",
        address=str(request.META.get("REMOTE_ADDR") or ""), who=who, now=clock.now(),
    )  # fmt: skip
    _say(request, done)
    return redirect("deploy-hook", hook.name)


def _secret(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    secret = actions.new_secret(hook, who=who, now=clock.now())
    return _drawn(request, who, hook.name, secret=secret)


def _switch(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    is_on = not hook.is_on
    actions.change_hook(hook, is_on=is_on, who=who, now=clock.now())
    messages.success(request, f"{hook.name} is switched {'on' if is_on else 'off'}.")
    return redirect("deploy-hook", hook.name)


def _take_over(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    actions.change_hook(hook, takes_over=True, who=who, now=clock.now())
    messages.success(request, f"{hook.name} acts as you from now on.")
    return redirect("deploy-hook", hook.name)


def _remove(request: HttpRequest, who: Actor, hook: Any) -> HttpResponse:
    if request.POST.get("confirm", "").strip() != hook.name:
        messages.error(request, f"Type {hook.name} to remove it. Nothing was removed.")
        return redirect("deploy-hook", hook.name)
    actions.remove_hook(hook, who=who, now=clock.now())
    messages.success(request, f"{hook.name} is removed. What it published stays.")
    return redirect("deploy-hooks")


ACTS: dict[str, Callable[[HttpRequest, Actor, Any], HttpResponse]] = {
    "save": _save, "preview": _preview, "fire": _fire, "secret": _secret, "switch": _switch,
    "take-over": _take_over, "remove": _remove,
}  # fmt: skip


def _say(request: HttpRequest, done: carrying.Done) -> None:
    text = f"Delivery {done.delivery.pk}, {done.acted.outcome}: {done.acted.detail}"
    (messages.error if done.error else messages.success)(request, text)


def _drawn(
    request: HttpRequest, who: Actor, name: str, *, form: RulesForm | None = None,
    sample: SampleForm | None = None, preview: dict[str, Any] | None = None,
    secret: str | None = None, is_new: bool = False, status: int = 200,
) -> HttpResponse:  # fmt: skip
    hook = queries.hook_for(who, "publish", name)
    path = reverse("api:receive_deploy", args=[hook.name])
    address = request.build_absolute_uri(path)
    initial = {"rules": rules.written(hook.mapping, hook.filters), "wait_s": hook.wait_s}
    context = {
        "hook": hook,
        "title": SENDERS[hook.kind].title,
        "address": address,
        "call": deploy_snippets.call(address) if hook.kind == "confhub" else "",
        "settings": deploy_snippets.settings(hook.kind, address, secret),
        "is_self": hook.user_id == who.user_id,
        "person_may": may(queries.actor_of(hook), "publish", hook.scope),
        "form": form or RulesForm(initial=initial),
        "sample": sample or SampleForm(),
        "preview": preview,
        "secret": secret,
        "is_new": is_new,
        "examples": rules.EXAMPLES[hook.kind].items(),
        "lines": [_line(row) for row in queries.deliveries_of(hook, limit=SHOWN)],
    }
    return render(request, "dashboard/deploy_hook.html", FRAME | context, status=status)


def _line(row: Any) -> dict[str, Any] | None:
    """A delivery with its tone and its drawing."""
    if row is None:
        return None
    tone, drawing = TONES[row.outcome]
    return {"row": row, "tone": tone, "icon": drawing}


def _previewed(seen: previewing.Preview) -> dict[str, Any]:
    drawn = changes.drawn_of(seen.would.changes)
    mapped = seen.would.mapped
    tone, drawing = TONES[str(seen.would.outcome)]
    return {
        "source": seen.source,
        "outcome": str(seen.would.outcome),
        "detail": seen.would.detail,
        "tone": tone,
        "icon": drawing,
        "set": [
            (key, values.shown(value), mapped.sources.get(key, "") if mapped else "")
            for key, value in seen.set.items()
        ],
        "unset": mapped.unset if mapped else [],
        "message": mapped.message if mapped else "",
        "image": mapped.image if mapped else None,
        "problems": list(seen.error.fields.items()) if seen.error else [],
        "changes": drawn,
        "counts": changes.counts(drawn),
    }


def _examples() -> list[tuple[str, str, str]]:
    return [
        (SENDERS[kind].title, what, text)
        for kind, held in rules.EXAMPLES.items()
        for what, text in held.items()
    ]
