"""Publish, read, compare and roll back over REST."""

from collections.abc import Callable
from typing import Any

import pytest

from confhub.catalog.models import Scope
from confhub.events.models import AuditEntry
from confhub.publishing.models import Publication
from confhub.releases.models import Release
from tests.api.conftest import PROD, Caller, problem, untouched

RELEASES = f"{PROD}/releases"


def test_the_draft_is_published(api: Caller, checkout_prod: Scope) -> None:
    api.patch(f"{PROD}/draft", {"set": {"MAX": 200}}, If_Match="*")

    made = api.post(RELEASES, {"message": "raise the pool"})

    assert made.status_code == 201, made.content
    assert made["Location"] == f"{RELEASES}/1"
    release = made.json()
    assert release | {"created_at": "", "checksum": ""} == {
        "service": "checkout", "environment": "prod", "release": 1, "checksum": "",
        "message": "raise the pool", "author": "token:ann", "created_at": "", "parent": None,
        "restores": None, "keys": 1, "emergency": False, "annotations": {}, "image": None,
        "offers": None,
        "publication": {
            "state": "waiting", "written_at": None, "revision": None, "tries": 0, "last_error": "",
        },
    }  # fmt: skip
    assert api.get(f"{RELEASES}/1").json() == release | {"entries": {"MAX": {"value": 200}}}
    assert api.get(f"{PROD}/draft").json()["changes"] == []
    assert Publication.objects.get().state == "waiting"
    assert AuditEntry.objects.get(action="release.published").request_id == made["X-Request-Id"]


def test_a_script_publishes_its_keys_and_leaves_the_draft(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1, B=2)
    api.patch(f"{PROD}/draft", {"set": {"HALF_DONE": True}}, If_Match="*")

    made = api.post(RELEASES, {"message": "tag", "set": {"A": 10}, "unset": ["B"]})

    assert made.status_code == 201
    entries = api.get(f"{RELEASES}/{made.json()['release']}").json()["entries"]
    assert entries == {"A": {"value": 10}}
    assert api.get(f"{PROD}/draft").json()["set"] == {"HALF_DONE": True}


def test_nothing_changed_answers_the_current_release(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1)

    with untouched():
        by_keys = api.post(RELEASES, {"message": "again", "set": {"A": 1}})
        by_nothing = api.post(RELEASES, {"message": "again", "set": {}})
        by_draft = api.post(RELEASES, {"message": "again"})

    for answer in (by_keys, by_nothing, by_draft):
        assert (answer.status_code, answer.json()["release"]) == (200, 1)
        assert answer.json()["message"] == "a test's"


def test_an_empty_scope_has_nothing_to_publish(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        problem(api.post(RELEASES, {"message": "first"}), 422, "release.empty")


@pytest.mark.parametrize("expected", [0, 1, 3, 2**31 - 1])
def test_a_stale_expectation_publishes_nothing(
    api: Caller, publish: Callable[..., int], expected: int
) -> None:
    publish(A=1)
    publish(A=2)

    body = {"message": "m", "set": {"A": 3}, "expected_release": expected}
    with untouched():
        document = problem(api.post(RELEASES, body), 409, "release.stale")
        problem(api.post(f"{RELEASES}/1/rollback", {"expected_release": expected}), 409, "release.stale")  # fmt: skip

    assert (document["release"], document["expected"]) == (2, expected)


def test_a_met_expectation_publishes(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)

    body = {"message": "m", "set": {"A": 3}, "expected_release": 1}

    assert api.post(RELEASES, body).status_code == 201


def test_a_draft_behind_a_release_of_the_same_key_is_refused(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1)
    api.patch(f"{PROD}/draft", {"set": {"A": 2}}, If_Match="*")
    publish(A=3)

    with untouched():
        document = problem(api.post(RELEASES, {"message": "m"}), 412, "draft.stale")

    assert document["overlapping"] == ["A"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "request.bad", "message"),
        ({"message": None}, "request.bad", "message"),
        ({"message": 3}, "request.bad", "message"),
        ({"message": "\ud800"}, "request.bad", "message"),
        ({"message": "a\u0000"}, "request.bad", "message"),
        ({"message": "m" * 2001, "set": {"A": 1}}, "entries.bad", "message"),
        ({"message": "m" * 6000, "set": {"A": 1}}, "request.bad", "message"),
        ({"message": "m", "set": {"A": "x" * 262_145}}, "entries.bad", "A"),
        ({"message": "m", "set": {"a": 1, "A": 2}}, "entries.bad", "A"),
        ({"message": "m", "set": {"a key": 1}}, "entries.bad", "a key"),
        ({"message": "m", "unset": ["NEVER"]}, "entries.bad", "NEVER"),
        ({"message": "m", "expected_release": -1}, "request.bad", "expected_release"),
        ({"message": "m", "expected_release": 2**31}, "request.bad", "expected_release"),
        ({"message": "m", "expected_release": "1"}, "request.bad", "expected_release"),
        ({"message": "m", "publish": True}, "request.bad", "publish"),
    ],
)
def test_a_bad_release_is_refused_by_field(
    api: Caller, checkout_prod: Scope, body: dict[str, Any], code: str, field: str
) -> None:
    with untouched():
        document = problem(api.post(RELEASES, body), 422, code)

    assert document["fields"][field]
    assert Release.objects.count() == Publication.objects.count() == 0


def test_a_release_too_large_for_etcd_is_refused(api: Caller, checkout_prod: Scope) -> None:
    values = {f"K{number}": "x" * 250_000 for number in range(5)}
    with untouched():
        problem(api.post(RELEASES, {"message": "m", "set": values}), 422, "entries.bad")


def test_history_comes_newest_first_in_pages(api: Caller, publish: Callable[..., int]) -> None:
    for value in range(5):
        publish(A=value)

    first = api.get(f"{RELEASES}?limit=2").json()
    second = api.get(f"{RELEASES}?limit=2&after={first['next']}").json()
    publish(A=99)  # what comes in between moves no page
    third = api.get(f"{RELEASES}?limit=2&after={second['next']}").json()

    pages = [[item["release"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [[5, 4], [3, 2], [1]]
    assert third["next"] is None
    assert first["items"][0]["publication"]["state"] == "waiting"
    assert "entries" not in first["items"][0]


def test_a_diff_names_each_key(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1, B=2)
    api.post(RELEASES, {"message": "m", "set": {"A": None, "C": [3]}, "unset": ["B"]})

    found = api.get(f"{RELEASES}/2/diff").json()

    assert found == {
        "release": 2,
        "against": 1,
        "changes": [
            {"key": "A", "kind": "changed", "old": 1, "new": None},
            {"key": "B", "kind": "removed", "old": 2, "new": None},
            {"key": "C", "kind": "added", "old": None, "new": [3]},
        ],
    }
    assert [c["kind"] for c in api.get(f"{RELEASES}/1/diff?against=2").json()["changes"]] == [
        "changed", "added", "removed",
    ]  # fmt: skip
    assert [c["key"] for c in api.get(f"{RELEASES}/1/diff").json()["changes"]] == ["A", "B"]
    assert api.get(f"{RELEASES}/2/diff?against=2").json()["changes"] == []


def test_a_rollback_is_a_new_release_with_the_older_content(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1)
    publish(A=2)

    made = api.post(f"{RELEASES}/1/rollback")

    assert made.status_code == 201, made.content
    assert (made.json()["release"], made.json()["restores"], made.json()["parent"]) == (3, 1, 2)
    first, third = (api.get(f"{RELEASES}/{number}").json() for number in (1, 3))
    assert (third["entries"], third["checksum"]) == (first["entries"], first["checksum"])


def test_a_rollback_to_what_runs_changes_nothing(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)

    with untouched():
        again = api.post(f"{RELEASES}/1/rollback", {"message": "to be sure"})

    assert (again.status_code, again.json()["release"]) == (200, 1)


NOT_THERE = [
    ("GET", "{releases}/7"), ("GET", "{releases}/0"), ("GET", "{releases}/99999999999999999999"),
    ("GET", "{releases}/7/diff"), ("GET", "{releases}/1/diff?against=7"),
    ("GET", "{releases}/1/diff?against=99999999999999999999"),
    ("POST", "{releases}/7/rollback"), ("POST", "{releases}/0/rollback"),
    ("POST", "{releases}/99999999999999999999/rollback"), ("GET", "{prod}/config?release=7"),
    ("GET", "{prod}/config?release=99999999999999999999"), ("GET", "{prod}/convergence?release=7"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), NOT_THERE)
def test_a_number_that_does_not_exist_is_not_found(
    api: Caller, publish: Callable[..., int], method: str, path: str
) -> None:
    publish(A=1)

    with untouched():
        document = problem(api(method, path.format(releases=RELEASES, prod=PROD)), 404, "not_found")

    assert document["fields"]["release"]


@pytest.mark.parametrize("number", ["x", "1.5", "-", "٣x", "1e3"])
def test_a_number_that_is_none_is_refused(
    api: Caller, publish: Callable[..., int], number: str
) -> None:
    publish(A=1)

    document = problem(api.get(f"{RELEASES}/{number}"), 422, "request.bad")

    assert document["fields"]["release"] == "Write a whole number."
