"""Whatever JSON is thrown at the interface, it is taken or refused, and never breaks it."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from confhub.catalog.models import Scope
from tests.api.conftest import PROD, Caller, rows

ANY_TEXT = some.text(some.characters(codec=None), max_size=20)  # surrogates and NUL as well
ANY_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | ANY_TEXT,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
SOME_KEY = some.sampled_from(["A", "a", "DB_POOL", "db.pool", "nginx.conf", "not a key", ""])
NEARLY_RIGHT = some.fixed_dictionaries(
    {},
    optional={
        "set": some.dictionaries(SOME_KEY | ANY_TEXT, ANY_JSON, max_size=4),
        "unset": some.lists(SOME_KEY | ANY_TEXT, max_size=3),
        "revert": some.lists(SOME_KEY | ANY_TEXT, max_size=3),
    },
)
OFTEN = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(answer: Any, before: Any) -> None:
    assert answer.status_code in (200, 201, 400, 404, 412, 422), answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["code"] != "server.error"
        assert rows() == before  # refused means untouched


@OFTEN
@given(body=ANY_JSON | NEARLY_RIGHT)
def test_a_draft_takes_or_refuses_any_json(api: Caller, checkout_prod: Scope, body: Any) -> None:
    before = rows()

    answer = api.patch(f"{PROD}/draft", body, If_Match="*")

    check(answer, before)
    if answer.status_code == 200:
        assert api.get(f"{PROD}/draft").json()["set"].items() >= _kept(body).items()


@OFTEN
@given(
    body=ANY_JSON
    | some.fixed_dictionaries(
        {"message": ANY_TEXT},
        optional={
            "set": some.dictionaries(SOME_KEY, ANY_JSON, max_size=4) | some.none(),
            "unset": some.lists(SOME_KEY, max_size=3) | some.none(),
            "expected_release": some.none() | some.integers(),
        },
    )
)
def test_a_release_takes_or_refuses_any_json(api: Caller, checkout_prod: Scope, body: Any) -> None:
    before = rows()

    answer = api.post(f"{PROD}/releases", body)

    if answer.status_code != 409:
        check(answer, before)


@OFTEN
@given(body=some.binary(max_size=60) | some.text(max_size=60).map(str.encode))
def test_any_bytes_are_taken_or_refused(api: Caller, checkout_prod: Scope, body: bytes) -> None:
    before = rows()

    check(api.patch(f"{PROD}/draft", body, If_Match="*"), before)


@OFTEN
@given(tag=some.text(some.characters(min_codepoint=32, max_codepoint=255), max_size=30))
def test_any_if_match_is_taken_or_refused(api: Caller, checkout_prod: Scope, tag: str) -> None:
    before = rows()

    check(api.patch(f"{PROD}/draft", {"set": {"A": 1}}, If_Match=tag), before)


def _kept(body: Any) -> dict[str, Any]:
    return dict(body.get("set", {})) if isinstance(body, dict) else {}
