"""Requests for approval: the list of them, and one with its comments and what it is about."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from confhub.access.policies import Verb
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import asked
from confhub.publishing import requests as publishing
from confhub.publishing.consulting import with_hooks
from confhub.publishing.gates import Consent
from confhub.releases import queries as releases
from dashboard import changes, confirmations, protection, shell
from dashboard.protection import Asked


@require_safe
@shell.page
def requests(request: HttpRequest, who: Actor) -> HttpResponse:
    """Those that wait for whoever looks, and the others that stand."""
    listed = asked.listed(asked.standing_for(who))
    mine = [each for each in listed if asked.can_decide(who, each.request)]
    others = [each for each in listed if each not in mine]
    context = {"section": "requests", "mine": mine, "others": others}
    return render(request, "dashboard/requests.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def request_page(request: HttpRequest, who: Actor, number: int) -> HttpResponse:
    """POST: `act` is one of ACTS, `text` a comment."""
    position = shell.live_from()
    act = request.POST.get("act", "") if request.method == "POST" else ""
    verb: Verb
    verb, perform = ACTS.get(act, ("see", None))
    held = publishing.request_for(who, verb, number)
    if request.method != "POST":
        return _drawn(request, who, number, position)
    try:
        said = perform(request, held, who) if perform else ""
    except ConfHubError as error:
        return _drawn(request, who, number, position, error)
    if said:
        messages.success(request, said)
    return redirect("request", number)


@require_safe
@shell.page
def part(request: HttpRequest, who: Actor, number: int) -> HttpResponse:
    """Its state and comments, drawn again when something is said or decided."""
    held = protection.asked_of(who, publishing.request_for(who, "see", number))
    return render(request, "dashboard/parts/request_state.html", {"asked": held})


def _drawn(
    request: HttpRequest, who: Actor, number: int, position: int,
    error: ConfHubError | None = None,
) -> HttpResponse:  # fmt: skip
    held = protection.asked_of(who, publishing.request_for(who, "see", number))
    found = _changes(held)
    context = {
        "section": "requests",
        "asked": held,
        "refusal": error.detail if error else "",
        "guards": confirmations.asked(error) if error else [],
        "text": request.POST.get("text", "")[:2000],
        "changes": found,
        "counts": changes.counts(found),
        "position": position,
        "streams": held.place.stream,
    }
    return render(request, "dashboard/request.html", context, status=error.status if error else 200)


def _changes(held: Asked) -> list[Any]:
    """What publishing it would change; nothing of one that is decided."""
    if not held.stands:
        return []
    return changes.drawn(*releases.both_sides(held.place))


def _approve(request: HttpRequest, held: Any, who: Actor) -> str:
    text = request.POST.get("text", "")
    publishing.approve(held, text=text, who=who, now=clock.now())
    return "You approved it. It can be published now."


def _reject(request: HttpRequest, held: Any, who: Actor) -> str:
    publishing.reject(held, text=request.POST.get("text", ""), who=who, now=clock.now())
    return "You rejected it."


def _comment(request: HttpRequest, held: Any, who: Actor) -> str:
    publishing.comment(held, text=request.POST.get("text", ""), who=who, now=clock.now())
    return "Your comment is kept."


def _withdraw(request: HttpRequest, held: Any, who: Actor) -> str:
    publishing.withdraw(held, who=who, now=clock.now())
    return "The request is withdrawn."


def _again(request: HttpRequest, held: Any, who: Actor) -> str:
    """Ask for what the draft is now, with the same reason and targets."""
    made = publishing.ask(
        asked.place_of(held), message=held.message,
        targets=asked.targets_of(held) if held.layer_id else "all", who=who, now=clock.now(),
    )  # fmt: skip
    return f"You asked anew; request {made.pk} takes the place of this one."


def _publish(request: HttpRequest, held: Any, who: Actor) -> str:

    def publish(consent: Consent) -> Any:
        return publishing.publish_request(held, consent=consent, who=who, now=clock.now())

    with_hooks(publish, Consent(confirmed=confirmations.confirmed(request)))
    return "It is published."


ACTS: dict[str, tuple[Verb, Callable[[HttpRequest, Any, Actor], str] | None]] = {
    "approve": ("approve", _approve),
    "reject": ("approve", _reject),
    "comment": ("see", _comment),
    "withdraw": ("see", _withdraw),
    "again": ("edit", _again),
    "publish": ("publish", _publish),
}
