"""Every POST that makes something is done once for its Idempotency-Key; and PATCH with If-Match."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.access import actions as access
from confhub.access import grants
from confhub.api.interface import api as interface
from confhub.api.models import Answer
from confhub.api.rehearsals import TELLING
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Actor
from tests.api.conftest import PROD, Caller, problem, untouched

WHEN = {"starts_at": "2031-01-01T00:00Z", "ends_at": "2031-01-02T00:00Z", "reason": "r"}
TRUST = {
    "name": "ci", "issuer": "https://forge.example", "audience": "here", "person": "ann",
    "claims": {"project": "checkout"}, "reach": [{"verbs": ["see"], "service": "checkout"}],
}  # fmt: skip
MAKING: list[tuple[str, Any]] = [
    ("/services", {"slug": "new"}),
    ("/environments", {"slug": "new"}),
    ("/layers/sets", {"slug": "new"}),
    ("/people", {"name": "new"}),
    ("/people/ann/grants", {"role": "viewer"}),
    ("/environments/prod/freezes", WHEN),
    ("/trusts", TRUST),
    ("/layers/global/releases", {"message": "m", "set": {"A": 1}, "targets": []}),
    (f"{PROD}/layers/take", {"message": "m"}),
]


@pytest.mark.parametrize(("path", "body"), MAKING, ids=[path for path, _ in MAKING])
def test_it_is_made_once(api: Caller, publish: Callable[..., int], path: str, body: Any) -> None:
    publish(A=1)
    first = api.post(path, body, Idempotency_Key="k")
    assert first.status_code in (200, 201), first.content
    with untouched():
        again = api.post(path, body, Idempotency_Key="k")
        problem(api.post(path, body, Idempotency_Key="two words"), 400, "header.bad")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotent-Replayed"] == "true"
    assert again.get("Location", "") == first.get("Location", "")


def test_a_comment_is_made_once(api: Caller, checkout_prod: Scope) -> None:
    api.patch(f"{PROD}/draft", {"set": {"A": 1}}, If_Match="*")
    number = api.post(f"{PROD}/requests", {"message": "m"}).json()["id"]
    for _ in range(3):
        answer = api.post(f"/requests/{number}/comments", {"text": "t"}, Idempotency_Key="k")
        assert answer.status_code == 201
    assert len(api.get(f"/requests/{number}").json()["comments"]) == 1


def test_whoever_lost_the_right_is_not_answered_again(
    api: Caller, who: Actor, checkout_prod: Scope
) -> None:
    vic = access.make_person("vic", password="a-password-of-vic", who=who, now=clock.now())
    access.set_token("vic", token="token-of-vic-long-enough", user=vic, now=clock.now())
    held, _ = grants.grant(vic, "admin", service=None, environment=None, who=who, now=clock.now())
    caller = Caller(token="token-of-vic-long-enough")
    assert caller.post("/services", {"slug": "new"}, Idempotency_Key="k").status_code == 201
    grants.revoke(held, who=who, now=clock.now())
    problem(caller.post("/services", {"slug": "new"}, Idempotency_Key="k"), 403, "not_allowed")


def test_what_is_shown_once_is_kept_nowhere(api: Caller, ann: User) -> None:
    body = {"name": "ci", "unlimited": True}
    with untouched():
        told = problem(
            api.post("/tokens", body, Idempotency_Key="k"), 422, "idempotency.impossible"
        )
    assert set(told["fields"]) == {"Idempotency-Key"}
    assert api.post("/tokens", body).status_code == 201
    assert not Answer.objects.exists()


def test_every_post_that_makes_something_takes_a_key_or_refuses_it() -> None:
    # A delivery has an id of its own, by which a repetition is known.
    known = {"receive_deploy", "retry_delivery"}
    for path, methods in interface.get_openapi_schema()["paths"].items():
        operation = methods.get("post")
        if operation is None or 201 not in operation["responses"]:
            continue
        takes = "Idempotency-Key" in {each["name"] for each in operation["parameters"]}
        name = operation["operationId"]
        assert takes != (name in TELLING) or name in known, path


def test_the_calls_that_tell_a_secret_are_known() -> None:
    """A shape with a field that is shown once belongs to a call that keeps no answer."""
    document = interface.get_openapi_schema()
    for methods in document["paths"].values():
        for method, operation in methods.items():
            shapes = str({s: each for s, each in operation["responses"].items() if s < 300})
            told = {
                name
                for name, shape in document["components"]["schemas"].items()
                if f"schemas/{name}'" in shapes
                and {"token", "secret"} & set(shape.get("properties", {}))
                and name not in ("MeOut", "DryRunOut")
            }
            if method != "get" and told:
                assert operation["operationId"] in TELLING, (operation["operationId"], told)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/services/checkout", {"description": "mine"}),
        ("/services/checkout", {"includes": []}),
        ("/environments/prod", {"order": 7}),
    ],
    ids=["service", "includes", "environment"],
)
def test_a_change_meets_what_its_author_saw(
    api: Caller, checkout_prod: Scope, path: str, change: Any
) -> None:
    seen = api.get(path)["ETag"]
    assert api.patch(path, {"name": "Somebody else's"}).status_code == 200
    with untouched():
        told = problem(api.patch(path, change, If_Match=seen), 412, "if_match.failed")
        problem(
            api.patch(path, change, If_Match=f"W/{api.get(path)['ETag']}"), 412, "if_match.failed"
        )
        problem(api.patch(path, change, If_Match="words"), 412, "if_match.failed")
    assert set(told["fields"]) == {"If-Match"}
    fresh = api.get(path)["ETag"]
    done = api.patch(path, change, If_Match=f'"other", {fresh}')
    assert done.status_code == 200
    assert done["ETag"] == api.get(path)["ETag"]
    assert api.patch(path, {"name": "x"}, If_Match="*").status_code == 200


def test_a_set_that_is_included_is_another_version(api: Caller, checkout_prod: Scope) -> None:
    api.post("/layers/sets", {"slug": "tls"})
    before = api.get("/services/checkout")["ETag"]
    api.patch("/services/checkout", {"includes": ["tls"]})
    assert api.get("/services/checkout")["ETag"] != before
