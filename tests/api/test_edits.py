"""Undo, redo, rename and the list of edits over REST, for scopes and layers."""

from collections.abc import Callable
from typing import Any

import pytest

from confhub.access import actions as access
from confhub.catalog import sets
from confhub.catalog.models import Scope
from confhub.core import clock
from tests.api.conftest import PROD, Caller, problem, untouched
from tests.parts.factories import ANN

DRAFTS = [
    f"{PROD}/draft",
    "/layers/global/draft",
    "/layers/sets/tls/draft",
    "/layers/services/checkout/draft",
]
BENS = "another-token-with-enough-letters"


@pytest.fixture
def ben(checkout_prod: Scope) -> Caller:
    person = access.ensure_person("ben", password="a-password-of-ben", now=clock.now())
    access.set_token("ben", token=BENS, user=person, now=clock.now())
    return Caller(token=BENS)


@pytest.fixture(params=DRAFTS)
def draft(request: pytest.FixtureRequest, checkout_prod: Scope) -> str:
    sets.create_set(slug="tls", description="", who=ANN, now=clock.now())
    return str(request.param)


def set_(caller: Caller, draft: str, **values: Any) -> str:
    answer = caller.patch(draft, {"set": values}, If_Match="*")
    assert answer.status_code == 200, answer.content
    return str(answer["ETag"])


def test_undo_and_redo_answer_the_draft(api: Caller, draft: str) -> None:
    set_(api, draft, A=1)
    tag = set_(api, draft, A=2, B=2)

    undone = api.post(f"{draft}/undo", {}, If_Match=tag)
    redone = api.post(f"{draft}/redo", {}, If_Match=undone["ETag"])

    assert undone.json()["set"] == {"A": 1}
    assert redone.json()["set"] == {"A": 2, "B": 2}
    assert redone["ETag"] == api.get(draft)["ETag"] == '"4"'


def test_a_key_that_another_changed_is_answered_with_both_sides(
    api: Caller, ben: Caller, draft: str
) -> None:
    set_(api, draft, A=1, B=1)
    tag = set_(ben, draft, A=2)

    with untouched():
        document = problem(api.post(f"{draft}/undo", {}, If_Match=tag), 412, "draft.stale")

    assert document["conflicts"]["A"]["theirs"] == 2
    assert document["conflicts"]["A"]["by"] == "token:ben"
    kept = api.post(f"{draft}/undo", {"keep": ["A"]}, If_Match=tag)
    assert kept.json()["set"] == {"A": 2}


def test_a_discard_is_undone(api: Caller, draft: str) -> None:
    set_(api, draft, A=1, B=[2])
    api.delete(draft, If_Match="*")

    assert api.post(f"{draft}/undo", {}, If_Match="*").json()["set"] == {"A": 1, "B": [2]}


def test_nothing_to_undo_is_a_problem(api: Caller, ben: Caller, draft: str) -> None:
    set_(api, draft, A=1)
    with untouched():
        problem(ben.post(f"{draft}/undo", {}, If_Match="*"), 409, "draft.nothing_to_undo")
        problem(api.post(f"{draft}/redo", {}, If_Match="*"), 409, "draft.nothing_to_undo")


@pytest.mark.parametrize(
    ("call", "body"), [("undo", {}), ("redo", {}), ("rename", {"from": "A", "to": "B"})]
)
def test_without_if_match_nothing_is_changed(
    api: Caller, draft: str, call: str, body: dict[str, str]
) -> None:
    set_(api, draft, A=1)
    with untouched():
        problem(api.post(f"{draft}/{call}", body), 428, "if_match.missing")


def test_a_key_is_renamed_in_one_act(api: Caller, draft: str) -> None:
    tag = set_(api, draft, OLD={"x": [1]}, SECRET={"$secret": "canary-value"})

    renamed = api.post(f"{draft}/rename", {"from": "OLD", "to": "NEW"}, If_Match=tag)
    again = api.post(f"{draft}/rename", {"from": "SECRET", "to": "S"}, If_Match=renamed["ETag"])

    assert renamed.json()["set"]["NEW"] == {"x": [1]}
    assert sorted(again.json()["set"]) == ["NEW", "S"]
    assert again.json()["set"]["S"]["fingerprint"]
    assert "canary" not in again.content.decode()


def test_a_rename_over_what_another_wrote_is_refused(api: Caller, ben: Caller, draft: str) -> None:
    tag = set_(api, draft, OLD=1)
    set_(ben, draft, NEW=2)
    with untouched():
        answer = api.post(f"{draft}/rename", {"from": "OLD", "to": "NEW"}, If_Match=tag)
        assert list(problem(answer, 412, "draft.stale")["conflicts"]) == ["NEW"]
        answer = api.post(f"{draft}/rename", {"from": "OLD", "to": "NEW"}, If_Match="*")
        assert "to" in problem(answer, 422, "entries.bad")["fields"]


def test_the_list_of_edits_pages_and_masks(api: Caller, ben: Caller, draft: str) -> None:
    set_(api, draft, PASSWORD={"$secret": "canary-value"})
    set_(ben, draft, A=1)
    api.patch(draft, {"set": {"A": 2}}, If_Match="*")
    api.post(f"{draft}/undo", {}, If_Match="*")

    first = api.get(f"{draft}/edits?limit=3").json()
    rest = api.get(f"{draft}/edits?limit=3&after={first['next']}").json()

    assert [(each["act"], each["author"], each["undone"]) for each in first["items"]] == [
        ("undo", "token:ann", False),
        ("edit", "token:ann", True),
        ("edit", "token:ben", False),
    ]
    assert first["items"][1]["keys"] == [
        {"key": "A", "before": {"said": "set", "value": 1}, "after": {"said": "set", "value": 2}}
    ]
    assert (rest["next"], rest["items"][0]["keys"][0]["key"]) == (None, "PASSWORD")
    assert "canary" not in str(rest)
    assert "ciphertext" not in str(rest)


def test_a_publish_stands_in_the_list(api: Caller, publish: Callable[..., int]) -> None:
    set_(api, f"{PROD}/draft", A=1)
    api.post(f"{PROD}/releases", {"message": "a test's"})

    newest = api.get(f"{PROD}/draft/edits").json()["items"][0]

    assert (newest["act"], newest["release"], newest["keys"]) == ("publish", 1, [])
