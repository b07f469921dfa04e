"""dry_run=1: the real act, its answer and its difference, and nothing of it stays."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from confhub.catalog.models import Scope
from tests.api.conftest import PROD, Caller, problem, untouched

RELEASES = f"{PROD}/releases"


def test_a_publish_is_tried(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1, B="old")
    with untouched():
        answer = api.post(
            f"{RELEASES}?dry_run=1", {"message": "m", "set": {"A": 2}, "unset": ["B"]}
        )
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["dry_run"], told["status"], told["answer"]["release"]) == (True, 201, 2)
    assert told["changes"] == [
        {
            "place": "checkout@prod", "of": "release", "release": 2,
            "changes": [
                {"key": "A", "kind": "changed", "old": 1, "new": 2},
                {"key": "B", "kind": "removed", "old": "old", "new": None},
            ],
        }
    ]  # fmt: skip
    assert [(act["action"], act["target"]) for act in told["acts"]] == [
        ("release.published", "checkout@prod r2")
    ]
    assert told["hooks"] == []
    assert "Location" not in answer


def test_a_draft_is_tried(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    api.patch(f"{PROD}/draft", {"set": {"A": 5}}, If_Match="*")
    body = {"set": {"A": 6, "N": None, "S": {"$secret": "of-nobody"}}}
    with untouched():
        told = api.patch(f"{PROD}/draft?dry_run=true", body, If_Match='"2"').json()
    [place] = told["changes"]
    assert (place["place"], place["of"], place["release"]) == ("checkout@prod", "draft", None)
    secret = place["changes"][2]["new"]
    assert place["changes"][:2] == [
        {"key": "A", "kind": "changed", "old": 5, "new": 6},
        {"key": "N", "kind": "added", "old": None, "new": None},
    ]
    assert secret["$secret"] is True
    assert "of-nobody" not in str(told)
    assert told["answer"]["version"] == 3


def test_a_refusal_is_the_real_one(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    body = {"message": "m", "set": {"A": 2}, "expected_release": 7}
    with untouched():
        real = problem(api.post(RELEASES, body), 409, "release.stale")
        tried = problem(api.post(f"{RELEASES}?dry_run=1", body), 409, "release.stale")
        problem(api.patch(f"{PROD}/draft?dry_run=1", {"set": {}}), 428, "if_match.missing")
        problem(Caller(token=None).post(f"{RELEASES}?dry_run=1", body), 401, "not_signed_in")
    assert {**real, "request_id": ""} == {**tried, "request_id": ""}


@pytest.mark.parametrize("word", ["", "2", "yes", "maybe", "1&dry_run=0"])
def test_other_words_are_refused(api: Caller, checkout_prod: Scope, word: str) -> None:
    with untouched():
        told = problem(
            api.post(f"{RELEASES}?dry_run={word}", {"message": "m", "set": {"A": 1}}),
            422, "request.bad",
        )  # fmt: skip
    assert set(told["fields"]) == {"dry_run"}


@pytest.mark.parametrize("word", ["0", "false", "FALSE"])
def test_no_dry_run_is_a_real_one(api: Caller, checkout_prod: Scope, word: str) -> None:
    answer = api.post(f"{RELEASES}?dry_run={word}", {"message": "m", "set": {"A": 1}})
    assert answer.status_code == 201
    assert api.get(f"{RELEASES}/1").status_code == 200


def test_an_idempotency_key_is_not_used_up(api: Caller, checkout_prod: Scope) -> None:
    body: dict[str, Any] = {"message": "m", "set": {"A": 1}}
    with untouched():
        first = api.post(f"{RELEASES}?dry_run=1", body, Idempotency_Key="k")
        again = api.post(f"{RELEASES}?dry_run=1", body, Idempotency_Key="k")
        problem(api.post(f"{RELEASES}?dry_run=1", body, Idempotency_Key="ü"), 400, "header.bad")
    assert first.json()["answer"]["release"] == again.json()["answer"]["release"] == 1
    assert "Idempotent-Replayed" not in again
    assert api.post(RELEASES, body, Idempotency_Key="k").status_code == 201


def test_a_layer_is_tried_with_every_scope_it_reaches(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1)
    with untouched():
        told = api.post(
            "/layers/global/releases?dry_run=1", {"message": "m", "set": {"SHARED": "x"}}
        ).json()
    assert told["status"] == 201
    assert [(each["place"], each["of"], each["release"]) for each in told["changes"]] == [
        ("global", "layer", 1),
        ("checkout@prod", "release", 2),
    ]
    added = {"key": "SHARED", "kind": "added", "old": None, "new": "x"}
    assert [each["changes"] for each in told["changes"]] == [[added], [added]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "place", "changes"),
    [
        ("POST", "/services", {"slug": "new"}, 201, ("new", "service"),
         [("slug", "added"), ("name", "added"), ("description", "added")]),
        ("PATCH", "/services/checkout", {"description": "d"}, 200, ("checkout", "service"),
         [("description", "changed")]),
        ("DELETE", "/services/checkout", None, 204, ("checkout", "service"),
         [("slug", "removed"), ("name", "removed"), ("description", "removed")]),
        ("PATCH", "/environments/prod", {"order": 5}, 200, ("prod", "environment"),
         [("order", "changed")]),
        ("POST", "/layers/sets", {"slug": "tls"}, 201, ("tls", "set"),
         [("slug", "added"), ("description", "added")]),
        ("PUT", "/services/checkout/schema",
         {"document": {"type": "object", "properties": {"A": {"type": "integer"}}}}, 201,
         ("checkout", "schema"), [("*", "added"), ("A", "added")]),
        ("PUT", f"{PROD}/layers", {"holds_back": True}, 200, ("checkout@prod", "scope"),
         [("holds_back", "changed")]),
    ],
    ids=["service", "change", "remove", "environment", "set", "schema", "hold"],
)  # fmt: skip
def test_the_catalog_is_tried(
    api: Caller, checkout_prod: Scope, method: str, path: str, body: Any, status: int, place: Any,
    changes: Any,
) -> None:  # fmt: skip
    with untouched():
        answer = api(method, f"{path}?dry_run=1", body)
    told = answer.json()
    [only] = told["changes"]
    assert (answer.status_code, told["status"]) == (200, status)
    assert (told["answer"] is None) == (status == 204)
    assert (only["place"], only["of"], only["release"]) == (*place, None)
    assert [(each["key"], each["kind"]) for each in only["changes"]] == changes
    assert told["acts"]


def test_markdown_is_fit_for_a_comment(api: Caller, publish: Callable[..., int]) -> None:
    publish(TEXT="one\ntwo\n", PIPE="a|b `c`", PLAIN="was open")
    body = {
        "message": "m",
        "set": {
            "TEXT": "one\n```\nthree\n", "PIPE": "<b>@ann</b> | x", "LONG": "y" * 500,
            "PLAIN": {"$secret": "of-nobody"}, "TURNED": "a\u202eb",
        },
    }  # fmt: skip
    with untouched():
        answer = api.post(f"{RELEASES}?dry_run=1", body, Accept="text/markdown")
    text = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/markdown; charset=utf-8")
    assert text.startswith("## Dry run\n\n`POST /api/v1/services/checkout/environments/prod/rele")
    assert "would answer **201**" in text
    assert "### `checkout@prod`: release r2" in text
    assert '| `PIPE` | changed | ``"a\\|b `c`"`` | `"<b>@ann</b> \\| x"` |' in text
    assert "| `TEXT` | changed | text of 2 lines | text of 3 lines |" in text
    assert "````diff\n@@ -1,2 +1,3 @@\n one\n-two\n+```\n+three\n````" in text
    assert "(502 characters)" in text
    assert "y" * 200 not in text
    assert "of-nobody" not in text
    assert "was open" not in text
    assert "\\u202e" in text
    assert "- `release.published` `checkout@prod r2`" in text


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json, text/markdown;q=0.5"])
def test_json_is_answered_otherwise(api: Caller, checkout_prod: Scope, accept: str) -> None:
    body = {"message": "m", "set": {"A": 1}}
    answer = api.post(f"{RELEASES}?dry_run=1", body, Accept=accept)
    assert answer["Content-Type"] == "application/json; charset=utf-8"
    assert answer["Vary"] == "Accept"


def test_what_is_shown_once_is_not_shown(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        told = api.post("/tokens?dry_run=1", {"name": "ci", "unlimited": True}).json()
    assert (told["status"], told["answer"]["token"], told["answer"]["name"]) == (201, None, "ci")


def test_a_database_that_is_away_is_said(api: Caller, checkout_prod: Scope) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("away")

    # In a transaction of its own, which ends with the statements that fail in it.
    with transaction.atomic(), connection.execute_wrapper(away):
        answer = api.post(f"{RELEASES}?dry_run=1", {"message": "m", "set": {"A": 1}})
        connection.set_rollback(False)
    problem(answer, 503, "database.away")
    assert answer["Retry-After"] == "1"


def test_a_reveal_cannot_be_tried(api: Caller, publish: Callable[..., int]) -> None:
    publish(S={"$secret": "of-nobody"})
    with untouched():
        answer = api.post(f"{PROD}/reveal?dry_run=1", {"key": "S", "reason": "r"})
        problem(answer, 422, "dry_run.impossible")
        problem(api.post("/oidc/exchange?dry_run=1", {"token": "x"}), 422, "dry_run.impossible")
    assert b"of-nobody" not in answer.content
