"""A draft as a text over REST: its ETag, its refusals, and a problem that is kept."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import PROD, Caller, problem, untouched

TEXT = f"{PROD}/draft/text"


def put(api: Caller, seen: Any, text: str, **body: Any) -> Any:
    return api("PUT", TEXT, {"text": text, **body}, If_Match=seen["ETag"])


def test_the_draft_is_answered_in_a_format_with_its_etag(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=10, HOST="db")
    answer = api.get(f"{TEXT}?format=toml")
    assert answer.json()["text"] == 'HOST = "db"\nPOOL = 10\n'
    assert answer.json()["problem"] is None
    assert answer["ETag"] == f'"0.{answer.json()["draft"]}"'


def test_a_text_becomes_changes_of_the_draft(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=10, HOST="db")
    seen = api.get(TEXT)
    saved = put(api, seen, "# why\nPOOL: 20\nHOST: db\n", opened=seen.json()["text"])
    assert saved.status_code == 200
    assert saved.json()["text"] == "# why\nPOOL: 20\nHOST: db\n"
    assert saved["ETag"] != seen["ETag"]
    assert api.get(f"{PROD}/draft").json()["set"] == {"POOL": 20}


def test_a_text_that_does_not_read_is_kept_and_says_its_line(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=10)
    saved = put(api, api.get(TEXT), "POOL: 20\nX: [\n")
    assert saved.status_code == 200
    assert saved.json()["problem"]["line"] == 3
    assert saved.json()["text"] == "POOL: 20\nX: [\n"
    assert api.get(TEXT).json() == saved.json()
    assert api.get(f"{PROD}/draft").json()["set"] == {}
    fresh = api.delete(TEXT, If_Match=saved["ETag"])
    assert fresh.json()["text"] == "POOL: 10\n"


def test_without_the_opened_text_a_moved_key_is_refused_with_both_sides(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=10, HOST="db")
    seen = api.get(TEXT)
    api.patch(f"{PROD}/draft", {"set": {"HOST": "other"}}, If_Match="*")
    with untouched():
        refused = problem(put(api, seen, "POOL: 20\nHOST: db\n"), 412, "draft.stale")
    assert refused["conflicts"]["HOST"]["theirs"] == "other"
    saved = put(api, seen, "POOL: 20\nHOST: db\n", opened=seen.json()["text"])
    assert saved.json()["text"] == "POOL: 20\nHOST: other\n"


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [(None, 428, "if_match.missing"), ('"7"', 400, "header.bad"), ('W/"1.1"', 400, "header.bad")],
)
def test_a_save_names_what_it_saw(
    api: Caller, publish: Callable[..., int], header: str | None, status: int, code: str
) -> None:
    publish(POOL=10)
    sent = {"If_Match": header} if header else {}
    with untouched():
        problem(api("PUT", TEXT, {"text": "POOL: 1\n"}, **sent), status, code)


def test_a_star_saves_whatever_is_there(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=10)
    saved = api("PUT", TEXT, {"text": "POOL: 1\n"}, If_Match="*")
    assert saved.json()["text"] == "POOL: 1\n"


def test_comments_changed_on_both_sides_are_refused(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=10)
    seen = api.get(TEXT)
    put(api, seen, "# one\nPOOL: 10\n", opened=seen.json()["text"])
    with untouched():
        answer = put(api, seen, "# two\nPOOL: 10\n", opened=seen.json()["text"])
        refused = problem(answer, 412, "text.stale")
    assert refused["theirs"] == "# one\nPOOL: 10\n"


@pytest.mark.parametrize("text", ["A: \x00\n", "A: \ud800\n"])
def test_what_no_database_keeps_is_refused(
    api: Caller, publish: Callable[..., int], text: str
) -> None:
    publish(POOL=10)
    seen = api.get(TEXT)
    with untouched():
        problem(put(api, seen, text), 422, "text.not_kept")


def test_a_value_that_is_too_long_is_a_problem_of_the_text(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=10)
    saved = put(api, api.get(TEXT), f"POOL: 1\nA: {'x' * 300_000}\n")
    assert saved.json()["problem"]["line"] == 2
    assert "bytes" in saved.json()["problem"]["message"]
    assert api.get(f"{PROD}/draft").json()["set"] == {}


def test_a_value_without_a_form_is_refused(api: Caller, publish: Callable[..., int]) -> None:
    publish(NOTHING=None)
    with untouched():
        refused = problem(api.get(f"{TEXT}?format=toml"), 422, "text.unwritable")
    assert "NOTHING is null" in refused["detail"]


def test_an_unknown_format_is_refused(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=10)
    problem(api.get(f"{TEXT}?format=xml"), 422, "request.bad")


def test_layers_have_texts_as_well(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=10)
    for path in ("/layers/global/draft/text", "/layers/environments/prod/draft/text"):
        seen = api.get(path)
        assert seen.json()["text"] == ""
        saved = api("PUT", path, {"text": "# all\nZONE: eu\n"}, If_Match=seen["ETag"])
        assert saved.json()["text"] == "# all\nZONE: eu\n"
        assert api.get(path.removesuffix("/text")).json()["set"] == {"ZONE": "eu"}
        assert api.delete(path, If_Match=saved["ETag"]).json()["text"] == "ZONE: eu\n"


def test_nobody_saves_a_text_without_being_known(anonymous: Caller, checkout_prod: Any) -> None:
    with untouched():
        problem(anonymous("PUT", TEXT, {"text": ""}, If_Match="*"), 401, "not_signed_in")
