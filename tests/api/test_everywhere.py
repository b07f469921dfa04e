"""Several places at once: the table of all environments, one key everywhere, bulk edits, promoting."""

from typing import Any

import pytest

from confhub.catalog.models import Scope
from tests.api.conftest import PROD, Caller, problem, untouched

DEV = PROD.replace("/prod", "/dev")
ALL = "/services/checkout/all"
PROMOTE = "/services/checkout/promote"


@pytest.fixture
def two(api: Caller, checkout_prod: Scope) -> None:
    """dev r1 has POOL 1, HOST and a secret; prod r1 has POOL 5 and drafts POOL 6."""
    held = {"POOL": 1, "HOST": "h", "PW": {"$secret": "of-nobody"}}
    assert api.post(f"{DEV}/releases", {"message": "m", "set": held}).status_code == 201
    assert api.post(f"{PROD}/releases", {"message": "m", "set": {"POOL": 5}}).status_code == 201
    api.patch(f"{PROD}/draft", {"set": {"POOL": 6}}, If_Match="*")


def drafted(api: Caller, at: str) -> Any:
    return api.get(f"{at}/draft").json()["set"]


def test_the_table_shows_every_environment(api: Caller, two: None) -> None:
    table = api.get(ALL).json()
    dev, prod = table["environments"]
    assert (dev["environment"], dev["release"], dev["drafted"]) == ("dev", 1, 0)
    assert (prod["environment"], prod["release"], prod["drafted"]) == ("prod", 1, 1)
    lines = {line["key"]: line for line in table["items"]}
    assert [cell["value"] for cell in lines["POOL"]["cells"]] == [1, 6]
    assert [cell["drafted"] for cell in lines["POOL"]["cells"]] == [False, True]
    assert (lines["HOST"]["missing"], lines["HOST"]["cells"][1]["there"]) == (True, False)
    assert lines["PW"]["cells"][0]["value"]["$secret"] is True
    assert [line["key"] for line in api.get(f"{ALL}?q=poo").json()["items"]] == ["POOL"]
    first = api.get(f"{ALL}?show=missing&limit=1").json()
    rest = api.get(f"{ALL}?show=missing&limit=1&after={first['next']}").json()
    assert [line["key"] for line in first["items"] + rest["items"]] == ["HOST", "PW"]
    assert rest["next"] is None


def test_one_key_is_set_in_several_environments(api: Caller, two: None) -> None:
    table = api.get(ALL).json()["environments"]
    versions = {each["environment"]: each["version"] for each in table}
    body = {"key": "POOL", "set": {"dev": 7, "prod": 8}, "versions": versions}
    told = api.patch(ALL, body)
    assert [(each["place"], each["changes"]) for each in told.json()] == [
        ("checkout@dev", 1), ("checkout@prod", 1),
    ]  # fmt: skip
    assert (drafted(api, DEV), drafted(api, PROD)) == ({"POOL": 7}, {"POOL": 8})
    again = {"key": "POOL", "set": {"dev": 1}, "unset": ["prod"], "versions": versions}
    with untouched():
        document = problem(api.patch(ALL, again), 412, "draft.stale")
        problem(
            api.patch(ALL, {"key": "POOL", "set": {"dev": 1}, "versions": {}}), 422, "edits.bad"
        )
        both = {"key": "A", "set": {"dev": 1}, "unset": ["dev"], "versions": {"dev": 9}}
        problem(api.patch(ALL, both), 422, "edits.bad")
        nowhere = {"key": "A", "set": {"mars": 1}, "versions": {"mars": 0}}
        problem(api.patch(ALL, nowhere), 404, "not_found")
    assert document["place"] in ("checkout@dev", "checkout@prod")  # whichever is locked first
    assert set(document["fields"]) == {f"{document['place']}.POOL"}


def test_drafts_are_edited_together_or_not_at_all(api: Caller, two: None) -> None:
    version = api.get(f"{PROD}/draft").json()["version"]
    edits = [
        {"place": "global", "set": {"SHARED": 1}, "if_match": "*"},
        {"place": "checkout@prod", "set": {"A": 1}, "unset": ["POOL"], "if_match": f'"{version}"'},
        {"place": "service/checkout", "set": {"B": 2}, "if_match": "*"},
    ]  # fmt: skip
    told = api.post("/edits", edits)
    assert [each["place"] for each in told.json()] == [each["place"] for each in edits]
    assert api.get("/layers/global/draft").json()["set"] == {"SHARED": 1}
    assert api.get(f"{PROD}/draft").json()["unset"] == ["POOL"]
    reverting = {"place": "checkout@prod", "revert": ["A"], "if_match": "*"}
    assert api.post("/edits", [reverting]).json()[0]["changes"] == 1


@pytest.mark.parametrize(
    ("edit", "status", "code"),
    [
        ({"place": "checkout@prod", "set": {"1": 1}, "if_match": "*"}, 422, "entries.bad"),
        ({"place": "checkout@prod", "set": {"POOL": 1}, "if_match": '"0"'}, 412, "draft.stale"),
        ({"place": "checkout@prod", "set": {"A": 1}}, 428, "if_match.missing"),
        ({"place": "checkout@prod", "set": {"A": 1}, "if_match": "x"}, 400, "header.bad"),
        ({"place": "checkout@mars", "set": {"A": 1}, "if_match": "*"}, 404, "not_found"),
        ({"place": "checkout", "set": {"A": 1}, "if_match": "*"}, 422, "place.bad"),
        ({"place": "global", "set": {"A": 1}, "if_match": "*"}, 422, "edits.bad"),
        ({"place": "checkout@prod", "sets": {}, "if_match": "*"}, 422, "request.bad"),
    ],
    ids=["key", "stale", "missing", "tag", "place", "word", "twice", "field"],
)
def test_one_refusal_refuses_all(
    api: Caller, two: None, edit: dict[str, Any], status: int, code: str
) -> None:
    good = {"place": "global", "set": {"SHARED": 1}, "if_match": "*"}
    with untouched():
        problem(api.post("/edits", [good, edit]), status, code)


def test_there_is_an_end_to_what_is_edited_at_once(api: Caller, two: None) -> None:
    edit = {"place": "checkout@prod", "set": {"A": 1}, "if_match": "*"}
    with untouched():
        problem(api.post("/edits", []), 422, "edits.bad")
        problem(api.post("/edits", [edit] * 201), 422, "edits.bad")


def test_keys_are_promoted(api: Caller, two: None) -> None:
    plan = api.get(f"{PROMOTE}?from=dev&to=prod").json()
    assert (plan["source"], plan["source_release"]) == ("checkout@dev", 1)
    assert {each["change"]["key"]: each["change"]["kind"] for each in plan["offers"]} == {
        "HOST": "added", "POOL": "changed", "PW": "added",
    }  # fmt: skip
    only = {each["change"]["key"] for each in api.get(f"{PROMOTE}?from=dev&to=prod&only_new=1").json()["offers"]}  # fmt: skip
    assert only == {"HOST", "PW"}
    body = {
        "from": "dev", "to": "prod", "keys": ["HOST", "PW"],
        "expected_release": 1, "expected_draft": plan["target_draft"],
    }  # fmt: skip
    with untouched():
        tried = api.post(f"{PROMOTE}?dry_run=1", body).json()
    [place] = tried["changes"]
    assert [each["key"] for each in place["changes"]] == ["HOST", "PW"]
    done = api.post(PROMOTE, body)
    assert done.status_code == 200
    assert [each["key"] for each in done.json()["changes"]] == ["HOST", "PW"]
    assert set(drafted(api, PROD)) == {"HOST", "POOL", "PW"}
    assert "of-nobody" not in done.content.decode()
    rest = api.post(PROMOTE, {"from": "dev", "to": "prod"}).json()
    assert [each["key"] for each in rest["changes"]] == ["POOL"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"keys": ["NEVER"]}, 422, "promote.refused"),
        ({"keys": []}, 422, "promote.refused"),
        ({"to": "dev"}, 422, "promote.refused"),
        ({"to": "mars"}, 404, "not_found"),
        ({"expected_release": 7}, 409, "release.stale"),
        ({"keys": ["POOL"], "expected_draft": 0}, 412, "draft.stale"),
    ],
    ids=["unknown", "none", "itself", "nowhere", "release", "draft"],
)
def test_what_cannot_be_promoted(api: Caller, two: None, body: Any, status: int, code: str) -> None:
    with untouched():
        problem(api.post(PROMOTE, {"from": "dev", "to": "prod", **body}), status, code)
