"""Requests for approval: who may decide what, for which content, and what happens at once."""

from collections.abc import Callable
from typing import Any

import pytest

from confhub.access import layers as doors
from confhub.access.policies import NotAllowed, NotFound
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor, Granted
from confhub.events.models import AuditEntry, Event
from confhub.publishing import actions as publishing
from confhub.publishing import asked, layers, requests
from confhub.publishing.gates import Consent
from confhub.publishing.layers import NotOnLayer
from confhub.publishing.models import ReleaseRequest, RequestComment
from confhub.publishing.protection import Frozen, NeedsApproval, RequestIsStale
from confhub.publishing.requests import (
    BadRequestText,
    NothingToAsk,
    OwnRequest,
    RequestIsDecided,
    RequestStands,
)
from confhub.releases import actions as releases
from confhub.releases.actions import DraftIsStale
from confhub.releases.entries import BadEntries
from confhub.releases.models import LayerRelease, Release
from confhub.releases.queries import draft_of
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later
from tests.publishing.test_at_once import at_once
from tests.publishing.test_protection import draft, freeze, refused, wants_approval

pytestmark = pytest.mark.django_db

MIA = Actor("mia", 9, active=True, grants=(Granted("editor"),))
NEL = Actor("nel", 10, active=True, grants=(Granted("approver", environment="prod"),))
TOKEN_OF_ANN = Actor("token:ann", 1, active=True, grants=(Granted("admin"),))
BLIND = Actor("kim", 11, active=True, grants=(Granted("admin", service="mail"),))


@pytest.fixture
def prod() -> Scope:
    """billing in a prod that wants approvals: r1, and a draft."""
    scope = a_scope(protected=True)
    a_release(scope, {"POOL": 1})
    wants_approval(scope)
    draft(scope, POOL=2)
    return scope


def ask(place: Scope | Layer, who: Actor = ANN, **more: Any) -> ReleaseRequest:
    return requests.ask(place, **{"message": "more room", "who": who, "now": NOON, **more})


def approve(request: ReleaseRequest, who: Actor = BEN) -> ReleaseRequest:
    return requests.approve(request, who=who, now=NOON)


def state(request: ReleaseRequest) -> str:
    return str(ReleaseRequest.objects.get(pk=request.pk).state)


def test_a_draft_is_asked_for_approved_by_another_and_published(prod: Scope) -> None:
    request = ask(prod, MIA)
    requests.comment(request, text="why 2?", who=NEL, now=NOON)

    approve(request, NEL)
    done = requests.publish_request(request, who=ANN, now=NOON)

    assert isinstance(done, publishing.Published)
    assert (done.release.number, done.release.message) == (2, "more room")
    assert not done.release.emergency
    held = ReleaseRequest.objects.get()
    assert (held.state, held.author, held.decided_by) == ("published", "mia", "nel")
    actions = AuditEntry.objects.filter(action__startswith="request.").order_by("pk")
    assert [(each.action, each.actor) for each in actions] == [
        ("request.asked", "mia"), ("request.commented", "nel"), ("request.approved", "nel"),
        ("request.published", "ann"),
    ]  # fmt: skip
    assert {each.target for each in actions} == {"billing@prod"}
    told = Event.objects.filter(kind="request.changed", stream=prod.stream).order_by("pk")
    assert [event.data["done"] for event in told] == [
        "asked", "commented", "approved", "published",
    ]  # fmt: skip


def test_the_approved_request_is_named_with_a_plain_publish(prod: Scope) -> None:
    request = approve(ask(prod))
    consent = Consent(request_id=request.pk)

    made = publishing.publish_draft(prod, message="go", consent=consent, who=ANN, now=NOON)

    assert made.created
    assert state(request) == "published"
    draft(prod, POOL=3)
    refused(  # and it is used up
        NeedsApproval,
        lambda: publishing.publish_draft(prod, message="m", consent=consent, who=ANN, now=NOON),
    )


@pytest.mark.parametrize("who", [ANN, TOKEN_OF_ANN])
def test_nobody_approves_what_they_asked_for(prod: Scope, who: Actor) -> None:
    request = ask(prod)

    refused(OwnRequest, lambda: approve(request, who), match="another person")

    token_asked = asked.is_author(request, TOKEN_OF_ANN)
    assert token_asked


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_who_may_not_approve_decides_nothing(prod: Scope, act: str) -> None:
    request = ask(prod)
    more = {"text": "no"} if act == "reject" else {}

    refused(NotAllowed, lambda: getattr(requests, act)(request, **more, who=MIA, now=NOON))
    refused(NotFound, lambda: requests.request_for(BLIND, "see", request.pk))
    refused(NotFound, lambda: requests.request_for(ANN, "see", 4711))
    assert requests.request_for(NEL, "approve", request.pk) == request


def test_asking_needs_the_right_to_edit_and_publishing_the_right_to_publish(prod: Scope) -> None:
    refused(NotAllowed, lambda: ask(prod, NEL))
    request = approve(ask(prod))

    refused(NotAllowed, lambda: requests.publish_request(request, who=MIA, now=NOON))


def unfit(prod: Scope) -> dict[str, tuple[type[Exception], Callable[[], object]]]:
    request = ask(prod)
    return {
        "not approved yet": (
            NeedsApproval, lambda: requests.publish_request(request, who=ANN, now=NOON),
        ),
        "not approved yet, by its number": (
            NeedsApproval,
            lambda: publishing.publish_draft(
                prod, message="m", consent=Consent(request_id=request.pk), who=ANN, now=NOON
            ),
        ),
        "rejected without a word": (
            BadRequestText, lambda: requests.reject(request, text=" ", who=BEN, now=NOON),
        ),
        "a comment with NUL": (
            BadRequestText, lambda: requests.comment(request, text="a\x00", who=BEN, now=NOON),
        ),
        "a long comment": (
            BadRequestText, lambda: requests.comment(request, text="x" * 2001, who=BEN, now=NOON),
        ),
        "asked twice": (RequestStands, lambda: ask(prod, BEN)),
        "withdrawn by a reader": (
            NotAllowed, lambda: requests.withdraw(request, who=NEL, now=NOON),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("case", range(7))
def test_what_an_open_request_refuses(prod: Scope, case: int) -> None:
    kind, act = list(unfit(prod).values())[case]

    refused(kind, act)  # type: ignore[arg-type]  # all are refusals


@pytest.mark.parametrize("done", ["rejected", "withdrawn", "published"])
def test_a_decided_request_stays_decided(prod: Scope, done: str) -> None:
    request = ask(prod)
    if done == "rejected":
        requests.reject(request, text="too much", who=BEN, now=NOON)
    elif done == "withdrawn":
        requests.withdraw(request, who=ANN, now=NOON)
    else:
        requests.publish_request(approve(request), who=ANN, now=NOON)
    assert state(request) == done

    for act in (
        lambda: approve(request),
        lambda: requests.reject(request, text="no", who=BEN, now=NOON),
        lambda: requests.withdraw(request, who=ANN, now=NOON),
        lambda: requests.publish_request(request, who=ANN, now=NOON),
    ):
        refused(RequestIsDecided, act, match=done)
    requests.comment(request, text="for the record", who=BEN, now=NOON)
    assert RequestComment.objects.filter(text="for the record").exists()


def test_an_approval_is_taken_back(prod: Scope) -> None:
    request = approve(ask(prod))

    requests.reject(request, text="on second thoughts", who=BEN, now=NOON)

    refused(
        NeedsApproval,
        lambda: publishing.publish_draft(
            prod, message="m", consent=Consent(request_id=request.pk), who=ANN, now=NOON
        ),
    )


@pytest.mark.parametrize("moved", ["draft", "head"])
def test_a_request_is_out_of_date_when_draft_or_head_moved(prod: Scope, moved: str) -> None:
    request, approved = ask(prod), False
    for _ in range(2):  # before the approval, and between it and the publish
        if moved == "draft":
            draft(prod, POOL=30 + approved)
        else:
            publishing.publish_changes(
                prod, set={"OTHER": int(approved)}, unset=[], message="hook",
                consent=Consent(emergency=True), who=ANN, now=NOON,
            )  # fmt: skip
        assert asked.is_out_of_date(request)
        if approved:
            break
        refused(RequestIsStale, lambda stale=request: approve(stale), match="out of date")
        again = ask(prod)
        assert state(request) == "withdrawn"
        request, approved = approve(again), True
        assert not asked.is_out_of_date(request)

    refused(RequestIsStale, lambda: requests.publish_request(request, who=ANN, now=NOON))
    refused(
        RequestIsStale,
        lambda: publishing.publish_draft(
            prod, message="m", consent=Consent(request_id=request.pk), who=ANN, now=NOON
        ),
    )
    (listed,) = asked.listed([ReleaseRequest.objects.get(pk=request.pk)])
    assert listed.moved


def test_a_layer_that_changes_what_would_be_published_outdates_nothing_unseen(
    prod: Scope,
) -> None:
    """The scope keeps its layers' versions, so its request stays good when a layer moves on."""
    request = approve(ask(prod))
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set={"LEVEL": 1}, expected=None, who=ANN, now=NOON)
    layers.publish_layer(layer, message="x", targets=[], who=ANN, now=NOON)

    requests.publish_request(request, who=ANN, now=NOON)

    assert list(Release.objects.get(scope=prod, number=2).entries) == ["POOL"]


def test_an_edit_that_was_taken_back_leaves_the_request_good(prod: Scope) -> None:
    request = ask(prod)
    draft(prod, POOL=99)
    draft(prod, POOL=2)

    assert not asked.is_out_of_date(request)
    approve(request)


def test_what_could_not_be_published_is_not_asked_for(prod: Scope) -> None:
    refused(BadRequestText, lambda: ask(prod, message=" "))
    refused(DraftIsStale, lambda: ask(prod, expected_draft=draft_of(prod).version - 1))
    draft(prod, URL="${NOWHERE}")
    refused(BadEntries, lambda: ask(prod), match="NOWHERE")
    releases.discard_draft(prod, expected=None, who=ANN, now=NOON)
    refused(NothingToAsk, lambda: ask(prod))


def test_an_approval_does_not_end_a_freeze(prod: Scope) -> None:
    request = approve(ask(prod))
    window = freeze(prod)

    refused(Frozen, lambda: requests.publish_request(request, who=ANN, now=NOON))

    requests.publish_request(request, who=ANN, now=window.ends_at)
    assert state(request) == "published"


def test_a_request_cannot_be_published_as_an_emergency_by_the_way(prod: Scope) -> None:
    request = approve(ask(prod))
    freeze(prod)

    refused(
        Frozen,
        lambda: requests.publish_request(
            request, consent=Consent(emergency=True), who=ANN, now=NOON
        ),
    )


def test_an_emergency_uses_no_request_up(prod: Scope) -> None:
    request = ask(prod)
    consent = Consent(request_id=request.pk, emergency=True)

    publishing.publish_draft(prod, message="it burns", consent=consent, who=ANN, now=NOON)

    assert state(request) == "open"
    assert asked.is_out_of_date(request)
    refused(RequestIsStale, lambda: approve(request))


def a_layer_asked(**more: Any) -> tuple[Layer, ReleaseRequest]:
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set={"LEVEL": "info"}, expected=None, who=ANN, now=NOON)
    return layer, ask(layer, **more)


def test_the_approval_of_a_layer_covers_its_cuts(prod: Scope) -> None:
    dev = a_scope(environment="dev")
    a_release(dev, {"POOL": 1})
    _, request = a_layer_asked()
    assert {each["environment"] for each in request.targets} == {"prod", "dev"}
    refused(NotFound, lambda: approve(request, NEL))  # hers is prod alone

    approve(request)
    done = requests.publish_request(request, who=ANN, now=NOON)

    assert isinstance(done, layers.LayerPublished)
    assert {str(cut.release.scope) for cut in done.cut} == {"billing@prod", "billing@dev"}
    assert not LayerRelease.objects.get().emergency
    assert state(request) == "published"
    assert [change.key for change in draft_of(prod).changes] == ["POOL"]


def test_the_approval_of_a_layer_is_for_its_targets_alone(prod: Scope) -> None:
    dev = a_scope(environment="dev")
    a_release(dev, {"POOL": 1})
    layer, request = a_layer_asked(targets=[("billing", "dev")])
    approve(request)
    consent = Consent(request_id=request.pk)

    refused(
        RequestIsStale,
        lambda: layers.publish_layer(
            layer, message="m", targets="all", consent=consent, who=ANN, now=NOON
        ),
    )
    refused(NotOnLayer, lambda: ask(layer, targets=[("billing", "nowhere")]))
    requests.publish_request(request, who=ANN, now=NOON)

    assert not prod.releases.filter(number=2).exists()
    assert asked.place_of(request) == layer


def test_an_approval_for_a_scope_is_none_for_a_layer(prod: Scope) -> None:
    request = approve(ask(prod))
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set={"LEVEL": "info"}, expected=None, who=ANN, now=NOON)

    refused(
        NeedsApproval,
        lambda: layers.publish_layer(
            layer, message="m", targets="all", consent=Consent(request_id=request.pk), who=ANN,
            now=NOON,
        ),
    )  # fmt: skip
    assert state(request) == "approved"


def test_a_layer_is_brought_to_a_scope_that_is_behind_without_a_draft(prod: Scope) -> None:
    layer, _ = a_layer_asked()
    layers.publish_layer(layer, message="x", targets=[], who=ANN, now=NOON)
    refused(NeedsApproval, lambda: layers.take_layers(prod, message="x", who=ANN, now=NOON))

    request = approve(ask(layer, targets=[("billing", "prod")]))
    requests.publish_request(request, who=ANN, now=NOON)

    assert "LEVEL" in Release.objects.get(scope=prod, number=2).entries
    refused(NothingToAsk, lambda: ask(layer))


def test_lists_hold_what_one_may_see_and_decide(prod: Scope) -> None:
    request = ask(prod, MIA)

    assert asked.standing_for(MIA) == [request]
    assert asked.standing_for(BLIND) == []
    assert asked.waiting_for(NEL) == [request]
    assert asked.waiting_for(MIA) == asked.waiting_for(BLIND) == []
    approve(request, NEL)
    assert asked.waiting_for(NEL) == []
    assert asked.standing_for(NEL) == [ReleaseRequest.objects.get()]
    assert asked.requests_of(prod) == [request]
    assert asked.requests_of(prod, before=request.pk) == []


def test_a_request_has_a_bounded_number_of_comments(
    prod: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_COMMENTS", 1)
    request = ask(prod)
    requests.comment(request, text="one", who=BEN, now=NOON)

    refused(BadRequestText, lambda: requests.comment(request, text="two", who=BEN, now=NOON))
    refused(BadRequestText, lambda: requests.reject(request, text="no", who=BEN, now=NOON))


@pytest.mark.django_db(transaction=True)
def test_of_many_who_decide_at_once_one_does() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 1})
    wants_approval(scope)
    draft(scope, POOL=2)
    request = ask(scope)
    late: list[int] = []

    def decide(number: int) -> None:
        who = Actor(f"boss{number}", 100 + number, active=True, grants=(Granted("admin"),))
        try:
            requests.approve(request, who=who, now=later(number))
        except RequestIsDecided:
            late.append(number)

    at_once(decide)

    assert len(late) == 5
    assert AuditEntry.objects.filter(action="request.approved").count() == 1
    assert state(request) == "approved"


@pytest.mark.django_db(transaction=True)
def test_edits_at_the_moment_of_publishing_are_never_published_unseen() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 0})
    wants_approval(scope)
    draft(scope, POOL=1)
    request = approve(ask(scope))
    outcome: list[str] = []

    def work(number: int) -> None:
        if number % 2:
            draft(scope, POOL=100 + number)
            return
        try:
            requests.publish_request(request, who=ANN, now=NOON)
            outcome.append("published")
        except (RequestIsStale, RequestIsDecided) as error:
            outcome.append(error.code)

    at_once(work)

    made = Release.objects.filter(scope=scope, number__gt=1)
    assert len(made) == outcome.count("published") <= 1
    assert all(release.entries == {"POOL": {"value": 1}} for release in made)
