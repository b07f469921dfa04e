"""One instance over REST: itself, its receipts, and what its host is asked."""

from typing import Any

import pytest

from confhub.core import wake
from confhub.events.models import AuditEntry
from tests.api.conftest import PROD, Caller, problem, untouched
from tests.api.test_instances import tell

ONE = f"{PROD}/instances/web-1"


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(wake._doorbell, "ring", lambda *args: calls.append(args))
    return calls


def test_one_instance_and_its_receipts(api: Caller, publish: Any) -> None:
    for number in (1, 2, 3):
        publish(A=number)
        tell("web-1", release=number, state="confirmed")
    held = api.get(ONE).json()
    assert (held["id"], held["running"], held["state"]) == ("web-1", 3, "confirmed")
    assert held in api.get(f"{PROD}/instances").json()["items"]
    first = api.get(f"{ONE}/receipts?limit=2").json()
    rest = api.get(f"{ONE}/receipts?limit=2&after={first['next']}").json()
    told = [*first["items"], *rest["items"]]
    assert [(each["release"], each["state"]) for each in told] == [
        (3, "confirmed"), (2, "confirmed"), (1, "confirmed"),
    ]  # fmt: skip
    assert rest["next"] is None
    problem(api.get(f"{PROD}/instances/web-9"), 404, "not_found")
    problem(api.get(f"{PROD}/instances/web-9/receipts"), 404, "not_found")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("what", "task", "action"),
    [("look-again", "look_again", "host.look_again"), ("retry", "retry", "instance.retry")],
    ids=["look-again", "retry"],
)
def test_its_host_is_asked(
    api: Caller, publish: Any, rung: list[Any], what: str, task: str, action: str
) -> None:
    publish(A=1)
    tell("web-1", release=1, state="failed")
    rung.clear()
    with untouched():
        assert api.post(f"{ONE}/{what}?dry_run=1").json()["acts"][0]["action"] == action
        problem(Caller(token=None).post(f"{ONE}/{what}"), 401, "not_signed_in")
        problem(api.post(f"{PROD}/instances/web-9/{what}"), 404, "not_found")
    assert rung == []
    answer = api.post(f"{ONE}/{what}")
    assert answer.status_code == 202
    assert answer.json()["asked"] == what
    host = answer.json()["host"]
    assert [(name, queue) for name, queue, *_ in rung] == [
        (f"confhub.fleet.{task}", f"host.{host}")
    ]
    assert AuditEntry.objects.filter(action=action).count() == 1
