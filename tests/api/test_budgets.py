"""How many SQL statements each call may take, whatever the number of rows.

budgets.json is data, so that a review sees a number change. Savepoints of a test's own transaction
are counted; the token's look-up is too.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import PROD, Caller
from tests.api.test_instances import tell

BUDGETS: dict[str, int] = json.loads(Path(__file__).with_name("budgets.json").read_text())
BODIES: dict[str, Any] = {
    "POST /edits": [
        {"place": "checkout@prod", "set": {"A": "new"}, "if_match": "*"},
        {"place": "service/checkout", "set": {"B": "new"}, "if_match": "*"},
    ],
    "PATCH {prod}/draft": {"set": {"A": "new", "B": "new"}},
    "POST {prod}/releases": {"message": "m", "set": {"A": "newer", "B": "newer"}},
}


@pytest.fixture
def much(api: Caller, publish: Callable[..., int]) -> None:
    """Several of everything that a call could look up one by one."""
    for number in range(5):
        api.post("/services", {"slug": f"service-{number}"})
        api.post("/environments", {"slug": f"place-{number}"})
    for number in range(4):
        publish(**{f"KEY_{key}": number for key in range(10)})
    for number in range(6):
        tell(f"instance-{number}", release=1 + number % 3, state="confirmed")
    api.patch(f"{PROD}/draft", {"set": {f"KEY_{key}": "mine" for key in range(10)}}, If_Match="*")


@pytest.mark.parametrize("call", BUDGETS)
def test_a_call_keeps_to_its_budget(api: Caller, much: None, call: str) -> None:
    method, path = call.format(prod=PROD).split()

    with CaptureQueriesContext(connection) as taken:
        answer = api(method, path, BODIES.get(call), If_Match="*")

    assert answer.status_code in (200, 201), answer.content
    assert len(taken) <= BUDGETS[call], "\n".join(query["sql"] for query in taken)
