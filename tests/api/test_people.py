"""People, roles and the audit over REST."""

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.access import actions
from confhub.access.models import Grant
from confhub.access.queries import actor_of_user
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.events import chain
from confhub.events.models import AuditEntry
from tests.api.conftest import Caller, problem, untouched

MIA_TOKEN = "a-token-of-mia-with-enough-letters"


@pytest.fixture
def mia(api: Caller, checkout_prod: Scope) -> Caller:
    """mia, who holds no role yet, with a token."""
    assert api.post("/people", {"name": "mia"}).status_code == 201
    person = User.objects.get(username="mia")
    actions.set_token("mia", token=MIA_TOKEN, user=person, now=clock.now())
    return Caller(token=MIA_TOKEN)


def give(api: Caller, role: str, **place: str) -> int:
    answer = api.post("/people/mia/grants", {"role": role, **place})
    assert answer.status_code == 201, answer.content
    return int(answer.json()["id"])


def test_a_person_is_made_found_and_changed(api: Caller) -> None:
    made = api.post("/people", {"name": "mia", "password": "a longer password"})
    assert (made.status_code, made["Location"]) == (201, "/api/v1/people/mia")
    assert made.json() == {"name": "mia", "active": True, "last_signed_in": None, "grants": []}

    off = api.patch("/people/mia", {"active": False, "password": "another password"})

    assert off.json()["active"] is False
    assert User.objects.get(username="mia").check_password("another password")
    names = [each["name"] for each in api.get("/people?limit=1").json()["items"]]
    following = api.get("/people?limit=1").json()["next"]
    names += [each["name"] for each in api.get(f"/people?after={following}").json()["items"]]
    assert names == ["ann", "mia"]
    assert "password" not in api.get("/people/mia").content.decode()


def test_roles_are_given_listed_and_taken(api: Caller, mia: Caller) -> None:
    number = give(api, "publisher", service="checkout", environment="prod")
    again = api.post(
        "/people/mia/grants",
        {"role": "publisher", "service": "checkout", "environment": "prod"},
    )
    assert (again.status_code, again.json()["id"]) == (200, number)
    [held] = mia.get("/people/mia/grants").json()["items"]
    assert {**held, "made_at": None} == {
        "id": number, "role": "publisher", "service": "checkout", "environment": "prod",
        "made_by": "token:ann", "made_at": None,
    }  # fmt: skip
    assert mia.get("/services/checkout/environments/prod/draft").status_code == 200
    problem(mia.get("/services/checkout/environments/dev/draft"), 404, "not_found")

    assert api.delete(f"/people/mia/grants/{number}").status_code == 204

    problem(mia.get("/services/checkout/environments/prod/draft"), 404, "not_found")
    problem(api.delete(f"/people/mia/grants/{number}"), 404, "not_found")


def test_what_may_mia_do_there(api: Caller, mia: Caller) -> None:
    give(api, "editor", service="checkout")

    found = mia.get("/people/mia/rights?service=checkout&environment=prod").json()

    assert found["rights"]["edit"] == {
        "allowed": True, "because": "editor for checkout in every environment"
    }  # fmt: skip
    assert found["rights"]["publish"] == {
        "allowed": False, "because": "It needs publisher for checkout@prod."
    }  # fmt: skip
    everywhere = api.get("/people/ann/rights").json()
    assert all(right["allowed"] for right in everywhere["rights"].values())
    problem(mia.get("/people/ann/rights"), 404, "not_found")
    problem(api.get("/people/mia/rights?service=nope"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"role": "owner"}, 422, "role.unknown", "role"),
        ({"role": "viewer", "service": "nope"}, 404, "not_found", "service"),
        ({"role": "viewer", "environment": "nope"}, 404, "not_found", "environment"),
        ({}, 422, "request.bad", "role"),
        ({"role": 1}, 422, "request.bad", "role"),
    ],
)
def test_a_grant_that_cannot_be(
    api: Caller, mia: Caller, body: Any, status: int, code: str, field: str
) -> None:
    with untouched():
        document = problem(api.post("/people/mia/grants", body), status, code)

    assert field in document["fields"]
    assert not Grant.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "a b"}, 422, "person.bad"),
        ({"name": ".."}, 422, "person.bad"),
        ({"name": "ben", "password": "short"}, 422, "person.bad"),
        ({"name": "ANN"}, 409, "person.taken"),
    ],
)
def test_a_person_that_cannot_be(api: Caller, body: Any, status: int, code: str) -> None:
    people = list(User.objects.values())
    with untouched():
        problem(api.post("/people", body), status, code)

    assert list(User.objects.values()) == people


def test_the_last_admin_stays_and_nothing_of_the_call_is_done(api: Caller) -> None:
    before = list(User.objects.values())
    with untouched():
        both = {"active": False, "password": "another password"}
        problem(api.patch("/people/ann", both), 409, "admin.last")
        problem(api.delete("/people/ann/grants/0"), 409, "admin.last")

    assert list(User.objects.values()) == before


def test_who_is_no_admin_gives_himself_nothing(api: Caller, mia: Caller) -> None:
    give(api, "publisher")
    with untouched():
        refused = problem(mia.post("/people/mia/grants", {"role": "admin"}), 403, "not_allowed")
        problem(mia.post("/people", {"name": "eve"}), 403, "not_allowed")
        problem(mia.get("/people"), 403, "not_allowed")
        problem(mia.patch("/people/mia", {"password": "another password"}), 403, "not_allowed")
        problem(mia.patch("/people/ann", {"active": False}), 404, "not_found")

    assert refused["detail"].endswith("Administrators are: ann.")
    assert (refused["role"], refused["verb"]) == ("admin", "administer")


def test_the_audit_pages_backwards_without_a_gap(api: Caller, mia: Caller) -> None:
    give(api, "viewer", service="checkout")
    whole = api.get("/audit").json()["items"]
    assert [each["position"] for each in whole] == list(range(len(whole), 0, -1))
    assert whole[0]["action"] == "grant.given"
    assert whole[0]["data"] == {"role": "viewer", "service": "checkout", "environment": None}

    parts, following = [], ""
    while following is not None:
        page = api.get(f"/audit?limit=2&after={following}" if following else "/audit?limit=2")
        parts += page.json()["items"]
        following = page.json()["next"]

    assert parts == whole
    assert chain.verify().problem == ""


def test_the_audit_is_narrowed_and_shows_only_what_one_may_see(api: Caller, mia: Caller) -> None:
    give(api, "viewer", service="checkout", environment="prod")

    mine = mia.get("/audit").json()["items"]
    assert {each["target"] for each in mine} == {"checkout", "prod", "mia"}
    only = api.get("/audit?person=token:ann&action=grant.&target=mi").json()["items"]
    assert [each["action"] for each in only] == ["grant.given"]
    assert api.get("/audit?until=2001-01-01").json()["items"] == []
    assert api.get("/audit?since=2001-01-01T00:00Z").json()["items"] != []
    with untouched():
        document = problem(api.get("/audit?since=yesterday"), 422, "moment.bad")
        problem(api.get("/audit?after=xx"), 422, "cursor.bad")
        problem(api.get("/audit?format=xml"), 422, "request.bad")
    assert list(document["fields"]) == ["since"]


def test_the_audit_as_lines_and_as_a_table(api: Caller, mia: Caller, who: Any) -> None:
    actions.make_person("@sum", who=who, now=clock.now())
    whole = api.get("/audit").json()["items"]

    lines = api.get("/audit?format=jsonl")
    table = api.get("/audit?format=csv")
    part = api.get("/audit?format=csv&limit=1&action=person.")

    assert [json.loads(line) for line in lines.content.decode().splitlines()] == whole
    assert lines["Content-Type"].startswith("application/jsonl")
    rows = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert [row["digest"] for row in rows] == [each["digest"] for each in whole]
    assert [json.loads(row["data"]) for row in rows] == [each["data"] for each in whole]
    assert rows[0]["target"] == "'@sum"  # no spreadsheet computes it
    assert "Link" not in table
    address = part["Link"].removeprefix("<").partition(">")[0]
    assert "action=person." in address
    more = list(csv.DictReader(io.StringIO(api.get(address).content.decode())))
    assert int(more[0]["position"]) < int(rows[0]["position"])


def test_reading_the_audit_writes_nothing_into_it(api: Caller) -> None:
    count = AuditEntry.objects.count()
    api.get("/audit")
    assert AuditEntry.objects.count() == count


def test_a_session_acts_with_the_persons_roles(api: Caller, mia: Caller) -> None:
    give(api, "viewer", service="checkout")
    person = User.objects.get(username="mia")
    browser = Caller(token=None)
    browser.client.force_login(person)

    assert browser.get("/services").json()["items"][0]["slug"] == "checkout"
    assert actor_of_user(person).name == "mia"
    problem(browser.get("/people"), 403, "not_allowed")
