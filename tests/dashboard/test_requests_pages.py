"""Approvals, freezes and emergencies on pages, without a script."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from confhub.access import actions as access
from confhub.access import grants
from confhub.access import layers as doors
from confhub.catalog import actions as catalog
from confhub.catalog import freezes
from confhub.catalog.models import Environment, FreezeWindow, Scope
from confhub.core import clock
from confhub.events.models import AuditEntry
from confhub.publishing import requests
from confhub.publishing.models import ReleaseRequest
from confhub.releases import actions as releases
from confhub.releases.models import LayerRelease, Release
from confhub.releases.queries import draft_of
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

REVIEW = "/services/billing/prod/review/"


def client_of(name: str, role: str) -> Client:
    person = access.ensure_person(name, password="correct horse battery", now=NOON)
    User.objects.filter(pk=person.pk).update(is_superuser=False)
    person.refresh_from_db()
    grants.grant(person, role, who=ANN, now=NOON)
    held = Client()
    held.force_login(person)
    return held


@pytest.fixture
def nel(db: None) -> Client:
    """Who may approve."""
    return client_of("nel", "approver")


@pytest.fixture
def drafted(protected: Scope) -> Scope:
    """billing in a protected prod with a draft."""
    releases.change_draft(protected, set={"POOL": 30}, expected=None, who=ANN, now=NOON)
    return protected


@pytest.fixture
def wanting(drafted: Scope) -> Scope:
    """The same, where another person has to agree."""
    catalog.change_environment(drafted.environment, approvals=1, who=ANN, now=NOON)
    return drafted


def freeze(scope: Scope) -> FreezeWindow:
    now = clock.now()
    return freezes.add_freeze(
        scope.environment, starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1),
        reason="Black Friday", who=BEN, now=now,
    )  # fmt: skip


def seen(scope: Scope, **more: Any) -> dict[str, Any]:
    draft = draft_of(scope)
    return {"message": "more room", "release": draft.head, "version": draft.version, **more}


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def rows() -> tuple[Any, ...]:
    models = (Release, LayerRelease, ReleaseRequest, AuditEntry, FreezeWindow)
    return tuple(list(model._default_manager.order_by("pk").values()) for model in models)


def ask(scope: Scope) -> ReleaseRequest:
    ann = replace(ANN, user_id=10**6)  # nobody who signs in here
    return requests.ask(scope, message="more room", who=ann, now=NOON)


def test_ask_on_the_page_approve_on_the_page_publish_on_the_page(
    admin: Client, nel: Client, wanting: Scope
) -> None:
    page = text_of(admin.get(REVIEW))
    assert "Ask for approval" in page
    assert "Publish r2 to prod</button>" not in page

    assert admin.post(REVIEW, seen(wanting, act="ask")).status_code == 302
    request = ReleaseRequest.objects.get()
    one = f"/requests/{request.pk}/"
    assert "for you to decide" in text_of(nel.get("/services/"))
    listed = text_of(nel.get("/requests/"))
    assert f'href="{one}"' in listed
    assert "Nothing waits for you" not in listed
    shown = text_of(nel.get(one))
    assert "POOL" in shown
    assert 'value="approve"' in shown
    assert 'value="approve"' not in text_of(admin.get(one))  # it is their own
    assert "Nothing waits for you" in text_of(admin.get("/requests/"))

    assert nel.post(one, {"act": "comment", "text": "why 30?"}).status_code == 302
    assert nel.post(one, {"act": "approve", "text": ""}).status_code == 302

    page = text_of(admin.get(REVIEW))
    assert "why 30?" in page
    assert "Approved" in page
    assert "Publish r2 to prod</button>" in page
    assert f'name="request" value="{request.pk}"' in page
    answer = admin.post(REVIEW, seen(wanting, request=request.pk, confirm="prod"))
    assert answer.status_code == 302, text_of(answer)
    made = Release.objects.get(scope=wanting, number=2)
    assert (made.emergency, made.message) == (False, "more room")
    assert "It became a release" in text_of(admin.get(one))


@pytest.mark.parametrize(
    "sent",
    [
        {"confirm": "prod"},
        {"confirm": "prod", "request": "4711"},
        {"act": "ask", "message": " "},
        {"act": "ask", "version": "999"},
        {"act": "emergency", "confirm": ""},
        {"act": "emergency", "confirm": "dev"},
        {"act": "emergency", "confirm": "prod", "message": " "},
        {"act": "nonsense", "confirm": "prod"},
    ],
)
def test_what_the_review_refuses_writes_nothing(
    admin: Client, wanting: Scope, sent: dict[str, str]
) -> None:
    before = rows()

    answer = admin.post(REVIEW, {**seen(wanting), **sent})

    assert answer.status_code in (409, 412, 422)
    assert 'class="error"' in text_of(answer)
    assert rows() == before


@pytest.mark.parametrize("act", ["approve", "reject", "withdraw", "publish", "nonsense", ""])
def test_who_may_not_changes_no_request(wanting: Scope, act: str) -> None:
    request = ask(wanting)
    viewer = client_of("vic", "viewer")
    before = rows()

    answer = viewer.post(f"/requests/{request.pk}/", {"act": act, "text": "x"})

    assert answer.status_code == (302 if act in ("nonsense", "") else 403)
    assert rows() == before
    page = text_of(viewer.get(f"/requests/{request.pk}/"))
    for button in ("approve", "reject", "withdraw", "publish"):
        assert f'value="{button}"' not in page


def test_a_refusal_keeps_what_was_typed(nel: Client, admin: Client, wanting: Scope) -> None:
    request = ask(wanting)
    before = rows()

    empty = nel.post(f"/requests/{request.pk}/", {"act": "reject", "text": ""})
    releases.change_draft(wanting, set={"POOL": 31}, expected=None, who=BEN, now=NOON)
    stale = nel.post(f"/requests/{request.pk}/", {"act": "approve", "text": "fine <b>"})

    assert (empty.status_code, stale.status_code) == (422, 409)
    assert "fine &lt;b&gt;" in text_of(stale)
    assert "Out of date" in text_of(stale)
    assert rows() == before
    assert "Moved since" in text_of(nel.get("/requests/"))
    assert nel.get("/requests/4711/").status_code == 404

    again = admin.post(f"/requests/{request.pk}/", {"act": "again"})

    assert again.status_code == 302
    assert ReleaseRequest.objects.order_by("-pk")[0].state == "open"
    assert ReleaseRequest.objects.get(pk=request.pk).state == "withdrawn"


def test_reject_and_withdraw(nel: Client, admin: Client, wanting: Scope) -> None:
    first = ask(wanting)
    nel.post(f"/requests/{first.pk}/", {"act": "reject", "text": "too many"})
    assert "too many" in text_of(admin.get(f"/requests/{first.pk}/"))
    second = requests.ask(wanting, message="please", who=BEN, now=NOON)

    admin.post(f"/requests/{second.pk}/", {"act": "withdraw"})

    states = ReleaseRequest.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["rejected", "withdrawn"]


def test_the_part_of_a_request_is_drawn_for_who_sees_it(nel: Client, wanting: Scope) -> None:
    request = ask(wanting)

    part = nel.get(f"/parts/requests/{request.pk}/", headers={"X-Part": "1"})

    assert part.status_code == 200
    assert "<html" not in text_of(part)
    assert "more room" in text_of(part)


def test_a_frozen_environment_says_so_and_publishes_in_an_emergency_alone(
    admin: Client, drafted: Scope
) -> None:
    freeze(drafted)
    page = text_of(admin.get(REVIEW))
    assert "prod is frozen" in page
    assert "Black Friday" in page
    assert "Publish r2 to prod</button>" not in page
    before = rows()
    refused = admin.post(REVIEW, seen(drafted, confirm="prod"))
    assert refused.status_code == 409
    assert "prod is frozen until" in text_of(refused)
    assert rows() == before

    done = admin.post(REVIEW, seen(drafted, act="emergency", confirm="prod", message="it burns"))

    assert done.status_code == 302, text_of(done)
    assert Release.objects.get(scope=drafted, number=2).emergency
    for address in ("", "releases/", "releases/2/"):
        assert "Emergency" in text_of(admin.get(f"/services/billing/prod/{address}")), address


@pytest.mark.parametrize("hindrance", ["freeze", "approval"])
def test_a_rollback_past_them_is_an_emergency(
    admin: Client, drafted: Scope, hindrance: str
) -> None:
    a_release(drafted, {"POOL": 31})
    if hindrance == "freeze":
        freeze(drafted)
    else:
        catalog.change_environment(drafted.environment, approvals=1, who=ANN, now=NOON)
    address = "/services/billing/prod/releases/1/rollback/"
    page = text_of(admin.get(address))
    assert "back to r1 as an emergency" in page
    before = rows()
    for sent in ({"confirm": "prod"}, {"act": "emergency"}):
        answer = admin.post(address, {"release": 2, "message": "back", **sent})
        assert answer.status_code in (409, 422)
        assert rows() == before

    done = admin.post(
        address, {"release": 2, "message": "back", "act": "emergency", "confirm": "prod"}
    )

    assert done.status_code == 302, text_of(done)
    made = Release.objects.get(scope=drafted, number=3)
    assert (made.emergency, made.restores) == (True, 1)


def test_an_environment_gets_a_freeze_and_loses_it(admin: Client, drafted: Scope) -> None:
    now = clock.now()
    start, end = (f"{now + timedelta(hours=n):%Y-%m-%dT%H:%M}" for n in (-1, 2))
    sent = {"starts_at": start, "ends_at": end, "reason": "Black Friday"}

    assert admin.post("/environments/prod/freeze/", sent).status_code == 302

    page = text_of(admin.get("/environments/prod/"))
    assert "Frozen now" in page
    assert 'type="datetime-local"' in page
    assert "Frozen" in text_of(admin.get("/environments/"))
    window = FreezeWindow.objects.get()
    assert f"{window.ends_at:%Y-%m-%dT%H:%M}" == end  # as typed, in UTC
    admin.post("/environments/prod/thaw/", {"freeze": window.pk})
    assert "None stands" in text_of(admin.get("/environments/prod/"))
    again = admin.post("/environments/prod/thaw/", {"freeze": window.pk}, follow=True)
    assert "no freeze" in text_of(again)


@pytest.mark.parametrize(
    "sent",
    [
        {"starts_at": "", "ends_at": "2026-11-27T08:00", "reason": "x"},
        {"starts_at": "soon", "ends_at": "2026-11-27T08:00", "reason": "x"},
        {"starts_at": "2099-11-27T08:00", "ends_at": "2099-11-27T08:00", "reason": "x"},
        {"starts_at": "2099-01-01T08:00", "ends_at": "2099-11-27T08:00", "reason": "x"},
        {"starts_at": "2099-11-27T08:00", "ends_at": "2099-11-27T09:00", "reason": ""},
        {"starts_at": "0001-01-01T00:00", "ends_at": "9999-12-31T23:59", "reason": "x"},
    ],
)
def test_a_bad_freeze_is_refused_at_its_field(
    admin: Client, drafted: Scope, sent: dict[str, str]
) -> None:
    before = rows()

    answer = admin.post("/environments/prod/freeze/", sent)

    assert answer.status_code == 422
    assert 'class="error"' in text_of(answer)
    assert rows() == before


def test_the_settings_of_an_environment_are_an_administrators(
    admin: Client, nel: Client, drafted: Scope
) -> None:
    sent = {"name": "Production", "order": "3", "protected": "on", "approvals": "on"}
    before = rows()
    for address in (
        "/environments/prod/",
        "/environments/prod/freeze/",
        "/environments/prod/thaw/",
    ):
        assert nel.post(address, sent).status_code == 403
    assert rows() == before
    assert "Save</button>" not in text_of(nel.get("/environments/prod/"))
    assert admin.post("/environments/prod/", {**sent, "order": "x"}).status_code == 422

    assert admin.post("/environments/prod/", sent).status_code == 302

    held = Environment.objects.get(slug="prod")
    assert (held.name, held.order, held.approvals) == ("Production", 3, 1)
    assert "approval" in text_of(admin.get("/environments/"))


def a_layer_drafted() -> Any:
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set={"LEVEL": 1}, expected=None, who=ANN, now=NOON)
    return layer


def test_a_layer_is_asked_for_and_published_as_approved(
    admin: Client, nel: Client, wanting: Scope
) -> None:
    layer = a_layer_drafted()
    page = text_of(admin.get("/layers/global/review/"))
    assert "Ask for approval" in page

    asked = admin.post(
        "/layers/global/review/", {**seen(layer), "act": "ask", "target": "billing/prod"}
    )
    request = ReleaseRequest.objects.get()
    one = f"/requests/{request.pk}/"
    assert asked["Location"] == one
    assert "billing@prod" in text_of(nel.get(one))
    nel.post(one, {"act": "approve"})
    assert "Publish what was approved" in text_of(admin.get("/layers/global/review/"))
    done = admin.post(one, {"act": "publish"})

    assert done.status_code == 302, text_of(done)
    assert Release.objects.get(scope=wanting, number=2).message == "global: more room"


def test_a_layer_reaches_a_frozen_environment_in_an_emergency(
    admin: Client, drafted: Scope
) -> None:
    freeze(drafted)
    layer = a_layer_drafted()
    sent = {**seen(layer), "target": "billing/prod", "confirm": "prod"}
    before = rows()
    assert admin.post("/layers/global/review/", sent).status_code == 409
    assert rows() == before
    sent["act"] = "emergency"
    assert admin.post("/layers/global/review/", {**sent, "confirm": ""}).status_code == 422

    assert admin.post("/layers/global/review/", sent).status_code == 302

    assert LayerRelease.objects.get().emergency
    assert Release.objects.get(scope=drafted, number=2).emergency


@pytest.mark.parametrize("address", ["/requests/", "/environments/", REVIEW, "/environments/prod/"])
def test_a_page_asks_the_database_as_often_for_many_as_for_one(
    nel: Client, wanting: Scope, address: str
) -> None:
    ask(wanting)

    def queries() -> int:
        with CaptureQueriesContext(connection) as taken:
            assert nel.get(address).status_code == 200
        return len(taken)

    few = queries()
    for number in range(4):
        other = a_scope(f"other-{number}", "prod")
        releases.change_draft(other, set={"A": 1}, expected=None, who=ANN, now=NOON)
        ask(other)
        catalog.create_environment(slug=f"place-{number}", who=ANN, now=NOON)
    assert queries() <= few
