"""CI identity over REST: a job's identity token for a token of ours, and nothing for anybody else's."""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from confhub.access import actions as access
from confhub.access import exchanging, grants, tokens
from confhub.access.issuers import issuers
from confhub.access.models import Token, TokenReach, Trust
from confhub.access.queries import actor_of_token, token_digest
from confhub.api import limits
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Reach
from confhub.events.models import AuditEntry
from tests.api.conftest import PROD, Caller, problem, untouched
from tests.parts.factories import ANN
from tests.parts.issuer import DISCOVERY, KEYS, Issuer, github, gitlab, private_key, tampered

US = "https://confhub.example"
Trusting = Callable[..., dict[str, Any]]


@pytest.fixture
def forge(settings: Any) -> Iterator[Issuer]:
    issuers.forget()
    server = Issuer()
    settings.CONFHUB_OUTGOING_ALLOW = [server.host]
    yield server
    server.stop()
    issuers.forget()


@pytest.fixture
def trusting(api: Caller, forge: Issuer, checkout_prod: Scope) -> Trusting:
    """trusting(name="deploy", claims={…}) makes a trust over REST and answers it."""

    def made(**other: Any) -> dict[str, Any]:
        body = {
            "name": "deploy", "issuer": forge.url, "audience": US, "person": "ann",
            "claims": {"repository": "acme/shop", "ref": "refs/heads/main"},
            "reach": [{"verbs": ["publish"], "service": "checkout", "environment": "prod"}],
        }  # fmt: skip
        answer = api.post("/trusts", body | other)
        assert answer.status_code == 201, answer.content
        held: dict[str, Any] = answer.json()
        return held

    return made


def exchange(token: str, trust: str | None = None, **headers: str) -> Any:
    body = {"token": token} if trust is None else {"token": token, "trust": trust}
    return Caller(token=None).post("/oidc/exchange", body, **headers)


def job(forge: Issuer, **other: Any) -> str:
    return forge.token(github(forge.url, now=clock.now(), **other))


# --- the exchange ---------------------------------------------------------------------------------


def test_a_job_at_github_publishes_with_its_own_identity(forge: Issuer, trusting: Trusting) -> None:
    trusting()
    before = clock.now()

    answer = exchange(job(forge), X_Request_Id="job-42")

    assert answer.status_code == 200, answer.content
    assert answer["Cache-Control"] == "no-store"
    made = answer.json()
    assert made["reach"] == [{"verbs": ["see", "publish"], "service": "checkout", "environment": "prod"}]  # fmt: skip
    caller = Caller(token=made["token"])
    assert caller.post(f"{PROD}/releases", {"message": "m", "set": {"A": 1}}).status_code == 201
    dev = PROD.replace("/prod", "/dev")
    problem(caller.post(f"{dev}/releases", {"message": "m", "set": {"A": 1}}), 404, "not_found")
    problem(caller.get("/trusts"), 403, "not_allowed")

    row = Token.objects.get(name=made["name"])
    assert row.digest == token_digest(made["token"])
    assert row.limited
    assert row.made_by == "trust:deploy"
    assert row.source == f"{forge.url} repo:acme@285964/shop@1339936803:environment:prod"
    assert timedelta(seconds=890) < row.expires_at - before <= timedelta(seconds=905)  # type: ignore[operator]  # it ends
    assert clock.stamp(row.expires_at) == made["expires_at"]  # type: ignore[arg-type]
    assert Trust.objects.get().last_used_at == row.created_at


def test_it_is_in_the_audit_and_the_log_without_any_token(
    forge: Issuer, trusting: Trusting, caplog: pytest.LogCaptureFixture
) -> None:
    trusting()
    caplog.set_level(logging.DEBUG)
    identity = job(forge)

    made = exchange(identity, X_Request_Id="job-42").json()

    entry = AuditEntry.objects.get(action="token.exchanged")
    assert (entry.actor, entry.target, entry.request_id) == ("trust:deploy", "ann", "job-42")
    assert entry.data["subject"] == "repo:acme@285964/shop@1339936803:environment:prod"
    assert entry.data["jti"] == "1e410ab1-302e-4e33-8c5f-869a4bd12c3b"
    assert entry.data["token"] == made["name"]
    told = json.dumps(list(AuditEntry.objects.values("data", "target", "actor"))) + caplog.text
    for secret in (identity, identity.split(".")[2], made["token"]):
        assert secret not in told


def test_a_job_at_gitlab_signed_with_another_kind_of_key(forge: Issuer, trusting: Trusting) -> None:
    trusting(
        claims={"project_path": "acme/*", "ref_protected": "true", "groups_direct": "acme/oncall",
                "runner_id": "1"},
    )  # fmt: skip
    forge.sign_with("ES256", private_key("p256"), "ec-1", alg="ES256")

    assert exchange(forge.token(gitlab(forge.url, now=clock.now()))).status_code == 200
    refused = exchange(
        forge.token(gitlab(forge.url, now=clock.now(), ref_protected="false")), "deploy"
    )
    assert problem(refused, 403, "oidc.no_trust")["claims"] == ["ref_protected"]


def test_the_keys_rotate(forge: Issuer, trusting: Trusting) -> None:
    trusting()
    assert exchange(job(forge)).status_code == 200
    forge.sign_with("PS256", private_key("rsa", 2), "key-2")

    with untouched():
        problem(exchange(job(forge)), 401, "oidc.token_bad")  # it was asked a moment ago
    issuers.forget()  # as 30 seconds would do; tests/access/test_issuers.py has the clock

    assert exchange(job(forge)).status_code == 200


def test_the_same_identity_may_be_exchanged_again_while_it_is_valid(
    forge: Issuer, trusting: Trusting
) -> None:
    trusting()
    identity = job(forge)

    first, second = exchange(identity).json(), exchange(identity).json()

    assert first["token"] != second["token"]
    assert AuditEntry.objects.filter(action="token.exchanged").count() == 2


def test_what_has_ended_is_swept_with_the_next_exchange(
    forge: Issuer, trusting: Trusting, ann: User
) -> None:
    trusting()
    old = exchange(job(forge)).json()["name"]
    ended = clock.now() - timedelta(hours=1, seconds=1)
    Token.objects.filter(name=old).update(expires_at=ended)
    access.set_token("kept", token="a token of a person", user=ann, now=clock.now())
    Token.objects.filter(name="kept").update(expires_at=ended)

    fresh = exchange(job(forge)).json()["name"]

    names = set(Token.objects.values_list("name", flat=True))
    assert names == {"ann", "kept", fresh}
    assert TokenReach.objects.filter(token__isnull=False).count() == 1


def test_it_ends_by_itself(forge: Issuer, trusting: Trusting) -> None:
    trusting(lifetime_s=60)
    token = exchange(job(forge)).json()["token"]

    assert actor_of_token(token, now=clock.now() + timedelta(seconds=59)) is not None
    assert actor_of_token(token, now=clock.now() + timedelta(seconds=61)) is None


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "status", "code"),
    [
        ({"repository": "mallory/shop"}, 403, "oidc.no_trust"),
        ({"ref": "refs/heads/feature"}, 403, "oidc.no_trust"),
        ({"ref": None}, 403, "oidc.no_trust"),
        ({"aud": "https://github.com/acme"}, 401, "oidc.token_bad"),
        ({"iss": "https://token.actions.githubusercontent.com"}, 403, "oidc.no_trust"),
        ({"exp": 1}, 401, "oidc.token_bad"),
        ({"nbf": 4_000_000_000}, 401, "oidc.token_bad"),
    ],
    ids=["repository", "ref", "no-ref", "audience", "issuer", "expired", "not-yet"],
)
def test_another_job_gets_nothing(
    forge: Issuer, trusting: Trusting, other: dict[str, Any], status: int, code: str
) -> None:
    trusting()
    identity = job(forge, **other)

    with untouched():
        for trust in (None, "deploy"):
            document = problem(exchange(identity, trust), status, code)
            assert identity not in json.dumps(document)


def test_a_forged_token_gets_nothing(forge: Issuer, trusting: Trusting) -> None:
    trusting()
    mallorys = tampered(job(forge, repository="mallory/shop"), repository="acme/shop")
    forge.sign_with("RS256", private_key("rsa", 2), "key-1", publish=False)
    with_another_key = job(forge)

    with untouched():
        for identity in (mallorys, with_another_key, "no.such.token", ""):
            problem(exchange(identity, "deploy"), 401, "oidc.token_bad")


def test_the_named_trust_says_which_claims_do_not_fit_and_another_never(
    forge: Issuer, trusting: Trusting
) -> None:
    trusting()
    trusting(name="release", claims={"repository": "acme/secret-project"})
    identity = job(forge, ref="refs/heads/feature")

    with untouched():
        named = problem(exchange(identity, "deploy"), 403, "oidc.no_trust")
        unnamed = problem(exchange(identity), 403, "oidc.no_trust")
        unknown = problem(exchange(identity, "nothing"), 403, "oidc.no_trust")

    assert named["claims"] == ["ref"]
    assert "refs/heads/main" not in json.dumps(named)
    assert "claims" not in unnamed
    assert "claims" not in unknown
    for document in (named, unnamed, unknown):
        assert "secret-project" not in json.dumps(document)
        assert "release" not in json.dumps(document)


def test_where_several_fit_one_has_to_be_named(forge: Issuer, trusting: Trusting) -> None:
    trusting()
    trusting(name="other", claims={"repository_id": "1339936803"})

    with untouched():
        problem(exchange(job(forge)), 422, "oidc.trust_ambiguous")
    assert exchange(job(forge), "other").json()["name"].startswith("ci.other.")


def test_an_issuer_that_does_not_answer_is_named_and_nothing_is_given(
    forge: Issuer, trusting: Trusting
) -> None:
    trusting()
    forge.answers[DISCOVERY] = (502, b"")

    with untouched():
        answer = exchange(job(forge))
    document = problem(answer, 503, "oidc.issuer_away")
    assert answer["Retry-After"] == "5"
    assert forge.url in document["detail"]
    assert "502" in document["detail"]


def test_nobody_elses_address_is_ever_asked(forge: Issuer, trusting: Trusting) -> None:
    """Whoever sends a token must not choose where this server looks."""
    trusting()
    elsewhere = Issuer()
    elsewhere.sign_with("RS256", private_key("rsa", 2), "key-1", publish=False)
    try:
        identity = elsewhere.token(
            github(elsewhere.url, now=clock.now()),
            headers={"jku": f"{elsewhere.url}{KEYS}", "x5u": elsewhere.url},
        )
        with untouched():
            problem(exchange(identity), 403, "oidc.no_trust")
            pretending = elsewhere.token(
                github(forge.url, now=clock.now()), headers={"jku": f"{elsewhere.url}{KEYS}"}
            )
            problem(exchange(pretending), 401, "oidc.token_bad")
        assert elsewhere.asked == []
    finally:
        elsewhere.stop()


def test_a_person_who_was_switched_off_gives_nothing(
    forge: Issuer, trusting: Trusting, ann: User
) -> None:
    mia = access.make_person("mia", who=ANN, now=clock.now())
    grants.grant(mia, "publisher", who=ANN, now=clock.now())
    trusting(person="mia")
    held = Caller(token=exchange(job(forge)).json()["token"])
    assert held.get(f"{PROD}/config").status_code == 404  # nothing is published
    access.switch(mia, active=False, who=ANN, now=clock.now())

    with untouched():
        problem(exchange(job(forge), "deploy"), 403, "oidc.no_trust")
    problem(held.get("/services"), 403, "not_allowed")


def test_a_trust_never_gives_more_than_its_person_has(
    forge: Issuer, trusting: Trusting, ann: User
) -> None:
    mia = access.make_person("mia", who=ANN, now=clock.now())
    held, _ = grants.grant(mia, "publisher", who=ANN, now=clock.now())
    trusting(person="mia")
    caller = Caller(token=exchange(job(forge)).json()["token"])
    grants.revoke(held, who=ANN, now=clock.now())
    grants.grant(mia, "viewer", who=ANN, now=clock.now())

    answer = caller.post(f"{PROD}/releases", {"message": "m", "set": {"A": 1}})

    problem(answer, 403, "not_allowed")


def test_a_service_that_is_gone_leaves_nothing_to_reach(
    api: Caller, forge: Issuer, trusting: Trusting
) -> None:
    trusting()
    api.delete("/services/checkout")

    with untouched():
        problem(exchange(job(forge), "deploy"), 403, "oidc.no_trust")


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_kept_while_the_issuer_is_asked(
    forge: Issuer, trusting: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting()
    seen: list[bool] = []
    usual = Issuer._usual

    def looking(self: Issuer, path: str) -> tuple[int, bytes]:
        seen.append(main.connection is None)
        return usual(self, path)

    monkeypatch.setattr(Issuer, "_usual", looking)
    main = connection

    def asked() -> int:
        nonlocal main
        main = connection._connections[connection._alias]  # this thread's own
        try:
            return int(exchange(job(forge)).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asked).result() == 200
    assert seen == [True, True]


@pytest.mark.django_db(transaction=True)
def test_a_trust_that_is_removed_while_its_issuer_is_asked_gives_nothing(
    api: Caller, forge: Issuer, trusting: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting()
    usual = Issuer._usual

    def removing(self: Issuer, path: str) -> tuple[int, bytes]:
        if path == KEYS:
            assert api.delete("/trusts/deploy").status_code == 204
        return usual(self, path)

    monkeypatch.setattr(Issuer, "_usual", removing)

    answer = exchange(job(forge))

    problem(answer, 403, "oidc.no_trust")
    assert not Token.objects.filter(made_by="trust:deploy").exists()


# --- trusts ---------------------------------------------------------------------------------------


def test_a_trust_is_made_read_changed_and_removed(
    api: Caller, forge: Issuer, trusting: Trusting
) -> None:
    made = trusting(jwks_url=forge.url + KEYS, lifetime_s=120)
    assert made["made_by"] == "token:ann"
    assert made["reach"] == [{"verbs": ["see", "publish"], "service": "checkout", "environment": "prod"}]  # fmt: skip
    assert made["last_used_at"] is None
    assert api.get("/trusts/deploy").json() == made
    assert api.get("/trusts").json() == {"items": [made], "next": None}
    token = Caller(token=exchange(job(forge)).json()["token"])
    assert DISCOVERY not in forge.asked
    assert api.get("/trusts/deploy").json()["living_tokens"] == 1
    assert token.get("/services").status_code == 200

    changed = api.patch("/trusts/deploy", {"claims": {"repository": "acme/other"}})
    assert changed.status_code == 200
    assert changed.json() == made | {
        "claims": {"repository": "acme/other"}, "living_tokens": 0,
        "last_used_at": changed.json()["last_used_at"],
    }  # fmt: skip
    problem(token.get("/services"), 401, "not_signed_in")  # its job does not fit any more
    problem(exchange(job(forge), "deploy"), 403, "oidc.no_trust")

    second = Caller(token=exchange(job(forge, repository="acme/other")).json()["token"])
    assert api.delete("/trusts/deploy").status_code == 204
    problem(second.get("/services"), 401, "not_signed_in")
    problem(api.get("/trusts/deploy"), 404, "not_found")
    assert not TokenReach.objects.exists()
    actions = AuditEntry.objects.filter(action__startswith="trust.").order_by("id")
    assert [(each.action, each.target) for each in actions] == [
        ("trust.made", "trust deploy"),
        ("trust.changed", "trust deploy"),
        ("trust.removed", "trust deploy"),
    ]


@pytest.mark.parametrize(
    ("other", "code", "field"),
    [
        ({"claims": {}}, "trust.bad", "claims"),
        ({"claims": {"repository": "*"}}, "trust.bad", "claims"),
        ({"claims": {"repository": "**", "ref": "*"}}, "trust.bad", "claims"),
        ({"claims": {"aud": US}}, "trust.bad", "claims"),
        ({"claims": {"re po": "x"}}, "trust.bad", "claims"),
        ({"claims": {"repository": ""}}, "trust.bad", "claims"),
        ({"claims": {"repository": "a*b*c*d*e*f*g"}}, "trust.bad", "claims"),
        ({"claims": {"repository": "a\nb"}}, "trust.bad", "claims"),
        ({"claims": {"repository": "x" * 501}}, "trust.bad", "claims"),
        ({"issuer": "http://forge.example"}, "trust.bad", "issuer"),
        ({"issuer": "forge.example"}, "trust.bad", "issuer"),
        ({"issuer": "https://forge.example/?a=b"}, "trust.bad", "issuer"),
        ({"issuer": "https://" + "x" * 300}, "trust.bad", "issuer"),
        ({"jwks_url": "http://forge.example/keys"}, "trust.bad", "jwks_url"),
        ({"audience": " "}, "trust.bad", "audience"),
        ({"name": "Deploy"}, "trust.bad", "name"),
        ({"person": "nobody"}, "not_found", "person"),
        ({"reach": []}, "reach.bad", "reach"),
        ({"reach": [{"verbs": ["see"], "service": "nothing"}]}, "not_found", "reach.0.service"),
        ({"lifetime_s": 59}, "request.bad", "lifetime_s"),
        ({"lifetime_s": 3601}, "request.bad", "lifetime_s"),
        ({"reach": [{"verbs": ["fly"]}]}, "request.bad", "reach.0.verbs.0"),
    ],
    ids=[
        "none", "star", "stars", "checked", "name", "empty", "many-stars", "line", "long",
        "in-clear", "no-url", "query", "long-url", "keys-in-clear", "no-audience", "capital",
        "no-person", "no-reach", "no-service", "short", "long-life", "no-verb",
    ],
)  # fmt: skip
def test_a_trust_that_nobody_should_have_is_refused(
    api: Caller, forge: Issuer, trusting: Trusting, other: dict[str, Any], code: str, field: str
) -> None:
    body = {
        "name": "deploy", "issuer": forge.url, "audience": US, "person": "ann",
        "claims": {"repository": "acme/shop"}, "reach": [{"verbs": ["see"]}],
    }  # fmt: skip
    with untouched():
        answer = api.post("/trusts", body | other)
    document = problem(answer, 404 if code == "not_found" else 422, code)
    assert field in document["fields"]


@pytest.mark.parametrize(
    ("issuer", "claims", "taken"),
    [
        ("https://token.actions.githubusercontent.com", {"ref": "refs/heads/main"}, False),
        ("https://token.actions.githubusercontent.com", {"environment": "prod"}, False),
        ("https://token.actions.githubusercontent.com", {"repository": "a*"}, False),
        ("https://token.actions.githubusercontent.com", {"repository": "*/shop"}, False),
        ("https://token.actions.githubusercontent.com", {"repository_owner": "acm*"}, False),
        ("https://token.actions.githubusercontent.com", {"repository_id": "1*"}, False),
        ("https://token.actions.githubusercontent.com", {"sub": "repo:*"}, False),
        ("https://token.actions.githubusercontent.com", {"repository": "acme/*"}, True),
        ("https://token.actions.githubusercontent.com", {"repository_owner_id": "285964"}, True),
        ("https://token.actions.githubusercontent.com", {"sub": "repo:acme/*"}, True),
        ("https://gitlab.com", {"ref_protected": "true"}, False),
        ("https://gitlab.com", {"groups_direct": "acme/oncall"}, False),
        ("https://gitlab.com", {"namespace_path": "ac*"}, False),
        ("https://gitlab.com", {"project_path": "acme/shop"}, True),
        ("https://gitlab.com", {"namespace_path": "acme"}, True),
    ],
)
def test_at_a_public_forge_it_must_say_whose_jobs_are_meant(
    api: Caller, checkout_prod: Scope, issuer: str, claims: dict[str, str], taken: bool
) -> None:
    body = {
        "name": "deploy", "issuer": issuer, "audience": US, "person": "ann", "claims": claims,
        "reach": [{"verbs": ["see"]}],
    }  # fmt: skip

    answer = api.post("/trusts", body)

    if taken:
        assert answer.status_code == 201, answer.content
        return
    assert "Everybody may have jobs" in problem(answer, 422, "trust.bad")["fields"]["claims"]
    assert not Trust.objects.exists()


def test_a_refused_change_changes_nothing_and_ends_no_token(
    api: Caller, forge: Issuer, trusting: Trusting
) -> None:
    trusting()
    token = Caller(token=exchange(job(forge)).json()["token"])

    with untouched():
        problem(api.patch("/trusts/deploy", {"claims": {}}), 422, "trust.bad")
        problem(api.patch("/trusts/deploy", {"name": "x"}), 422, "request.bad")
        problem(api.patch("/trusts/nothing", {"lifetime_s": 60}), 404, "not_found")
        problem(api.post("/trusts", _again(api)), 409, "trust.taken")
    assert token.get("/services").status_code == 200


def _again(api: Caller) -> dict[str, Any]:
    held = api.get("/trusts/deploy").json()
    for name in ("made_by", "made_at", "last_used_at", "living_tokens"):
        del held[name]
    return dict(held)


def test_a_limited_token_of_an_administrator_changes_no_trust(
    api: Caller, ann: User, forge: Issuer, trusting: Trusting
) -> None:
    """It could otherwise make itself a token that reaches further."""
    trusting()
    reach = [Reach(frozenset({"administer"}))]
    made = tokens.make_token(
        "limited", owner=ann, reaches=reach, lifetime=None, who=ANN, now=clock.now()
    )
    caller = Caller(token=made.secret)

    with untouched():
        assert caller.get("/trusts").status_code == 200
        body = _again(api) | {"name": "mine"}
        problem(caller.post("/trusts", body), 403, "not_allowed")
        problem(caller.patch("/trusts/deploy", {"lifetime_s": 60}), 403, "not_allowed")
        problem(caller.delete("/trusts/deploy"), 403, "not_allowed")


def test_a_list_asks_the_database_no_more_often_for_more_trusts(
    api: Caller, trusting: Trusting
) -> None:
    trusting()
    with CaptureQueriesContext(connection) as one:
        api.get("/trusts")
    for name in ("a", "b", "c"):
        trusting(name=name)
    with CaptureQueriesContext(connection) as four:
        api.get("/trusts")

    assert len(four) == len(one)


def test_the_exchange_is_limited_by_address(
    forge: Issuer, trusting: Trusting, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.buckets.clear()
    monkeypatch.setattr(limits.time, "monotonic", lambda: 1000.0)
    trusting()
    settings.CONFHUB_CALLS_PER_MINUTE = 20  # two for an address
    statuses = [exchange(job(forge)).status_code for _ in range(3)]
    limits.buckets.clear()

    assert statuses == [200, 200, 429]


def test_only_an_exchange_makes_such_a_name(forge: Issuer, trusting: Trusting) -> None:
    """Ending a trust's tokens ends nobody's own, whatever they are called."""
    trusting()
    name = exchange(job(forge)).json()["name"]

    assert exchanging.PREFIX == tokens.PREFIX
    assert Token.objects.get(name=name).made_by == "trust:deploy"
    assert not User.objects.filter(username__contains=":").exists()
