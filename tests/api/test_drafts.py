"""The draft over REST: autosaved, shared, compared key by key."""

from collections.abc import Callable
from typing import Any

import pytest

from confhub.access import actions as access
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.events.models import AuditEntry
from confhub.releases.models import Draft
from tests.api.conftest import PROD, Caller, problem, untouched

DRAFT = f"{PROD}/draft"


def test_a_draft_nobody_began_is_empty(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        answer = api.get(DRAFT)

    assert answer.status_code == 200
    assert answer["ETag"] == '"0"'
    assert answer.json() == {
        "service": "checkout", "environment": "prod", "base": 0, "head": 0, "version": 0,
        "set": {}, "unset": [], "changes": [], "overlapping": [], "updated_at": None,
        "updated_by": "",
    }  # fmt: skip


def test_any_json_value_is_kept_as_it_was_sent(api: Caller, checkout_prod: Scope) -> None:
    sent: dict[str, Any] = {
        "NULL": None, "YES": True, "INT": 10**18, "FLOAT": 1e16, "TEXT": "grün \u2028 🎉",
        "LIST": [1, [2, {"three": None}]], "EMPTY": {}, "ZERO": 0.0, "nginx.conf": "a\nb\t\"c\"\n",
    }  # fmt: skip

    changed = api.patch(DRAFT, {"set": sent}, If_Match='"0"')

    assert changed.status_code == 200, changed.content
    assert changed.json()["set"] == sent
    assert isinstance(api.get(DRAFT).json()["set"]["FLOAT"], float)
    assert changed["ETag"] == api.get(DRAFT)["ETag"] == '"1"'


def test_unset_and_revert_say_what_the_next_release_will_be(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1, B=2, C=3)
    tag = api.get(DRAFT)["ETag"]
    tag = api.patch(DRAFT, {"set": {"A": 10}, "unset": ["B"]}, If_Match=tag)["ETag"]

    reverted = api.patch(DRAFT, {"revert": ["B"]}, If_Match=tag).json()

    assert (reverted["set"], reverted["unset"]) == ({"A": 10}, [])
    assert [change["key"] for change in reverted["changes"]] == ["A"]
    assert reverted["changes"][0]["author"] == "token:ann"


def test_without_if_match_nothing_is_changed(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    with untouched():
        problem(api.patch(DRAFT, {"set": {"A": 2}}), 428, "if_match.missing")
        problem(api.delete(DRAFT), 428, "if_match.missing")


@pytest.mark.parametrize(
    "header", ['W/"1"', '"one"', "", '"1", "2"', '"-1"', '"1' + "0" * 30 + '"']
)
def test_an_if_match_that_is_no_version_is_refused(
    api: Caller, checkout_prod: Scope, header: str
) -> None:
    with untouched():
        document = problem(api.patch(DRAFT, {"set": {"A": 2}}, If_Match=header), 400, "header.bad")

    assert document["fields"]["If-Match"]


@pytest.mark.parametrize("header", ["0", '"0"', ' "0" ', "*"])
def test_forms_of_if_match_that_shells_leave_over(
    api: Caller, checkout_prod: Scope, header: str
) -> None:
    assert api.patch(DRAFT, {"set": {"A": 2}}, If_Match=header).status_code == 200


def test_a_key_changed_meanwhile_answers_both_values(api: Caller, checkout_prod: Scope) -> None:
    ben = access.ensure_person("ben", password="a-password-of-ben", now=clock.now())
    access.set_token("ben", token="a-token-of-ben", user=ben, now=clock.now())
    seen = api.get(DRAFT)["ETag"]
    Caller("a-token-of-ben").patch(DRAFT, {"set": {"MAX": 100, "MIN": 1}}, If_Match=seen)

    with untouched():
        refused = api.patch(DRAFT, {"set": {"MAX": 200, "MIN": 1}}, If_Match=seen)

    document = problem(refused, 412, "draft.stale")
    conflict = document["conflicts"]["MAX"]
    assert (conflict["yours"], conflict["theirs"], conflict["by"]) == (200, 100, "token:ben")
    assert list(document["conflicts"]) == ["MAX"]  # both want the same MIN
    assert (document["version"], document["expected"]) == (1, 0)
    assert "token:ben" in document["fields"]["MAX"]


def test_two_who_edit_different_keys_never_meet(api: Caller, checkout_prod: Scope) -> None:
    seen = api.get(DRAFT)["ETag"]

    first = api.patch(DRAFT, {"set": {"A": 1}}, If_Match=seen)
    second = api.patch(DRAFT, {"set": {"B": 2}}, If_Match=seen)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["set"] == {"A": 1, "B": 2}


def test_the_answered_tag_is_the_one_for_the_next_change(api: Caller, checkout_prod: Scope) -> None:
    tag = api.get(DRAFT)["ETag"]
    for value in range(3):
        tag = api.patch(DRAFT, {"set": {"A": value}}, If_Match=tag)["ETag"]

    assert (tag, api.get(DRAFT).json()["set"]) == ('"3"', {"A": 2})


def test_discarding_puts_everything_back(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    tag = api.patch(DRAFT, {"set": {"A": 2, "B": 3}}, If_Match="*")["ETag"]

    gone = api.delete(DRAFT, If_Match=tag)

    assert gone.status_code == 200
    assert (gone.json()["set"], gone.json()["changes"]) == ({}, [])
    assert gone["ETag"] != tag


def test_discarding_what_one_never_saw_is_refused(api: Caller, checkout_prod: Scope) -> None:
    api.patch(DRAFT, {"set": {"A": 2}}, If_Match="*")

    with untouched():
        problem(api.delete(DRAFT, If_Match='"0"'), 412, "draft.stale")


BAD_CHANGES: list[tuple[dict[str, Any], str]] = [
    # changes                                          field named
    ({"set": {"1A": 1}},                               "1A"),
    ({"set": {"": 1}},                                 ""),
    ({"set": {"A B": 1}},                              "A B"),
    ({"set": {"A" * 129: 1}},                          "A" * 129),
    ({"set": {"GRÜN": 1}},                             "GRÜN"),
    ({"set": {"../x": 1}},                             "../x"),
    ({"set": {"A": "\ud800"}},                         "A"),
    ({"set": {"A": ["\udfff"]}},                       "A"),
    ({"set": {"A": {"\udfff": 1}}},                    "A"),
    ({"set": {"A": "nul \u0000"}},                     "A"),
    ({"set": {"A": {"nul \u0000": 1}}},                "A"),
    ({"set": {"A": "x" * (256 * 1024 + 1)}},           "A"),
    ({"set": {"A": [{"$secret": "hunter2"}]}},         "A"),
    ({"set": {"DB_POOL": 1, "db.pool": 2}},            "DB_POOL"),
    ({"set": {"A": 1}, "unset": ["A"]},                "A"),
    ({"unset": ["NEVER"]},                             "NEVER"),
    ({"unset": ["not a key"]},                         "not a key"),
    ({"revert": ["NEVER"]},                            "NEVER"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field"), BAD_CHANGES)
def test_what_no_release_could_hold_is_refused_by_key(
    api: Caller, checkout_prod: Scope, changes: dict[str, Any], field: str
) -> None:
    api.patch(DRAFT, {"set": {"SOME": 1}}, If_Match="*")
    with untouched():
        document = problem(api.patch(DRAFT, changes, If_Match="*"), 422, "entries.bad")

    assert document["fields"][field]
    assert "hunter2" not in str(document)


def test_a_key_of_half_a_character_is_refused(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        problem(api.patch(DRAFT, {"set": {"\ud800": 1}}, If_Match="*"), 422, "entries.bad")


def test_a_value_that_nests_too_deeply_is_refused(api: Caller, checkout_prod: Scope) -> None:
    deep = b"[" * 66 + b"]" * 66
    with untouched():
        document = problem(
            api.patch(DRAFT, b'{"set": {"A": %s}}' % deep, If_Match="*"), 422, "entries.bad"
        )
    assert "64 deep" in document["fields"]["A"]


BAD_TEXTS = [
    # body                                       status  code
    (b"",                                          422, "request.bad"),
    (b"{",                                         400, "body.not_json"),
    (b"not json",                                  400, "body.not_json"),
    (b"\xff\xfe\xfd",                              400, "body.not_json"),
    (b'{"set": {"A": NaN}}',                       400, "body.not_json"),
    (b'{"set": {"A": -Infinity}}',                 400, "body.not_json"),
    (b'{"set": {"A": 1e999}}',                     400, "body.not_json"),
    (b'{"set": {"A": 1, "A": 2}}',                 400, "body.not_json"),
    (b'{"set": {"A": {"b": 1, "b": 2}}}',          400, "body.not_json"),
    (b'{"set": {}, "set": {}}',                    400, "body.not_json"),
    (b'{"set": {"A": ' + b"9" * 5000 + b"}}",      400, "body.not_json"),
    (b"[" * 100_000,                               400, "body.not_json"),
    (b'{"set": {"A": ' + b'{"a":' * 100_000,       400, "body.not_json"),
    (b"null",                                      422, "request.bad"),
    (b"[]",                                        422, "request.bad"),
    (b'"set"',                                     422, "request.bad"),
    (b'{"set": []}',                               422, "request.bad"),
    (b'{"set": null}',                             422, "request.bad"),
    (b'{"unset": "A"}',                            422, "request.bad"),
    (b'{"unset": [1]}',                            422, "request.bad"),
    (b'{"sett": {}}',                              422, "request.bad"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code"), BAD_TEXTS)
def test_a_body_of_another_form_is_refused(
    api: Caller, checkout_prod: Scope, body: bytes, status: int, code: str
) -> None:
    with untouched():
        problem(api.patch(DRAFT, body, If_Match="*"), status, code)


def test_a_body_larger_than_any_release_is_refused(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        answer = api.patch(DRAFT, b" " * (4 * 1024 * 1024 + 1), If_Match="*")

    problem(answer, 413, "body.too_large")


def test_a_release_of_full_size_fits_whatever_its_spelling(
    api: Caller, checkout_prod: Scope
) -> None:
    # Two bytes of UTF-8 become six in a \u escape, which is what most programs send.
    values = {f"TEXT_{number}": "ü" * (125 * 1024) for number in range(4)}

    changed = api.patch(DRAFT, {"set": values}, If_Match="*")

    assert changed.status_code == 200, changed.content[:500]


def test_a_draft_larger_than_a_release_is_refused(api: Caller, checkout_prod: Scope) -> None:
    values = {f"TEXT_{number}": "x" * (250 * 1024) for number in range(5)}

    with untouched():
        document = problem(api.patch(DRAFT, {"set": values}, If_Match="*"), 422, "entries.bad")

    assert "CONFHUB_MAX_RELEASE_BYTES" in document["detail"]


def test_no_value_reaches_the_audit(api: Caller, checkout_prod: Scope) -> None:
    tag = api.patch(DRAFT, {"set": {"A": "a-canary-value"}}, If_Match="*")["ETag"]
    api.delete(DRAFT, If_Match=tag)

    assert Draft.objects.get().version == 2
    assert "a-canary-value" not in str(list(AuditEntry.objects.values()))
