"""Who is let in: by token, by session, or not at all."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from confhub.catalog.models import Scope
from tests.api.conftest import PROD, TOKEN, Caller, problem, untouched

# Some of every kind; tests/access/matrix.py has every call, and fails for one that it has not.
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/services", None),
    ("POST", "/services", {"slug": "x"}),
    ("GET", "/services/checkout", None),
    ("PATCH", "/services/checkout", {"name": "x"}),
    ("DELETE", "/services/checkout", None),
    ("GET", "/environments", None),
    ("POST", "/environments", {"slug": "x"}),
    ("GET", "/environments/prod", None),
    ("PATCH", "/environments/prod", {"name": "x"}),
    ("DELETE", "/environments/prod", None),
    ("GET", f"{PROD}/config", None),
    ("GET", f"{PROD}/draft", None),
    ("PATCH", f"{PROD}/draft", {"set": {"A": 1}}),
    ("DELETE", f"{PROD}/draft", None),
    ("GET", f"{PROD}/releases", None),
    ("POST", f"{PROD}/releases", {"message": "m", "set": {"A": 1}}),
    ("GET", f"{PROD}/releases/1", None),
    ("GET", f"{PROD}/releases/1/diff", None),
    ("POST", f"{PROD}/releases/1/rollback", None),
    ("GET", f"{PROD}/instances", None),
    ("GET", f"{PROD}/convergence", None),
]
WRITES = [call for call in CALLS if call[0] != "GET"]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer ", "Bearer", "Basic YW5uOmFubg==", f"Token {TOKEN}", "Bearer ä"],
)
def test_a_stranger_is_not_let_in(
    checkout_prod: Scope, method: str, path: str, body: Any, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization is not None else {}

    with untouched():
        answer = Caller(token=None)(method, path, body, If_Match="*", **headers)

    problem(answer, 401, "not_signed_in")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_an_account_that_is_switched_off_may_nothing(
    checkout_prod: Scope, ann: User, method: str, path: str, body: Any
) -> None:
    ann.is_active = False
    ann.save(update_fields=["is_active"])

    with untouched():
        answer = Caller()(method, path, body, If_Match="*")

    problem(answer, 403, "not_allowed")


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_session_changes_nothing_without_its_csrf_token(
    checkout_prod: Scope, ann: User, method: str, path: str, body: Any
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ann)

    with untouched():
        answer = Caller(token=None, client=browser)(method, path, body, If_Match="*")

    problem(answer, 403, "csrf.failed")


def test_a_session_reads_and_with_its_csrf_token_changes(checkout_prod: Scope, ann: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ann)
    browser.cookies["csrftoken"] = "a" * 32
    page = Caller(token=None, client=browser)

    assert page.get("/services").status_code == 200
    problem(page.get(f"{PROD}/convergence"), 404, "release.none")  # the one asynchronous call
    changed = page.patch(f"{PROD}/draft", {"set": {"A": 1}}, If_Match="*", X_CSRFToken="a" * 32)
    assert changed.status_code == 200, changed.content
    assert changed.json()["updated_by"] == "ann"


def test_a_token_needs_no_csrf_token(checkout_prod: Scope, ann: User) -> None:
    program = Caller(client=Client(enforce_csrf_checks=True))

    assert program.patch(f"{PROD}/draft", {"set": {"A": 1}}, If_Match="*").status_code == 200


def test_a_wrong_token_is_not_helped_by_a_session(checkout_prod: Scope, ann: User) -> None:
    browser = Client()
    browser.force_login(ann)

    problem(Caller("wrong", browser).get("/services"), 401, "not_signed_in")


def test_a_session_that_ended_is_nobodys(checkout_prod: Scope, ann: User) -> None:
    browser = Client()
    browser.force_login(ann)
    browser.cookies["sessionid"] = "z" * 32

    problem(
        Caller(token=None, client=browser).post("/services", {"slug": "x"}), 401, "not_signed_in"
    )


def test_the_scheme_is_read_without_regard_to_case(api: Caller) -> None:
    assert api.get("/services", Authorization=f"bearer {TOKEN}").status_code == 200
