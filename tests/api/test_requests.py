"""Approvals, freezes and emergencies over REST."""

from datetime import timedelta
from typing import Any

import pytest

from confhub.access import actions as access
from confhub.access import grants
from confhub.catalog.models import Environment, Scope
from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.publishing.models import ReleaseRequest
from tests.api.conftest import PROD, Caller, problem, untouched

RELEASES, REQUESTS = f"{PROD}/releases", f"{PROD}/requests"
LONG_AGO, FAR = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00+02:00"


def person(name: str, role: str, environment: Environment | None = None) -> Caller:
    """Somebody with a role, who calls with a token."""
    made = access.ensure_person(name, password=f"a-password-of-{name}", now=clock.now())
    made.is_superuser = False
    made.save(update_fields=["is_superuser"])
    grants.grant(made, role, environment=environment, who=SYSTEM, now=clock.now())
    token = f"a-token-of-{name}-with-enough-letters"
    access.set_token(name, token=token, user=made, now=clock.now())
    return Caller(token=token)


@pytest.fixture
def nel(checkout_prod: Scope) -> Caller:
    """Who may approve everywhere."""
    return person("nel", "approver")


@pytest.fixture
def drafted(api: Caller, nel: Caller) -> Caller:
    """ann's calls on a prod that wants approvals, at r1 with a draft."""
    assert api.post(RELEASES, {"message": "first", "set": {"MAX": 1}}).status_code == 201
    assert api.patch("/environments/prod", {"approvals": 1}).status_code == 200
    assert api.patch(f"{PROD}/draft", {"set": {"MAX": 2}}, If_Match="*").status_code == 200
    return api


def asked(api: Caller, **more: Any) -> dict[str, Any]:
    answer = api.post(REQUESTS, {"message": "more room", **more})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_ask_approve_publish(drafted: Caller, nel: Caller) -> None:
    request = asked(drafted)
    assert request | {"asked_at": "", "draft_version": 0, "id": 0} == {
        "id": 0, "service": "checkout", "environment": "prod", "layer": None, "state": "open",
        "out_of_date": False, "message": "more room", "author": "token:ann", "asked_at": "",
        "decided_by": "", "decided_at": None, "draft_version": 0, "targets": None, "comments": [],
    }  # fmt: skip
    one = f"/requests/{request['id']}"
    assert [each["id"] for each in nel.get("/requests?mine=true").json()["items"]] == [
        request["id"]
    ]
    assert drafted.get("/requests?mine=true").json()["items"] == []
    assert nel.post(f"{one}/comments", {"text": "why?"}).json()["author"] == "token:nel"

    approved = nel.post(f"{one}/approve", {"text": "fine"})
    published = drafted.post(f"{one}/publish")

    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    assert published.status_code == 201, published.content
    assert published.json()["releases"] == [
        {"service": "checkout", "environment": "prod", "release": 2}
    ]
    assert published.json()["request"]["state"] == "published"
    assert [each["text"] for each in drafted.get(one).json()["comments"]] == ["why?", "fine"]
    assert drafted.get(f"{RELEASES}/2").json()["emergency"] is False
    assert [each["id"] for each in drafted.get(REQUESTS).json()["items"]] == [request["id"]]
    assert drafted.get("/requests").json() == {"items": [], "next": None}


def test_publish_names_the_approved_request(drafted: Caller, nel: Caller) -> None:
    request = asked(drafted)
    body = {"message": "go", "request": request["id"]}
    with untouched():
        problem(drafted.post(RELEASES, {"message": "go"}), 409, "release.needs_approval")
        problem(drafted.post(RELEASES, body), 409, "release.needs_approval")
    nel.post(f"/requests/{request['id']}/approve")

    assert drafted.post(RELEASES, body).status_code == 201
    assert ReleaseRequest.objects.get().state == "published"


def test_every_refusal_writes_nothing(drafted: Caller, nel: Caller) -> None:
    stranger = person("kim", "viewer", Environment.objects.get(slug="dev"))
    one = f"/requests/{asked(drafted)['id']}"
    with untouched():
        problem(drafted.post(f"{one}/approve"), 403, "request.own")
        problem(drafted.post(f"{one}/publish"), 409, "release.needs_approval")
        problem(drafted.post(REQUESTS, {"message": "again"}), 409, "request.stands")
        problem(drafted.post(REQUESTS, {"message": " "}), 422, "request.text")
        problem(drafted.post(REQUESTS, {"message": "m", "expected_draft": 99}), 412, "draft.stale")
        problem(nel.post(f"{one}/reject", {"text": ""}), 422, "request.text")
        problem(nel.post(f"{one}/publish"), 403, "not_allowed")
        problem(nel.post(f"{one}/withdraw"), 403, "not_allowed")
        problem(nel.post(REQUESTS, {"message": "m"}), 403, "not_allowed")
        problem(stranger.get(one), 404, "not_found")
        problem(stranger.post(f"{one}/comments", {"text": "hi"}), 404, "not_found")
        problem(nel.get("/requests/4711"), 404, "not_found")
        problem(nel.get(f"/requests/{2**70}"), 404, "not_found")
        problem(drafted.post(RELEASES, {"message": "m", "request": 0}), 422, "request.bad")
        problem(drafted.post(RELEASES, {"message": "m", "emergency": "yes"}), 422, "request.bad")
    assert stranger.get("/requests").json()["items"] == []


def test_reject_and_ask_again(drafted: Caller, nel: Caller) -> None:
    first = asked(drafted)

    rejected = nel.post(f"/requests/{first['id']}/reject", {"text": "too many"})

    assert (rejected.json()["state"], rejected.json()["decided_by"]) == ("rejected", "token:nel")
    with untouched():
        problem(nel.post(f"/requests/{first['id']}/approve"), 409, "request.decided")
    second = asked(drafted)
    drafted.patch(f"{PROD}/draft", {"set": {"MAX": 3}}, If_Match="*")
    with untouched():
        problem(nel.post(f"/requests/{second['id']}/approve"), 409, "request.out_of_date")
    assert nel.get(f"/requests/{second['id']}").json()["out_of_date"] is True
    assert nel.get("/requests").json()["items"][0]["out_of_date"] is True
    third = asked(drafted)
    assert drafted.post(f"/requests/{third['id']}/withdraw").json()["state"] == "withdrawn"
    states = [each["state"] for each in drafted.get(f"{REQUESTS}?limit=2").json()["items"]]
    assert states == ["withdrawn", "withdrawn"]
    cursor = drafted.get(f"{REQUESTS}?limit=2").json()["next"]
    (last,) = drafted.get(f"{REQUESTS}?limit=2&after={cursor}").json()["items"]
    assert last["id"] == first["id"]


def test_an_emergency_is_said_and_flagged(drafted: Caller) -> None:
    with untouched():
        problem(
            drafted.post(RELEASES, {"message": "", "emergency": True}),
            422,
            "release.reason_missing",
        )
        problem(drafted.post(RELEASES, {"message": ""}), 422, "release.reason_missing")

    made = drafted.post(RELEASES, {"message": "it burns", "emergency": True})
    back = drafted.post(f"{RELEASES}/1/rollback", {"message": "worse", "emergency": True})

    assert (made.status_code, made.json()["emergency"]) == (201, True)
    assert (back.status_code, back.json()["emergency"]) == (201, True)
    assert [r["emergency"] for r in drafted.get(RELEASES).json()["items"]] == [True, True, False]


def test_a_layer_is_asked_for(drafted: Caller, nel: Caller) -> None:
    drafted.patch("/layers/global/draft", {"set": {"LEVEL": 1}}, If_Match="*")
    with untouched():
        problem(
            drafted.post("/layers/global/releases", {"message": "m"}), 409, "release.needs_approval"
        )

    request = drafted.post("/layers/global/requests", {"message": "calm"}).json()
    nel.post(f"/requests/{request['id']}/approve")
    done = drafted.post(f"/requests/{request['id']}/publish")

    assert request["layer"] == "global"
    assert request["targets"] == [{"service": "checkout", "environment": "prod"}]
    assert done.status_code == 201, done.content
    assert drafted.get(f"{RELEASES}/2").json()["message"] == "global: calm"
    (listed,) = drafted.get("/layers/global/requests").json()["items"]
    assert (listed["id"], listed["state"]) == (request["id"], "published")
    own = drafted.post("/layers/services/checkout/requests", {"message": "m"})
    problem(own, 422, "request.empty")
    assert drafted.get("/layers/services/checkout/requests").json()["items"] == []


def test_a_freeze_is_added_kept_to_and_ended(api: Caller, publish: Any) -> None:
    publish(MAX=1)
    now = clock.now()
    body = {
        "starts_at": clock.stamp(now - timedelta(hours=1)),
        "ends_at": clock.stamp(now + timedelta(hours=1)),
        "reason": "Black Friday",
    }
    made = api.post("/environments/prod/freezes", body)
    assert made.status_code == 201, made.content
    assert made["Location"].endswith(f"/environments/prod/freezes/{made.json()['id']}")
    with untouched():
        refusal = problem(
            api.post(RELEASES, {"message": "m", "set": {"MAX": 2}}), 409, "release.frozen"
        )
    assert refusal["reason"] == "Black Friday"
    assert refusal["until"]
    (listed,) = api.get("/environments/prod/freezes").json()["items"]
    assert (listed["standing"], listed["made_by"]) == (True, "token:ann")

    assert api.delete(f"/environments/prod/freezes/{listed['id']}").status_code == 204

    assert api.post(RELEASES, {"message": "m", "set": {"MAX": 2}}).status_code == 201
    assert api.get("/environments/prod/freezes").json()["items"] == []
    with untouched():
        problem(api.delete(f"/environments/prod/freezes/{listed['id']}"), 404, "freeze.unknown")


@pytest.mark.parametrize("field", ["starts_at", "ends_at"])
@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-11-27", "2026-11-27T00:00:00", "9999-12-31T23:59:59-23:00"]
)
def test_a_time_without_its_offset_is_refused(
    api: Caller, checkout_prod: Scope, field: str, text: str
) -> None:
    body = {"starts_at": LONG_AGO, "ends_at": FAR, "reason": "x", field: text}

    with untouched():
        document = problem(api.post("/environments/prod/freezes", body), 422, "freeze.bad")

    assert document["fields"][field]


def test_freezes_are_an_administrators(checkout_prod: Scope, nel: Caller) -> None:
    body = {"starts_at": LONG_AGO, "ends_at": FAR, "reason": "x"}
    with untouched():
        problem(nel.post("/environments/prod/freezes", body), 403, "not_allowed")
        problem(nel.delete("/environments/prod/freezes/1"), 403, "not_allowed")
        problem(nel.get("/environments/nope/freezes"), 404, "not_found")
    assert nel.get("/environments/prod/freezes").json() == {"items": [], "next": None}


@pytest.mark.parametrize("approvals", [-1, 2])
def test_approvals_are_none_or_one(api: Caller, checkout_prod: Scope, approvals: int) -> None:
    with untouched():
        problem(api.patch("/environments/prod", {"approvals": approvals}), 422, "catalog.bad")
        problem(
            api.post("/environments", {"slug": "x", "approvals": approvals}), 422, "catalog.bad"
        )
