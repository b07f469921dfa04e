"""Ask others to agree with a draft before it is published: ask, comment, approve, reject, withdraw.

A request is for one content: as soon as something else would be published it is out of date, and
can be asked again. A place has one request that stands. Every action locks the place first, as a
publish does, so that nothing moves between the look and the act.
"""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.db import transaction

from confhub.access.policies import NotFound, Verb, may, require
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import actions, asked, layers, protection
from confhub.publishing.actions import AGREED, MAX_MESSAGE_CHARS, Published
from confhub.publishing.gates import Consent
from confhub.publishing.layers import LayerPublished, Targets
from confhub.publishing.models import ReleaseRequest, RequestComment
from confhub.publishing.protection import STANDING, State
from confhub.releases import actions as releases
from confhub.releases.queries import draft_of

if TYPE_CHECKING:
    from confhub.releases.places import Place

MAX_COMMENTS = 200  # of one request


class BadRequestText(ConfHubError):
    """The reason or the comment of a request cannot be kept."""

    code: ClassVar[str] = "request.text"
    status: ClassVar[int] = 422


class NothingToAsk(ConfHubError):
    """Nothing would change, so nobody has to agree with it."""

    code: ClassVar[str] = "request.empty"
    status: ClassVar[int] = 422


class RequestStands(ConfHubError):
    """The place has a request that is not decided, or not published yet."""

    code: ClassVar[str] = "request.stands"
    status: ClassVar[int] = 409


class RequestIsDecided(ConfHubError):
    """Somebody approved, rejected, withdrew or published it already."""

    code: ClassVar[str] = "request.decided"
    status: ClassVar[int] = 409


class OwnRequest(ConfHubError):
    """Nobody approves what they asked for themselves, with their tokens neither."""

    code: ClassVar[str] = "request.own"
    status: ClassVar[int] = 403


def request_for(who: Actor, verb: Verb, number: int) -> ReleaseRequest:
    """The door: request `number` with its place. Raises NotFound, NotAllowed."""
    rows = ReleaseRequest.objects.select_related("scope__service", "scope__environment", "layer")
    found = rows.filter(pk=number).first() if 0 < number < 2**63 else None
    if found is None or not may(who, "see", asked.place_of(found)):
        raise NotFound(f"There is no request {number}.", fields={"request": "No such request."})
    require(who, verb, asked.place_of(found))
    return found


@transaction.atomic
def ask(
    place: "Place", *, message: str, targets: Targets = "all", expected_draft: int | None = None,
    who: Actor, now: datetime,
) -> ReleaseRequest:  # fmt: skip
    """Ask for approval of the place's draft; of a layer, for the scopes that `targets` name.

    A request that is out of date gives way. Raises BadRequestText, NothingToAsk, RequestStands,
    DraftIsStale, and what a publish would refuse about the entries.
    """
    message = _text(message, "message")
    require(who, "edit", place)
    place = releases.lock(place)
    draft = draft_of(place)
    actions.check_draft(place, draft, expected=expected_draft)
    plan = asked.plan(place, targets, message=message, who=who, now=now)
    if plan.is_idle:
        raise NothingToAsk(f"{place}: nothing would change, so there is nothing to ask for.")
    if (standing := protection.standing_request(place)) is not None:
        if standing.content == plan.content:
            raise RequestStands(
                f"{standing.author} asked for exactly this already (request {standing.pk}, "
                f"{standing.state}). Comment on it, or withdraw it first.",
                extra={"request": standing.pk},
            )
        protection.move(standing, place, State.WITHDRAWN, who=who, now=now, out_of_date=True)
    made = ReleaseRequest.objects.create(
        scope=place if isinstance(place, Scope) else None,
        layer=None if isinstance(place, Scope) else place,
        draft_version=draft.version,
        content=plan.content,
        targets=plan.targets,
        message=message,
        author=who.name,
        author_id_asked=who.user_id,
        asked_at=now,
    )
    protection.tell(made, place, "asked", who=who, now=now, keys=plan.keys[:100])
    return made


@transaction.atomic
def comment(request: ReleaseRequest, *, text: str, who: Actor, now: datetime) -> RequestComment:
    """Say something about the request, also when it is decided. Raises BadRequestText."""
    text = _text(text, "text")
    request, place = _locked(request)
    made = _said(request, text, who=who, now=now)
    protection.tell(request, place, "commented", who=who, now=now)
    return made


@transaction.atomic
def approve(
    request: ReleaseRequest, *, text: str = "", who: Actor, now: datetime
) -> ReleaseRequest:
    """Agree with it as another person. Raises OwnRequest, RequestIsDecided, RequestIsStale,
    NotAllowed."""
    request, place = _locked(request)
    require(who, "approve", place)
    _check_open(request)
    if asked.is_author(request, who):
        raise OwnRequest(
            f"You asked for request {request.pk} yourself, so another person has to approve it."
        )
    if asked.content_now(request, place) != request.content:
        raise protection.request_is_stale(request, place)
    if text.strip():
        _said(request, _text(text, "text"), who=who, now=now)
    protection.move(request, place, State.APPROVED, who=who, now=now)
    return request


@transaction.atomic
def reject(request: ReleaseRequest, *, text: str, who: Actor, now: datetime) -> ReleaseRequest:
    """Say no and why; also to one that was approved and is not published yet.

    Raises BadRequestText, RequestIsDecided, NotAllowed.
    """
    text = _text(text, "text")
    request, place = _locked(request)
    require(who, "approve", place)
    _check_standing(request)
    _said(request, text, who=who, now=now)
    protection.move(request, place, State.REJECTED, who=who, now=now)
    return request


@transaction.atomic
def withdraw(request: ReleaseRequest, *, who: Actor, now: datetime) -> ReleaseRequest:
    """Take it back: whoever asked, or may edit the place. Raises RequestIsDecided, NotAllowed."""
    request, place = _locked(request)
    require(who, "see" if asked.is_author(request, who) else "edit", place)
    _check_standing(request)
    protection.move(request, place, State.WITHDRAWN, who=who, now=now)
    return request


@transaction.atomic
def publish_request(
    request: ReleaseRequest, *, message: str = "", consent: Consent = AGREED, who: Actor,
    now: datetime,
) -> Published | LayerPublished:  # fmt: skip
    """Publish what was approved, with the request's reason where `message` is empty.

    Raises RequestIsDecided, NeedsApproval (not approved yet), RequestIsStale, NotAllowed, and what
    publish_draft and publish_layer raise.
    """
    request, place = _locked(request)
    require(who, "publish", place)
    _check_standing(request)
    if request.state != State.APPROVED:
        raise protection.not_approved(request, place)
    consent = replace(consent, request_id=request.pk, emergency=False)
    said = message.strip() or request.message
    if isinstance(place, Scope):
        return actions.publish_draft(place, message=said, consent=consent, who=who, now=now)
    targets = asked.targets_of(request)
    return layers.publish_layer(
        place, message=said, targets=targets, consent=consent, who=who, now=now
    )


def _locked(request: ReleaseRequest) -> "tuple[ReleaseRequest, Place]":
    """The request as it is now and its place, under the place's lock."""
    place = releases.lock(asked.place_of(request))
    fresh = ReleaseRequest.objects.filter(pk=request.pk).first()
    if fresh is None:  # it goes with its place
        raise releases.ScopeIsGone(f"Request {request.pk} was removed together with {place}.")
    return fresh, place


def _check_open(request: ReleaseRequest) -> None:
    if request.state != State.OPEN:
        raise _is_decided(request)


def _check_standing(request: ReleaseRequest) -> None:
    if request.state not in STANDING:
        raise _is_decided(request)


def _is_decided(request: ReleaseRequest) -> RequestIsDecided:
    by = f" by {request.decided_by}" if request.decided_by else ""
    return RequestIsDecided(
        f"Request {request.pk} is {request.state} already{by}. Nothing was done.",
        extra={"request": request.pk, "state": str(request.state)},
    )


def _said(request: ReleaseRequest, text: str, *, who: Actor, now: datetime) -> RequestComment:
    if request.comments.count() >= MAX_COMMENTS:
        sentence = f"The request has {MAX_COMMENTS} comments already. Ask anew, or decide."
        raise BadRequestText(sentence, fields={"text": sentence})
    return RequestComment.objects.create(request=request, author=who.name, text=text, at=now)


def _text(text: str, field: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_MESSAGE_CHARS or "\x00" in text:
        sentence = f"Write 1 to {MAX_MESSAGE_CHARS:,} characters, without NUL."
        what = "reason" if field == "message" else "comment"
        raise BadRequestText(f"The {what} cannot be kept. {sentence}", fields={field: sentence})
    return text
