"""Every unsafe call of the OpenAPI document with dry_run=1: no row is another, nobody is told."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.apps import apps
from django.db import transaction

from confhub.api import rehearsals
from confhub.api.interface import api
from confhub.core import wake
from tests.access import world as worlds
from tests.access.matrix import CALLS, row
from tests.access.test_matrix import CANARY, _args, _smallest_body
from tests.access.world import World

pytestmark = pytest.mark.django_db

# Calls that answer dry_run by themselves.
OWN = {
    each.view_func.__name__
    for router in api._get_bound_routers()
    for view in router.path_operations.values()
    for each in view.operations
    if rehearsals.answers_itself(each)
}
UNSAFE = sorted(key for key in CALLS if not key.startswith("GET "))


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield worlds.made()
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _nothing_leaves(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path

    def refused(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("something left the process")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(wake._doorbell, "ring", refused)


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, but when a token was used last."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values(*_columns(model)))
        for model in apps.get_models()
    }


def _columns(model: Any) -> list[str]:
    names = [each.attname for each in model._meta.concrete_fields]
    return [name for name in names if not name.startswith("last_used_")]


def operation_of(key: str) -> dict[str, Any]:
    method, _, path = key.partition("#")[0].partition(" ")
    found: dict[str, Any] = api.get_openapi_schema()["paths"][f"/api/v1{path}"][method.lower()]
    return found


@pytest.mark.parametrize("key", UNSAFE)
def test_nothing_stays_of_a_dry_run(world: World, key: str) -> None:
    method, _, path = key.partition("#")[0].partition(" ")
    held = row(CALLS[key])
    body = held.body if held.body is not None else _smallest_body(method, path)
    where = f"/api/v1{path}".format(**_args(held.args, world, "admin"))
    query = f"{held.query}&dry_run=1" if held.query else "dry_run=1"
    name = operation_of(key)["operationId"]
    before = everything()

    answer = world.browser("nobody").generic(
        method, f"{where}?{query}", b"" if body is None else json.dumps(body).encode(),
        content_type="application/json", headers={"If-Match": "*", **world.headers("admin")},
    )  # fmt: skip

    assert everything() == before
    assert CANARY not in answer.content
    assert answer.status_code < 500, answer.content
    if answer.status_code < 400 and name not in OWN:
        told = answer.json()
        assert answer.status_code == 200
        assert set(told) == set(rehearsals.DryRunOut.model_fields)
        assert told["dry_run"] is True
        answered = told["answer"] if isinstance(told["answer"], dict) else {}
        assert [answered.get(each) for each in rehearsals.SHOWN_ONCE] == [None, None]
    if name in rehearsals.NEVER:
        assert answer.json()["code"] == "dry_run.impossible"


def test_most_of_them_can_be_tried(world: World) -> None:
    """Else the test above would hold of refusals only."""
    for key in ("POST /services", "DELETE /environments/{environment}/freezes/{freeze}"):
        held = row(CALLS[key])
        method, _, path = key.partition(" ")
        where = f"/api/v1{path}".format(**_args(held.args, world, "admin"))
        answer = world.browser("nobody").generic(
            method, f"{where}?dry_run=1", json.dumps(held.body or {}).encode(),
            content_type="application/json", headers=world.headers("admin"),
        )  # fmt: skip
        assert answer.json()["acts"], answer.content


def test_every_unsafe_call_says_so_in_the_document() -> None:
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            names = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
            is_unsafe = method not in ("get", "head")
            can = operation["operationId"] not in rehearsals.NEVER
            assert ("dry_run" in names) == (is_unsafe and can), f"{method} {path}"
