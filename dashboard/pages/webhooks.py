"""Webhooks: who is told what happens, how each does, and what was sent."""

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from confhub.access.people import place_for
from confhub.access.policies import may
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.webhooks import actions, queries
from confhub.webhooks.kinds import PUBLIC, offered
from dashboard import shell
from dashboard.forms import put_errors
from dashboard.pages.people import PlaceForm

FORMS = {
    "standard": "JSON, signed (Standard Webhooks)",
    "slack": "Slack or Mattermost",
    "email": "E-mail",
}
SHOWN = 50  # deliveries on one page
FRAME = {"tab": "webhooks", "section": "automation"}


def _kinds(**options: Any) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label="What is told", required=False, widget=forms.CheckboxSelectMultiple,
        choices=lambda: [(kind, PUBLIC[kind].words) for kind in offered()],
        help_text="None ticked: all of it, and what is added later.", **options,
    )  # fmt: skip


class WebhookForm(PlaceForm):
    name = forms.CharField(
        label="Name", max_length=63, help_text="Small letters, digits, '-'. It never changes.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    form = forms.ChoiceField(label="Form", choices=list(FORMS.items()))
    to = forms.CharField(
        label="Address", max_length=500, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="A URL; of an e-mail the addresses, with commas between.",
    )  # fmt: skip
    kinds = _kinds()
    field_order = ("name", "form", "to", "service", "environment", "kinds")


class ChangeForm(forms.Form):
    to = forms.CharField(
        label="Another address", max_length=500, required=False, help_text="Empty: as it is.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    kinds = _kinds()


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def webhooks(request: HttpRequest, who: Actor) -> HttpResponse:
    """The list, and making one; its secret is shown in the answer and never again."""
    form = WebhookForm(request.POST or None, who=who)
    if request.method == "POST" and form.is_valid():
        made = _made(form, who)
        if made is not None:
            return _drawn(request, who, made.webhook.name, secret=made.secret, is_new=True)
    found = queries.webhooks_for(who)
    context = {
        "webhooks": found, "form": form, "forms": FORMS, "has_mail": bool(settings.EMAIL_URL),
        "may_make": may(who, "see", "people"),
    }  # fmt: skip
    return render(
        request, "dashboard/webhooks.html", FRAME | context, status=422 if form.errors else 200
    )


def _made(form: WebhookForm, who: Actor) -> actions.Made | None:
    wanted = form.cleaned_data
    service, environment = place_for(who, wanted["service"], wanted["environment"])
    queries.require_admin_of(who, wanted["service"] or None, wanted["environment"] or None)
    try:
        return actions.make_webhook(
            wanted["name"], form=wanted["form"], to=wanted["to"], kinds=wanted["kinds"],
            service=service, environment=environment, who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        put_errors(form, error)
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def webhook(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """One of them with its deliveries; POST changes its address and kinds."""
    held = queries.webhook_for(who, name)
    if request.method != "POST":
        return _drawn(request, who, name)
    form = ChangeForm(request.POST)
    if form.is_valid():
        wanted = form.cleaned_data
        try:
            actions.change_webhook(
                held.row, to=wanted["to"] or None, kinds=wanted["kinds"], who=who, now=clock.now()
            )
        except ConfHubError as error:
            put_errors(form, error)
        else:
            messages.success(request, f"{name} is changed.")
            return redirect("webhook", name)
    return _drawn(request, who, name, form=form, status=422)


@require_POST
@shell.page
def switch(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """on=yes switches it on, on=no off."""
    held = queries.webhook_for(who, name)
    wanted = request.POST.get("on")
    if wanted not in ("yes", "no"):
        messages.error(request, "The page was incomplete. Nothing was changed.")
        return redirect("webhook", name)

    def act() -> str:
        actions.change_webhook(held.row, is_on=wanted == "yes", who=who, now=clock.now())
        return f"{name} is switched {'on' if wanted == 'yes' else 'off'}."

    return _done(request, act, "webhook", name)


@require_POST
@shell.page
def secret(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """Another secret, shown in the answer and never again."""
    held = queries.webhook_for(who, name)
    try:
        fresh = actions.new_secret(held.row, who=who, now=clock.now())
    except ConfHubError as error:
        messages.error(request, error.detail)
        return redirect("webhook", name)
    return _drawn(request, who, name, secret=fresh)


@require_POST
@shell.page
def test(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    held = queries.webhook_for(who, name)

    def act() -> str:
        actions.send_test(held.row, who=who, now=clock.now())
        return "A test is on its way. Load the page again to see what came of it."

    return _done(request, act, "webhook", name)


@require_POST
@shell.page
def redeliver(request: HttpRequest, who: Actor, name: str, message_id: str) -> HttpResponse:
    held = queries.webhook_for(who, name)
    delivery = queries.delivery_for(held.row, message_id)

    def act() -> str:
        actions.redeliver(held.row, delivery.row, who=who, now=clock.now())
        return "It is sent again, with the same id."

    return _done(request, act, "webhook", name)


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def remove(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """Asks once more, then removes it."""
    held = queries.webhook_for(who, name)
    if request.method != "POST":
        return render(request, "dashboard/webhook_remove.html", FRAME | {"webhook": held})

    def act() -> str:
        actions.remove_webhook(held.row, who=who, now=clock.now())
        return f"{name} is removed."

    return _done(request, act, "webhooks")


@require_safe
@shell.page
def delivery(request: HttpRequest, who: Actor, name: str, message_id: str) -> HttpResponse:
    """What was sent, and what came back."""
    held = queries.webhook_for(who, name)
    found = queries.delivery_for(held.row, message_id)
    body = json.dumps(found.row.body, indent=2, ensure_ascii=False)
    context = {"webhook": held, "delivery": found, "body": body}
    return render(request, "dashboard/webhook_delivery.html", FRAME | context)


def _done(request: HttpRequest, act: Callable[[], str], *page: str) -> HttpResponse:
    """What `act` did, or why it was refused, said on the page that follows."""
    try:
        messages.success(request, act())
    except actions.WebhookIsOff as error:
        messages.error(request, error.detail)
    return redirect(page[0], *page[1:])


def _drawn(
    request: HttpRequest, who: Actor, name: str, *, form: ChangeForm | None = None,
    secret: str = "", is_new: bool = False, status: int = 200,
) -> HttpResponse:  # fmt: skip
    held = queries.webhook_for(who, name)
    asked = request.GET.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 18 else None
    rows = queries.deliveries_of(held.row, before=before, limit=SHOWN + 1)
    context = {
        "webhook": held,
        "form_words": FORMS[held.row.form],
        "kinds": [(kind, PUBLIC[kind].words) for kind in held.row.kinds],
        "change_form": form or ChangeForm(initial={"kinds": held.row.kinds}),
        "deliveries": rows[:SHOWN],
        "older": rows[SHOWN - 1].row.pk if len(rows) > SHOWN else None,
        "before": before,
        "secret": secret,
        "is_new": is_new,
        "public_url": settings.CONFHUB_PUBLIC_URL,
    }
    return render(request, "dashboard/webhook.html", FRAME | context, status=status)
