"""Roll back: see what it would change, then publish an older content as a new release."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from confhub.access.policies import Verb
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import actions as publishing
from confhub.publishing.consulting import silent_hook, with_hooks
from confhub.publishing.gates import Consent
from confhub.releases import images
from confhub.releases import queries as releases
from dashboard import changes, confirmations, protection, shell
from dashboard.forms import put_errors
from dashboard.pages.review import EmergencyForm, PublishForm, consent_of
from dashboard.pages.where import frame


class RollbackForm(PublishForm):
    """The reason may be left out: "Roll back to r3" says enough."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["message"].required = False
        del self.fields["version"]  # the draft stays as it is, so its version does not matter


class EmergencyRollbackForm(EmergencyForm):
    """The same past a freeze or a missing approval, which wants a reason of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["version"]


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def rollback(
    request: HttpRequest, who: Actor, service: str, environment: str, number: int
) -> HttpResponse:
    verb: Verb = "publish" if request.method == "POST" else "see"
    scope, draft, context = frame(who, verb, service, environment, tab="releases")
    target = releases.release_for(who, verb, scope, number)
    head = releases.head_of(scope)
    held = protection.of_scope(who, scope, now=clock.now())
    is_emergency = request.POST.get("act") == "emergency" if request.POST else held.is_hindered
    kind = EmergencyRollbackForm if is_emergency else RollbackForm
    form = kind(
        request.POST or None,
        initial={"release": draft.head, "message": f"Roll back to r{number}"},
        environment=context["environment"],
    )

    def publish(consent: Consent) -> Any:
        return publishing.roll_back(
            scope, number=number, message=form.cleaned_data["message"],
            expected_release=form.cleaned_data["release"], consent=consent, who=who,
            now=clock.now(),
        )  # fmt: skip

    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                published = with_hooks(publish, consent_of(request, form))
            except ConfHubError as error:
                again = request.POST.copy()
                again["release"], again["confirm"] = str(draft.head), ""
                form = kind(again, environment=context["environment"])
                form.full_clean()
                form.errors.clear()
                form.guards = confirmations.asked(error)
                put_errors(form, ConfHubError(error.detail))
                status = error.status
                if not is_emergency and silent_hook(error):
                    context["silent_hook"] = silent_hook(error)
                    context["emergency_form"] = EmergencyRollbackForm(
                        initial={"release": draft.head}, environment=context["environment"]
                    )
            else:
                _say(request, published, number)
                return redirect("live", service, environment)
    drawn = changes.drawn(head.shown if head else {}, target.shown)
    return render(
        request,
        "dashboard/rollback.html",
        context
        | {
            "release": target,
            "head": head,
            "form": form,
            "protection": held,
            "changes": drawn,
            "counts": changes.counts(drawn),
            "undone": releases.undone_by(scope, number),
            "offers": images.offers_beside(target),
            "met": sorted({each.key for each in drawn} & {each.key for each in draft.changes}),
            "next_release": draft.head + 1,
        },
        status=status,
    )


def _say(request: HttpRequest, published: Any, number: int) -> None:
    if published.created:
        text = f"r{published.release.number} is published with the content of r{number}."
        messages.success(request, text)
    else:
        messages.info(request, f"r{published.release.number} has this content already; it stays.")
