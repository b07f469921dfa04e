"""Calls made of the OpenAPI document, right ones and wrong ones: no fault, and no answer that the
document does not have.

The application answers in this process, in the world of the permission matrix, and each call is taken
back. Seeds are fixed. CONFHUB_SCHEMATHESIS_EXAMPLES (for each call; 5) makes it look
further, CONFHUB_SCHEMATHESIS_COVERAGE=1 through every boundary of every field.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from confhub.core import outgoing, wake
from tests.access import world as worlds
from tests.access.matrix import CALLS, row
from tests.access.test_matrix import _args
from tests.access.world import World
from tests.api import snapshot

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("CONFHUB_SCHEMATHESIS_EXAMPLES", "5"))
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
schema = schemathesis.openapi.from_dict(snapshot.current())
schema.config.update(base_url="http://testserver")
schema.config.phases.coverage.unexpected_methods = set()  # 405, which is no operation's answer
schema.config.phases.coverage.enabled = bool(os.environ.get("CONFHUB_SCHEMATHESIS_COVERAGE"))


@pytest.fixture(scope="module")
def world(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield worlds.made()
        transaction.set_rollback(True)


@pytest.fixture
def application(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WSGIHandler]:
    settings.STATIC_ROOT = tmp_path

    def away(*_: Any, **__: Any) -> NoReturn:
        raise outgoing.Unreachable("nobody is there")

    monkeypatch.setattr(outgoing, "send", away)
    monkeypatch.setattr(wake._doorbell, "ring", lambda *_: None)
    # Else the world's transaction would end with the first request; Django's own client does the same.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield WSGIHandler()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_documented(case: Any, world: World, application: WSGIHandler) -> None:
    _lead_somewhere(case, world)
    with _outermost():
        answer = case.call(app=application, headers={"If-Match": "*", **world.headers("admin")})
        transaction.set_rollback(True)
    case.validate_response(answer, checks=CHECKS)


def _outermost() -> transaction.Atomic:
    """A transaction that passes for the outermost one, as a test case's own does: what must not run in
    another runs in it."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # read by Django's Atomic
    return block


def _lead_somewhere(case: Any, world: World) -> None:
    """Real things in place of made-up names, but where a wrong one is the point."""
    meta = case.meta
    if meta is not None and meta.is_negative_at(ParameterLocation.PATH):
        return
    key = f"{case.method.upper()} {case.path.removeprefix('/api/v1')}"
    real = _args(row(CALLS[key]).args, world, "admin")
    for name in case.path_parameters or {}:
        case.path_parameters[name] = real[name]
