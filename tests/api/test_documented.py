"""Every refusal that the OpenAPI document has is one that happens: each is provoked here, and leaves
everything as it was. tests/api/provoking.py says how."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse

from confhub.api import limits
from confhub.api.interface import api
from tests.access import world as worlds
from tests.access.matrix import CALLS, row
from tests.access.test_matrix import _args, _smallest_body
from tests.access.world import World
from tests.api import conformance, provoking
from tests.api.provoking import AS_IT_IS, Ask

pytestmark = pytest.mark.django_db

CALLS_THERE = {
    f"{method.upper()} {path.removeprefix('/api/v1')}": operation
    for path, methods in api.get_openapi_schema()["paths"].items()
    for method, operation in methods.items()
}


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield worlds.made()
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _static_root(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.STATIC_ROOT = tmp_path
    yield
    limits.buckets.clear()


@pytest.mark.parametrize("call", sorted(CALLS_THERE))
def test_every_documented_refusal_happens(world: World, call: str, settings: Any) -> None:
    operation = CALLS_THERE[call]
    wrong = []
    for status, documented in operation["responses"].items():
        if status < 400:
            continue
        try:
            ask = provoking.how(call, status, operation)
        except LookupError as error:
            wrong.append(str(error))
            continue
        answer = _asked(world, call, ask, settings)
        if answer.status_code != status:
            wrong.append(
                f"{call}: {answer.status_code} in place of {status}: {answer.content[:200]!r}"
            )
        elif answer.json()["code"] not in (conformance.codes_of(documented) or ()):
            wrong.append(f"{call}: {status} with the code {answer.json()['code']}")
    assert wrong == []


def _asked(world: World, call: str, ask: Ask, settings: Any) -> HttpResponse:
    """The answer; whatever was done is taken back, and every setting is as it was."""
    limits.buckets.clear()
    with _outermost():
        for method, path, body, *others in _named(world, call, ask).before:
            who = others[0] if others else "admin"
            done = _send(world, method, path, body, who, {"If-Match": "*"})
            assert done.status_code < 300 or path.endswith(("undo", "redo")), done.content
        if ask.rows is not None:
            ask.rows()
        held = {name: getattr(settings, name) for name in ask.settings}
        for name, value in ask.settings.items():
            setattr(settings, name, value)
        try:
            with ExitStack() as stack:
                if not ask.database:
                    stack.enter_context(connection.execute_wrapper(_away))
                for _ in range(ask.times):
                    answer = _once(world, call, ask)
        finally:
            for name, value in held.items():
                setattr(settings, name, value)
        transaction.set_rollback(True)
    return answer


def _outermost() -> transaction.Atomic:
    """A transaction that passes for the outermost one, as a test case's own does: what must not run in
    another runs in it."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # read by Django's Atomic
    return block


def _away(*_: Any) -> Any:
    raise OperationalError("the database is away")


def _named(world: World, call: str, ask: Ask) -> Ask:
    args = _args(row(CALLS[call]).args, world, ask.who)
    path = call.partition(" ")[2]
    place = re.sub(r"/(draft|requests|releases).*", "", path).format(**args)
    opposite = "undo" if call.endswith("redo") else "redo"
    known = {"place": place, "opposite": opposite, "publisher_grant": world.grants["publisher"]}
    return provoking.named(ask, **args | known)


def _once(world: World, call: str, ask: Ask) -> Any:
    method, _, path = call.partition(" ")
    held = row(CALLS[call])
    args = _args(
        {**held.args, **{k: v for k, v in ask.args.items() if v != "ADMIN"}}, world, ask.who
    )
    if ask.args.get("grant") == "ADMIN":
        args["grant"] = world.grants["admin"]
    body = held.body if held.body is not None else _smallest_body(method, path)
    body = body if ask.body is AS_IT_IS else ask.body
    if ask.more:
        body = {**(body or {}), **ask.more}
    query = held.query if ask.query is None else ask.query
    where = path.format(**args) + (f"?{query}" if query else "")
    return _send(world, method, where, body, ask.who, {"If-Match": "*", **ask.headers})


def _send(world: World, method: str, path: str, body: Any, who: str, headers: Any) -> Any:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    sent = {name: held for name, held in headers.items() if held is not None}
    return world.browser("nobody").generic(
        method, f"/api/v1{path}", data, content_type="application/json",
        headers={**sent, **world.headers(who)},
    )  # fmt: skip
