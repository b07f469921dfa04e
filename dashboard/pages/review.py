"""Review a draft and publish it; discard it; decide between it and what was published meanwhile."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from confhub.access.policies import Verb
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import actions as publishing
from confhub.publishing import requests, safety
from confhub.publishing.consulting import silent_hook, with_hooks
from confhub.publishing.gates import Consent
from confhub.releases import actions
from confhub.releases import queries as releases
from confhub.releases.queries import DraftView
from dashboard import changes, confirmations, overlaps, protection, shell
from dashboard.forms import put_errors
from dashboard.pages.where import frame
from dashboard.protection import Protection


class PublishForm(forms.Form):
    """The reason, what was reviewed, and in a protected environment its name."""

    act = "publish"
    guards: Sequence[Any] = ()  # what the last attempt asked to be confirmed
    needs_name = False  # also where the environment is not protected

    message = forms.CharField(
        label="Reason", max_length=2000, strip=True, widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say in a few words why; the history shows it."},
    )  # fmt: skip
    release = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    request = forms.IntegerField(min_value=1, required=False)  # an approved one; the page draws it
    confirm = forms.CharField(required=False)

    def __init__(self, *args: Any, environment: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environment = environment

    def clean_confirm(self) -> str:
        typed = str(self.cleaned_data["confirm"]).strip()
        wanted = self.environment.protected or self.needs_name
        if wanted and typed != self.environment.slug:
            raise forms.ValidationError(f"Type {self.environment.slug} to publish there.")
        return typed


class EmergencyForm(PublishForm):
    """Past a freeze and a missing approval: always with the name and a reason of its own."""

    act = "emergency"
    needs_name = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "emergency_%s", **kwargs})
        self.fields["message"].label = "Why it cannot wait"


class AskForm(PublishForm):
    """Nothing is published yet, so no name is typed."""

    act = "ask"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "ask_%s", **kwargs})
        del self.fields["confirm"]


FORMS: dict[str, type[PublishForm]] = {
    kind.act: kind for kind in (PublishForm, AskForm, EmergencyForm)
}
VERBS: dict[str, Verb] = {"ask": "edit"}


def consent_of(request: HttpRequest, form: PublishForm) -> Consent:
    """What was agreed to on the page: guards that were ticked, the request, the emergency."""
    return Consent(
        confirmed=confirmations.confirmed(request),
        request_id=form.cleaned_data.get("request"),
        emergency=form.act == "emergency",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def review(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    act = request.POST.get("act", "publish") if request.method == "POST" else ""
    kind = FORMS.get(act, PublishForm)
    verb: Verb = VERBS.get(act, "publish") if act else "see"
    scope, draft, context = frame(who, verb, service, environment, tab="review")
    if not act:
        return _answer(request, who, scope, draft, context)
    form = kind(request.POST, environment=context["environment"])
    if not form.is_valid():
        return _answer(request, who, scope, draft, context, form, status=422)
    try:
        return _done(request, who, scope, form)
    except ConfHubError as error:
        # What stands below is the draft as it is now, so the next click publishes that and no other.
        fresh = _form(kind, draft, context["environment"], data=request.POST)
        fresh.guards = confirmations.asked(error)
        put_errors(fresh, ConfHubError(error.detail))
        context["silent_hook"] = silent_hook(error)
        return _answer(request, who, scope, draft, context, fresh, status=error.status)


def _done(request: HttpRequest, who: Actor, scope: Any, form: PublishForm) -> HttpResponse:
    """Ask, or publish. Raises what the actions raise."""
    held, names = form.cleaned_data, (scope.service.slug, scope.environment.slug)
    if form.act == "ask":
        requests.ask(
            scope, message=held["message"], expected_draft=held["version"], who=who, now=clock.now()
        )
        messages.success(request, "You asked for approval. Whoever may approve it sees it now.")
        return redirect("review", *names)

    def publish(consent: Consent) -> Any:
        return publishing.publish_draft(
            scope, message=held["message"], expected_release=held["release"],
            expected_draft=held["version"], consent=consent, who=who, now=clock.now(),
        )  # fmt: skip

    published = with_hooks(publish, consent_of(request, form))
    if published.created:
        messages.success(request, f"r{published.release.number} is published.")
    else:
        messages.info(request, f"Nothing differs from r{published.release.number}; it stays.")
    return redirect("live", *names)


@require_POST
@shell.page
def discard(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """Give the whole draft up, unless somebody changed it since the page was drawn."""
    scope, _, _ = frame(who, "edit", service, environment, tab="review")
    try:
        expected = int(request.POST.get("version", ""))
        actions.discard_draft(scope, expected=expected, who=who, now=clock.now())
    except ValueError:
        messages.error(request, "The page was incomplete. Nothing was discarded.")
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, "The draft is discarded; every key is as published.")
    return redirect("config", service, environment)


@require_POST
@shell.page
def rebase(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    """Put the draft on the newest release, as `keep.KEY` says for each key: mine, theirs, merged."""
    scope, draft, _ = frame(who, "edit", service, environment, tab="review")
    decision = overlaps.decided(request.POST, draft)
    if decision is None:
        messages.error(request, "Decide for each of these keys which value stays.")
        return redirect("review", service, environment)
    version = request.POST.get("version", "")
    try:
        actions.rebase_draft(
            scope, take_theirs=decision.theirs, merge=decision.merged, expected_release=draft.head,
            expected=int(version) if version.isdecimal() and len(version) < 10 else None,
            who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, f"The draft now starts from r{draft.head}. Review it once more.")
    return redirect("review", service, environment)


def _form(
    kind: type[PublishForm], draft: DraftView, environment: Any, *, data: Any = None,
    held: Protection | None = None,
) -> PublishForm:  # fmt: skip
    """A fresh form of `kind`; with `data` what was sent, for the draft as it is now."""
    if data is None:
        initial: dict[str, Any] = {"release": draft.head, "version": draft.version}
        if held is not None and held.asked is not None and kind is not EmergencyForm:
            initial["message"] = held.asked.request.message
        return kind(initial=initial, environment=environment)
    again = data.copy()
    again["release"], again["version"] = str(draft.head), str(draft.version)
    again["confirm"] = ""
    form = kind(again, environment=environment)
    form.full_clean()
    form.errors.clear()
    return form


def _answer(
    request: HttpRequest, who: Actor, scope: Any, draft: DraftView, context: dict[str, Any],
    form: PublishForm | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    """The page, with `form` in the place of the fresh one of its kind."""
    held = protection.of_scope(who, scope, now=clock.now())
    drawn_forms = {
        act: form
        if form is not None and form.act == act
        else _form(kind, draft, scope.environment, held=held)
        for act, kind in FORMS.items()
    }
    may_be_one = not held.is_open or bool(context.get("silent_hook")) or _is_emergency(form)
    is_drawn = {"publish": held.is_open, "ask": held.can_ask, "emergency": may_be_one}
    found = changes.drawn(*releases.both_sides(scope))
    drawn = context | {
        "form": drawn_forms["publish"],
        "ask_form": drawn_forms["ask"],
        "emergency_form": drawn_forms["emergency"],
        "is_emergency": _is_emergency(form),
        "may_be_emergency": may_be_one,
        "protection": held,
        # A refusal whose form is not on the page any more, because something changed meanwhile.
        "lost": form.non_field_errors() if form is not None and not is_drawn[form.act] else [],
        "changes": found,
        "counts": changes.counts(found),
        "next_release": draft.head + 1,
        "overlaps": overlaps.drawn(scope, draft),
        "foreseen": safety.foreseen(scope) if found else None,
    }
    return render(request, "dashboard/review.html", drawn, status=status)


def _is_emergency(form: PublishForm | None) -> bool:
    return form is not None and form.act == "emergency"
