"""Review a draft and publish it; discard it; decide between it and what was published meanwhile."""

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
from confhub.releases import actions
from confhub.releases import queries as releases
from confhub.releases.queries import DraftView
from dashboard import changes, shell, values
from dashboard.forms import put_errors
from dashboard.pages.where import frame


class PublishForm(forms.Form):
    """The reason, what was reviewed, and in a protected environment its name."""

    message = forms.CharField(
        label="Reason", max_length=2000, strip=True, widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say in a few words why; the history shows it."},
    )  # fmt: skip
    release = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    confirm = forms.CharField(required=False)

    def __init__(self, *args: Any, environment: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environment = environment

    def clean_confirm(self) -> str:
        typed = str(self.cleaned_data["confirm"]).strip()
        if self.environment.protected and typed != self.environment.slug:
            raise forms.ValidationError(f"Type {self.environment.slug} to publish there.")
        return typed


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def review(request: HttpRequest, who: Actor, service: str, environment: str) -> HttpResponse:
    verb: Verb = "publish" if request.method == "POST" else "see"
    scope, draft, context = frame(who, verb, service, environment, tab="review")
    if request.method != "POST":
        return _answer(request, scope, draft, context, _form(draft, context["environment"]))
    form = PublishForm(request.POST, environment=context["environment"])
    if not form.is_valid():
        return _answer(request, scope, draft, context, form, status=422)
    held = form.cleaned_data
    try:
        published = publishing.publish_draft(
            scope, message=held["message"], expected_release=held["release"],
            expected_draft=held["version"], who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        # What stands below is the draft as it is now, so the next click publishes that and no other.
        fresh = _form(draft, context["environment"], data=request.POST)
        put_errors(fresh, ConfHubError(error.detail))
        return _answer(request, scope, draft, context, fresh, status=error.status)
    if published.created:
        messages.success(request, f"r{published.release.number} is published.")
    else:
        messages.info(request, f"Nothing differs from r{published.release.number}; it stays.")
    return redirect("live", service, environment)


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
    """Put the draft on the newest release; `theirs` names the keys whose published value stays."""
    scope, draft, _ = frame(who, "edit", service, environment, tab="review")
    decided = {key: request.POST.get(f"keep.{key}", "") for key in draft.overlapping}
    seen = request.POST.get("release", "")
    if seen != str(draft.head) or not all(side in ("mine", "theirs") for side in decided.values()):
        messages.error(request, "Decide for each of these keys which value stays.")
        return redirect("review", service, environment)
    theirs = [key for key, side in decided.items() if side == "theirs"]
    version = request.POST.get("version", "")
    try:
        actions.rebase_draft(
            scope, take_theirs=theirs, expected_release=draft.head,
            expected=int(version) if version.isdecimal() and len(version) < 10 else None,
            who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, f"The draft now starts from r{draft.head}. Review it once more.")
    return redirect("review", service, environment)


def _form(draft: DraftView, environment: Any, *, data: Any = None) -> PublishForm:
    if data is None:
        return PublishForm(
            initial={"release": draft.head, "version": draft.version}, environment=environment
        )
    again = data.copy()
    again["release"], again["version"] = str(draft.head), str(draft.version)
    again["confirm"] = ""
    form = PublishForm(again, environment=environment)
    form.full_clean()
    form.errors.clear()
    return form


def _answer(
    request: HttpRequest, scope: Any, draft: DraftView, context: dict[str, Any], form: PublishForm,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    found = changes.drawn(releases.entries_of(scope), releases.resolved_draft(scope))
    drawn = context | {
        "form": form,
        "changes": found,
        "counts": changes.counts(found),
        "next_release": draft.head + 1,
        "overlaps": _overlaps(scope, draft),
    }
    return render(request, "dashboard/review.html", drawn, status=status)


def _overlaps(scope: Any, draft: DraftView) -> list[dict[str, Any]]:
    """[{"key", "mine", "theirs", "author"}] for each key that a release since the base changed."""
    if not draft.overlapping:
        return []
    published = releases.entries_of(scope)
    drafted = {change.key: change for change in draft.changes}
    return [
        {
            "key": key,
            "author": drafted[key].author,
            "mine": None if drafted[key].removed else values.shown(drafted[key].value),
            "theirs": values.shown(published[key]["value"]) if key in published else None,
        }
        for key in draft.overlapping
    ]
