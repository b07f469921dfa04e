"""Tokens over REST: made, used, rotated, revoked; and a secret that stands nowhere but where it is
told."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from confhub.access import actions, grants
from confhub.access.models import Token
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.events.models import AuditEntry
from tests.api.conftest import PROD, Caller, problem, rows, untouched

REACH = [{"verbs": ["publish"], "service": "checkout", "environment": "prod"}]


@pytest.fixture
def made(api: Caller, checkout_prod: Scope) -> dict[str, Any]:
    """A token `deploy` that publishes checkout in prod."""
    answer = api.post("/tokens", {"name": "deploy", "reach": REACH})
    assert answer.status_code == 201, answer.content
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture
def mia(who: Actor) -> Caller:
    """mia, who holds no role, with a token as unlimited as she is."""
    person = actions.make_person("mia", who=who, now=clock.now())
    actions.set_token("mia", token="a-token-of-mia", user=person, now=clock.now())
    return Caller("a-token-of-mia")


def rotated(api: Caller, name: str = "deploy", **asked: Any) -> str:
    answer = api.post(f"/tokens/{name}/rotate", asked)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["token"])


def status(token: str) -> int:
    return int(Caller(token).get("/me").status_code)


def moved(name: str, **by: timedelta | None) -> None:
    """Move moments of a token's row, so that nobody has to wait for them."""
    row = Token.objects.get(name=name)
    for field, delta in by.items():
        held = getattr(row, field)
        setattr(row, field, held + delta if delta is not None else None)
    row.save(update_fields=list(by))


def test_a_token_is_made_and_does_what_it_reaches_and_nothing_else(
    api: Caller, made: dict[str, Any]
) -> None:
    token = Caller(made.pop("token"))

    assert token.post(f"{PROD}/releases", {"message": "m", "set": {"A": 1}}).status_code == 201
    with untouched():
        problem(token.patch(f"{PROD}/draft", {"set": {"A": 2}}, If_Match="*"), 403, "not_allowed")
        problem(token.get(PROD.replace("prod", "dev") + "/config"), 404, "not_found")
        problem(token.post("/services", {"slug": "new"}), 403, "not_allowed")
        problem(token.get("/people"), 403, "not_allowed")
    assert AuditEntry.objects.filter(action="release.published").last().actor == "token:deploy"
    assert made == {
        "name": "deploy", "owner": "ann", "unlimited": False, "made_by": "token:ann",
        "reach": [{"verbs": ["see", "publish"], "service": "checkout", "environment": "prod"}],
        "ending": made["ending"], "created_at": made["created_at"],
        "expires_at": made["expires_at"], "expired": False, "last_used_at": None,
        "last_used_from": None, "previous_until": None, "source": None,
    }  # fmt: skip
    assert token.token is not None
    assert token.token.startswith("cht_")
    assert len(token.token) == 47
    assert token.token.endswith(made["ending"])
    assert len(made["ending"]) == 4
    row = Token.objects.get(name="deploy")
    assert row.expires_at == row.created_at + timedelta(days=90)


def test_who_am_i(api: Caller, made: dict[str, Any], mia: Caller, client: Client) -> None:
    limited, unlimited, nobody = (
        each.get("/me").json() for each in (Caller(made["token"]), api, mia)
    )
    client.force_login(User.objects.get(username="ann"))
    session = client.get("/api/v1/me").json()

    assert limited == {
        "name": "token:deploy", "person": "ann", "unlimited": False, "token": "deploy",
        "reach": [{"verbs": ["see", "publish"], "service": "checkout", "environment": "prod"}],
        "grants": [{"role": "admin", "service": None, "environment": None}],
        "expires_at": made["expires_at"],
    }  # fmt: skip
    assert (unlimited["unlimited"], unlimited["reach"], unlimited["expires_at"]) == (True, [], None)
    assert (nobody["person"], nobody["grants"]) == ("mia", [])
    assert (session["name"], session["person"], session["token"]) == ("ann", "ann", None)


def test_only_what_is_said_is_unlimited_or_for_ever(api: Caller) -> None:
    answer = api.post("/tokens", {"name": "mine", "unlimited": True, "expires_in_days": None})

    assert answer.status_code == 201
    assert answer.json()["unlimited"] is True
    assert answer.json()["expires_at"] is None
    assert answer["Location"] == "/api/v1/tokens/mine"
    assert answer["Cache-Control"] == "no-store"
    assert status(answer.json()["token"]) == 200


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "reach.bad", "reach"),
        ({"reach": [], "unlimited": False}, "reach.bad", "reach"),
        ({"reach": REACH, "unlimited": True}, "reach.bad", "reach"),
        ({"reach": [{"verbs": []}]}, "reach.bad", "reach.0.verbs"),
        ({"reach": [{"verbs": ["look"]}]}, "request.bad", "reach.0.verbs.0"),
        ({"reach": [{}]}, "request.bad", "reach.0.verbs"),
        ({"reach": [{"verbs": ["see"], "service": ""}]}, "reach.bad", "reach.0.service"),
        ({"reach": [{"verbs": ["see"], "environment": ""}]}, "reach.bad", "reach.0.environment"),
        ({"reach": [{"verbs": ["see"], "sevice": "x"}]}, "request.bad", "reach.0.sevice"),
        ({"reach": REACH, "name": ""}, "token.bad", "name"),
        ({"reach": REACH, "name": "Deploy"}, "token.bad", "name"),
        ({"reach": REACH, "name": "-x"}, "token.bad", "name"),
        ({"reach": REACH, "name": "a/b"}, "token.bad", "name"),
        ({"reach": REACH, "name": "x" * 64}, "token.bad", "name"),
        ({"reach": REACH, "name": "x" * 6000}, "request.bad", "name"),
        ({"reach": REACH, "name": "a\x00b"}, "request.bad", "name"),
        ({"reach": [{"verbs": ["see"], "service": "a\x00b"}]}, "request.bad", "reach.0.service"),
        ({"reach": REACH, "owner": "a\x00b"}, "request.bad", "owner"),
        ({"reach": REACH, "expires_in_days": 0}, "request.bad", "expires_in_days"),
        ({"reach": REACH, "expires_in_days": 366}, "request.bad", "expires_in_days"),
        ({"reach": REACH, "expires_in_days": "9"}, "request.bad", "expires_in_days"),
        ({"reach": REACH, "name": "ann"}, "token.taken", "name"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_made_is_named_and_leaves_nothing(
    api: Caller, checkout_prod: Scope, body: dict[str, Any], code: str, field: str
) -> None:
    with untouched():
        found = problem(
            api.post("/tokens", {"name": "new", **body}),
            409 if code == "token.taken" else 422,
            code,
        )

    assert field in found["fields"]


def test_a_place_or_person_that_is_not_there(api: Caller, checkout_prod: Scope) -> None:
    nowhere = [{"verbs": ["see"]}, {"verbs": ["see"], "service": "nope", "environment": "prod"}]
    with untouched():
        found = problem(api.post("/tokens", {"name": "new", "reach": nowhere}), 404, "not_found")
        assert list(found["fields"]) == ["reach.1.service"]
        problem(
            api.post("/tokens", {"name": "n", "owner": "zoe", "unlimited": True}), 404, "not_found"
        )
        for name in ("nope", "x" * 200, "%00"):
            for call in (api.get, api.delete):
                assert call(f"/tokens/{name}").status_code == 404
            assert api.post(f"/tokens/{name}/rotate").status_code == 404
        problem(api.get("/tokens?owner=nope"), 404, "not_found")
        problem(api.get("/tokens?owner=%00"), 404, "not_found")


def test_a_token_never_reaches_more_than_its_person(
    api: Caller, mia: Caller, who: Actor, checkout_prod: Scope
) -> None:
    person = User.objects.get(username="mia")
    held, _ = grants.grant(
        person, "publisher", service=checkout_prod.service, who=who, now=clock.now()
    )
    beyond = [{"verbs": ["approve"], "service": "checkout"}]
    wider = [{"verbs": ["see"], "environment": "prod"}]
    with untouched():
        for caller, owner in ((mia, None), (api, "mia")):
            for reach in (beyond, wider):
                body = {"name": "new", "owner": owner, "reach": reach}
                found = problem(caller.post("/tokens", body), 422, "reach.beyond_person")
                assert "mia may not" in found["detail"]
    made = mia.post("/tokens", {"name": "new", "reach": REACH}).json()["token"]
    config = Caller(made).get(f"{PROD}/releases")
    assert config.status_code == 200

    grants.revoke(held, who=who, now=clock.now())

    problem(Caller(made).get(f"{PROD}/releases"), 404, "not_found")


def test_tokens_of_others_are_an_administrators(
    api: Caller, mia: Caller, made: dict[str, Any]
) -> None:
    others = api.post("/tokens", {"name": "of-mia", "owner": "mia", "unlimited": True}).json()
    assert (others["owner"], others["made_by"]) == ("mia", "token:ann")

    names = [each["name"] for each in mia.get("/tokens").json()["items"]]
    with untouched():
        problem(mia.get("/tokens?all=1"), 403, "not_allowed")
        problem(mia.get("/tokens?owner=ann"), 404, "not_found")
        problem(mia.get("/tokens/deploy"), 404, "not_found")
        problem(mia.delete("/tokens/deploy"), 404, "not_found")
        problem(mia.post("/tokens/deploy/rotate"), 404, "not_found")
        problem(
            mia.post("/tokens", {"name": "n", "owner": "ann", "unlimited": True}), 404, "not_found"
        )
    assert names == ["mia", "of-mia"]
    assert [each["name"] for each in mia.get("/tokens?owner=mia").json()["items"]] == names
    assert [each["name"] for each in api.get("/tokens").json()["items"]] == ["ann", "deploy"]
    everybody = [each["name"] for each in api.get("/tokens?all=1").json()["items"]]
    assert everybody == ["ann", "deploy", "mia", "of-mia"]

    assert api.delete("/tokens/of-mia").status_code == 204
    assert status(others["token"]) == 401


def test_the_list_comes_in_pages_and_costs_the_same_for_many(api: Caller) -> None:
    for number in range(7):
        api.post("/tokens", {"name": f"t{number}", "reach": [{"verbs": ["see"]}]})

    first = api.get("/tokens?limit=5").json()
    second = api.get(f"/tokens?limit=5&after={first['next']}").json()

    assert [each["name"] for each in first["items"]] == ["ann", "t0", "t1", "t2", "t3"]
    assert [each["name"] for each in second["items"]] == ["t4", "t5", "t6"]
    assert second["next"] is None
    with CaptureQueriesContext(connection) as few:
        api.get("/tokens?limit=2")
    with CaptureQueriesContext(connection) as many:
        api.get("/tokens")
    assert len(many) == len(few)


def test_a_limited_token_sees_and_rotates_itself_only(api: Caller, made: dict[str, Any]) -> None:
    everything = [{"verbs": ["administer", "edit", "publish", "approve", "reveal"]}]
    strong = Caller(api.post("/tokens", {"name": "strong", "reach": everything}).json()["token"])

    assert [each["name"] for each in strong.get("/tokens").json()["items"]] == ["strong"]
    assert [each["name"] for each in strong.get("/tokens?all=1").json()["items"]] == ["strong"]
    with untouched():
        problem(strong.post("/tokens", {"name": "n", "reach": REACH}), 403, "not_allowed")
        problem(strong.post("/tokens", {"name": "n", "unlimited": True}), 403, "not_allowed")
        problem(strong.get("/tokens/deploy"), 404, "not_found")
        problem(strong.delete("/tokens/deploy"), 404, "not_found")
        problem(strong.delete("/tokens/strong"), 403, "not_allowed")
        problem(strong.post("/tokens/deploy/rotate"), 404, "not_found")
        problem(strong.post("/tokens/strong/rotate", {"expires_in_days": 9}), 403, "not_allowed")
    before = Token.objects.get(name="strong").expires_at
    assert status(rotated(strong, "strong", overlap_s=0)) == 200
    assert Token.objects.get(name="strong").expires_at == before


def test_a_rotation_overlaps_for_as_long_as_was_said(api: Caller, made: dict[str, Any]) -> None:
    old = made["token"]
    new = rotated(api, overlap_s=3600)

    assert (status(old), status(new)) == (200, 200)
    assert api.get("/tokens/deploy").json()["previous_until"] is not None
    moved("deploy", previous_until=-timedelta(hours=1))

    assert (status(old), status(new)) == (401, 200)
    found = problem(Caller(old).get("/me"), 401, "token.ended")
    assert "The token deploy was rotated" in found["detail"]
    assert api.get("/tokens/deploy").json()["previous_until"] is None


def test_a_rotation_without_an_overlap_ends_every_earlier_secret(
    api: Caller, made: dict[str, Any]
) -> None:
    first, second = made["token"], rotated(api)

    third = rotated(api, overlap_s=0)

    assert [status(each) for each in (first, second, third)] == [401, 401, 200]
    problem(Caller(first).get("/me"), 401, "not_signed_in")
    problem(Caller(second).get("/me"), 401, "token.ended")


def test_two_rotations_in_a_row_do_not_end_the_secret_in_use_by_accident(
    api: Caller, made: dict[str, Any]
) -> None:
    first, second = made["token"], rotated(api)
    with untouched():
        found = problem(api.post("/tokens/deploy/rotate"), 409, "token.overlap_runs")
        assert found["previous_until"] in found["detail"]
    assert (status(first), status(second)) == (200, 200)

    third = rotated(api, end_previous=True)

    assert [status(each) for each in (first, second, third)] == [401, 200, 200]


def test_an_older_secret_rotates_nothing(api: Caller, made: dict[str, Any]) -> None:
    new = rotated(api)

    with untouched():
        problem(Caller(made["token"]).post("/tokens/deploy/rotate"), 409, "token.moved")

    assert status(rotated(Caller(new), end_previous=True)) == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"overlap_s": -1},
        {"overlap_s": 604_801},
        {"overlap_s": 1.5},
        {"expires_in_days": 0},
        {"x": 1},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_rotation_that_cannot_be(api: Caller, made: dict[str, Any], asked: Any) -> None:
    with untouched():
        problem(api.post("/tokens/deploy/rotate", asked), 422, "request.bad")
    assert status(made["token"]) == 200


def test_an_expired_token_says_so_and_comes_back_with_a_new_end(
    api: Caller, made: dict[str, Any]
) -> None:
    moved("deploy", expires_at=-timedelta(days=90))
    found = problem(Caller(made["token"]).get("/me"), 401, "token.ended")
    assert "The token deploy expired at 2" in found["detail"]
    assert api.get("/tokens/deploy").json()["expired"] is True
    with untouched():
        problem(api.post("/tokens/deploy/rotate"), 409, "token.moved")
        problem(Caller(made["token"]).post("/tokens/deploy/rotate"), 401, "token.ended")

    new = rotated(api, expires_in_days=7)

    assert status(new) == 200
    row = Token.objects.get(name="deploy")
    assert row.expires_at is not None
    assert timedelta(days=6) < row.expires_at - clock.now() <= timedelta(days=7)


def test_revoked_is_revoked_with_every_secret(api: Caller, made: dict[str, Any]) -> None:
    new = rotated(api)

    assert api.delete("/tokens/deploy").status_code == 204

    for token in (made["token"], new):
        problem(Caller(token).get("/me"), 401, "not_signed_in")
    problem(api.delete("/tokens/deploy"), 404, "not_found")
    assert api.post("/tokens", {"name": "deploy", "unlimited": True}).status_code == 201


def test_a_service_that_goes_takes_its_reach_along_and_nothing_becomes_unlimited(
    api: Caller, checkout_prod: Scope
) -> None:
    reach = [{"verbs": ["administer"], "service": "checkout"}]
    token = Caller(api.post("/tokens", {"name": "deploy", "reach": reach}).json()["token"])
    assert token.get("/services/checkout").status_code == 200

    assert api.delete("/services/checkout").status_code == 204
    api.post("/services", {"slug": "other"})

    me = token.get("/me").json()
    assert (me["unlimited"], me["reach"], me["grants"]) == (False, [], [])
    assert token.get("/services").json()["items"] == []
    problem(token.get("/services/other"), 404, "not_found")
    held = api.get("/tokens/deploy").json()
    assert (held["unlimited"], held["reach"]) == (False, [])


def test_somebody_switched_off_has_tokens_that_open_nothing(
    api: Caller, mia: Caller, who: Actor
) -> None:
    token = mia.post("/tokens", {"name": "of-mia", "unlimited": True}).json()["token"]
    api.patch("/people/mia", {"active": False})

    with untouched():
        problem(Caller(token).get("/me"), 403, "not_allowed")
        body = {"name": "new", "owner": "mia", "unlimited": True}
        assert "switched off" in problem(api.post("/tokens", body), 403, "not_allowed")["detail"]


def test_the_audit_has_every_act_by_name_and_its_person_reads_it(api: Caller, mia: Caller) -> None:
    mia.post("/tokens", {"name": "of-mia", "unlimited": True, "expires_in_days": None})
    rotated(mia, "of-mia", overlap_s=60)
    mia.delete("/tokens/of-mia")

    found = mia.get("/audit?action=token.&person=token:mia").json()["items"]

    assert [(each["action"], each["target"]) for each in reversed(found)] == [
        ("token.made", "mia"), ("token.rotated", "mia"), ("token.revoked", "mia"),
    ]  # fmt: skip
    assert found[-1]["data"] == {"token": "of-mia", "expires_at": None, "reach": "unlimited"}
    assert found[-2]["data"] == {"token": "of-mia", "expires_at": None, "overlap_s": 60}


def test_a_secret_stands_nowhere_but_where_it_is_told(
    api: Caller, made: dict[str, Any], caplog: pytest.LogCaptureFixture, client: Client,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    secrets = [made["token"], rotated(api), rotated(api, overlap_s=0)]
    Caller(secrets[2]).get("/me")
    Caller(secrets[1]).get("/me")
    Caller(secrets[2]).post("/tokens", {"name": "n", "unlimited": True})
    client.force_login(User.objects.get(username="ann"))
    answers = [
        api.get(path).content.decode()
        for path in ("/me", "/tokens", "/tokens?all=1", "/tokens/deploy", "/audit", "/people/ann")
    ]
    shown = [client.get(path) for path in ("/tokens/", "/audit/", "/people/ann/")]
    assert [page.status_code for page in shown] == [200, 200, 200]
    pages = [page.content.decode() for page in shown]
    api.delete("/tokens/deploy")

    told = "".join([*answers, *pages, str(rows()), caplog.text, *capfd.readouterr()])

    assert "deploy" in told
    assert [secret for secret in secrets if secret in told or secret[4:30] in told] == []


def test_a_dry_run_makes_and_rotates_nothing_and_tells_no_secret(
    api: Caller, made: dict[str, Any]
) -> None:
    calls = {
        "/tokens": {"name": "new", "unlimited": True},
        "/tokens/deploy/rotate": {"overlap_s": 0},
    }
    for path, body in calls.items():
        with untouched():
            answer = api.post(f"{path}?dry_run=1", body)
        assert answer.status_code == 200, answer.content
        assert answer.json()["dry_run"] is True
        assert "cht_" not in answer.content.decode()
    with untouched():
        assert api.delete("/tokens/deploy?dry_run=1").status_code == 200
    assert status(made["token"]) == 200
