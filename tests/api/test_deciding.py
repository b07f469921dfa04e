"""A draft that was overtaken: overlaps, a rebase, one key restored, a key's history."""

from collections.abc import Callable

import pytest

from tests.api.conftest import PROD, Caller, problem, untouched

LAYER = "/layers/services/checkout"


@pytest.fixture
def overtaken(api: Caller, publish: Callable[..., int]) -> None:
    """The draft has A, B and TEXT of its own, begun on r1; r2 changed all three."""
    publish(A=1, B=1, TEXT="one\ntwo\nthree\n")
    body = {"set": {"A": 10, "B": 10, "TEXT": "one\ntwo\nthree\nmine\n"}}
    assert api.patch(f"{PROD}/draft", body, If_Match="*").status_code == 200
    publish(A=2, B=2, TEXT="theirs\none\ntwo\nthree\n")


def test_overlaps_are_shown_and_decided(api: Caller, overtaken: None) -> None:
    found = {each["key"]: each for each in api.get(f"{PROD}/draft/overlaps").json()}
    assert set(found) == {"A", "B", "TEXT"}
    assert [found["A"][side]["value"] for side in ("base", "mine", "theirs")] == [1, 10, 2]
    assert found["A"]["merged"]["there"] is False
    assert found["TEXT"]["merged"]["value"] == "theirs\none\ntwo\nthree\nmine\n"
    body = {"expected_release": 2, "take_theirs": ["A"], "merge": ["TEXT"]}
    with untouched():
        tried = api.post(f"{PROD}/draft/rebase?dry_run=1", body, If_Match="*").json()
        problem(api.post(f"{PROD}/draft/rebase", body), 428, "if_match.missing")
        stale = {**body, "expected_release": 1}
        problem(api.post(f"{PROD}/draft/rebase", stale, If_Match="*"), 409, "release.stale")
        problem(api.post(f"{PROD}/draft/rebase", body, If_Match='"1"'), 412, "draft.stale")
        both = {"expected_release": 2, "merge": ["A"]}
        problem(api.post(f"{PROD}/draft/rebase", both, If_Match="*"), 422, "entries.bad")
    assert {change["key"] for change in tried["changes"][0]["changes"]} == {"A", "TEXT"}
    done = api.post(f"{PROD}/draft/rebase", body, If_Match="*").json()
    assert (done["base"], done["overlapping"]) == (2, [])
    assert done["set"] == {"B": 10, "TEXT": "theirs\none\ntwo\nthree\nmine\n"}


def test_one_key_comes_back_from_a_release(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    publish(A=2, N=1)
    done = api.post(f"{PROD}/draft/restore", {"key": "A", "release": 1}, If_Match="*").json()
    assert done["set"] == {"A": 1}
    gone = api.post(f"{PROD}/draft/restore", {"key": "N", "release": 1}, If_Match="*").json()
    assert gone["unset"] == ["N"]
    with untouched():
        for body, code in (
            ({"key": "A", "release": 9}, "entries.bad"),
            ({"key": "not a key", "release": 1}, "entries.bad"),
            ({"key": "A\x00", "release": 1}, "request.bad"),
            ({"key": "A", "release": 0}, "request.bad"),
        ):
            problem(api.post(f"{PROD}/draft/restore", body, If_Match="*"), 422, code)


def test_what_became_of_a_key(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    publish(B=1)
    publish(A=2)
    api.post(f"{PROD}/releases", {"message": "away", "unset": ["A"]})
    told = api.get(f"{PROD}/keys/A/history").json()
    assert [(each["release"], each["there"], each["value"]) for each in told] == [
        (4, False, None), (3, True, 2), (1, True, 1),
    ]  # fmt: skip
    assert told[0]["message"] == "away"
    assert len(api.get(f"{PROD}/keys/A/history?limit=2").json()) == 2
    assert api.get(f"{PROD}/keys/NEVER/history").json() == []


def test_the_same_of_a_layer(api: Caller, publish: Callable[..., int]) -> None:
    for value in (1, 2):
        body = {"message": "m", "set": {"L": value}, "targets": []}
        assert api.post(f"{LAYER}/releases", body).status_code == 201
    assert [each["value"] for each in api.get(f"{LAYER}/keys/L/history").json()] == [2, 1]
    done = api.post(f"{LAYER}/draft/restore", {"key": "L", "release": 1}, If_Match="*").json()
    assert done["set"] == {"L": 1}
    body = {"message": "m", "set": {"L": 3}, "targets": []}
    assert api.post(f"{LAYER}/releases", body).status_code == 201
    [overlap] = api.get(f"{LAYER}/draft/overlaps").json()
    assert [overlap[side]["value"] for side in ("base", "mine", "theirs")] == [2, 1, 3]
    rebased = api.post(f"{LAYER}/draft/rebase", {"expected_release": 3}, If_Match="*").json()
    assert (rebased["base"], rebased["set"]) == (3, {"L": 1})
    assert api.get("/layers/global/draft/overlaps").json() == []
    assert api.get("/layers/global/keys/A/history").json() == []
