"""Every error is a problem document, whoever found it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from confhub.access import queries as access
from confhub.catalog.models import Scope
from tests.api.conftest import PROD, Caller, problem, untouched


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/services", "/api/v1/servicess",
     "/api/v1/services/", "/api/v1/services/a/b", "/api/v1/services/a\x00b", "/api/ä\n"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_address(api: Caller, method: str, path: str) -> None:
    problem(api(method, path), 404, "call.unknown")


def test_an_unknown_address_wants_no_csrf_token(db: None) -> None:
    stranger = Caller(token=None, client=Client(enforce_csrf_checks=True))

    problem(stranger.post("/nothing"), 404, "call.unknown")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/services", "GET, POST"),
        ("DELETE", "/services", "GET, POST"),
        ("OPTIONS", f"{PROD}/draft", "DELETE, GET, PATCH"),
        ("POST", f"{PROD}/convergence", "GET"),
        ("POST", "/docs", "GET, HEAD"),
        ("DELETE", "/openapi.json", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_there(api: Caller, method: str, path: str, allowed: str) -> None:
    answer = api(method, path)

    problem(answer, 405, "method.not_allowed")
    assert answer["Allow"] == allowed


def test_head_answers_as_get_without_its_body(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)

    answer: Any = api("HEAD", f"{PROD}/config")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["ETag"] == api.get(f"{PROD}/config")["ETag"]


@pytest.mark.parametrize(
    "path",
    ["/services/nope", "/environments/nope", "/services/nope/environments/prod/draft",
     "/services/checkout/environments/nope/draft", "/services/checkout/environments/nope/config",
     "/services/CHECKOUT", f"/services/{'x' * 5000}", "/services/%E2%82%AC"],
)  # fmt: skip
def test_what_is_not_there_is_named(api: Caller, checkout_prod: Scope, path: str) -> None:
    document = problem(api.get(path), 404, "not_found")

    assert document["fields"].keys() <= {"service", "environment"}
    assert len(document["detail"]) < 300


@pytest.mark.parametrize("service", ["nope", "checkout"])
def test_writing_where_nothing_is_touches_nothing(
    api: Caller, checkout_prod: Scope, service: str
) -> None:
    where = f"/services/{service}/environments/nope"
    with untouched():
        problem(api.patch(f"{where}/draft", {"set": {"A": 1}}, If_Match="*"), 404, "not_found")
        problem(api.post(f"{where}/releases", {"message": "m"}), 404, "not_found")


def test_our_own_fault_is_logged_once_and_not_told(
    api: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(who: object) -> None:
        raise RuntimeError("password=hunter2 at /srv/secret")

    monkeypatch.setattr(access, "services_for", broken)
    with caplog.at_level(logging.WARNING):
        answer = api.get("/services", X_Request_Id="my-request")

    document = problem(answer, 500, "server.error")
    assert document["request_id"] == "my-request"
    assert "hunter2" not in answer.content.decode()
    assert "secret" not in answer.content.decode()
    assert len([line for line in caplog.records if line.levelno >= logging.ERROR]) == 1


def test_a_database_that_is_away_asks_to_come_again(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(who: object) -> None:
        raise OperationalError("connection to 10.0.0.7 refused")

    monkeypatch.setattr(access, "services_for", away)
    answer = api.get("/services")

    problem(answer, 503, "database.away")
    assert answer["Retry-After"] == "1"
    assert "10.0.0.7" not in answer.content.decode()


def test_what_is_refused_is_no_error_in_the_log(
    api: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        api.get("/services/nope")

    assert [line for line in caplog.records if line.levelno > logging.INFO] == []


def test_a_body_of_unknown_length_is_refused(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        answer = api.client.generic(
            "POST", "/api/v1/services", b"", headers={"Transfer-Encoding": "chunked"}
        )

    problem(answer, 411, "body.length_required")


def test_a_request_id_of_the_caller_comes_back(api: Caller) -> None:
    document = problem(api.get("/services/x", X_Request_Id="deploy-42"), 404, "not_found")

    assert document["request_id"] == "deploy-42"
