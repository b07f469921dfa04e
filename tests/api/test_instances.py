"""Who runs what, and the deploy gate that waits for it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.db import connections

from confhub.access import queries as access
from confhub.api.routes import instances
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.fleet import actions as fleet
from tests.api.conftest import PROD, TOKEN, Caller, problem
from watchers.wire.status import Receipt, State, Status

REVISION = iter(range(1, 10**6))


def tell(instance: str, *, release: int, state: State, reason: str = "") -> None:
    """The follower sees a status, as an agent writes it into etcd."""
    at = clock.stamp(clock.now())
    far = {"failed": 1, "delivered": 1, "applied": 2, "confirmed": 3}[state]
    status = Status(
        id=instance, service="checkout", environment="prod", host="node-1", runtime="docker",
        agent="confhub/0.1.0", container={"name": f"{instance}-1"}, pid=7, target=release,
        running=release if state == "confirmed" else None, health="healthy",
        receipt=Receipt(
            release=release, state=state, at=at, reason=reason, delivered_at=at,
            applied_at=at if far > 1 else None, confirmed_at=at if far > 2 else None,
        ),
    )  # fmt: skip
    seen = fleet.Seen("checkout", "prod", instance, status.to_bytes(), next(REVISION))
    fleet.take_statuses([seen], whole=False, now=clock.now())


def test_instances_are_the_tiles_of_the_page(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    for name in ("one", "two", "three"):
        tell(name, release=1, state="confirmed")

    first = api.get(f"{PROD}/instances?limit=2").json()
    second = api.get(f"{PROD}/instances?limit=2&after={first['next']}").json()

    assert [tile["id"] for tile in first["items"] + second["items"]] == ["one", "three", "two"]
    assert second["next"] is None
    tile = first["items"][0]
    assert (tile["state"], tile["running"], tile["pid"]) == ("confirmed", 1, 7)
    assert tile["latency_ms"].keys() == {"delivered", "applied", "confirmed"}


def test_convergence_counts_and_names_who_is_behind(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1)
    tell("one", release=1, state="confirmed")
    tell("two", release=1, state="applied")

    found = api.get(f"{PROD}/convergence").json()

    assert (found["release"], found["state"]) == (1, "pending")
    assert (found["counts"]["confirmed"], found["counts"]["applied"]) == (1, 1)
    assert [each["id"] for each in found["behind"]] == ["two"]


@pytest.mark.parametrize(("state", "outcome"), [("confirmed", "confirmed"), ("failed", "failed")])
def test_what_is_decided_is_not_waited_for(
    api: Caller, publish: Callable[..., int], state: State, outcome: str
) -> None:
    publish(A=1)
    tell("one", release=1, state=state, reason="nginx: [emerg]")
    started = time.monotonic()

    found = api.get(f"{PROD}/convergence?release=1&wait=30").json()

    assert found["state"] == outcome
    assert time.monotonic() - started < 10


def test_nobody_to_wait_for_is_said_at_the_end_of_the_wait(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A=1)

    assert api.get(f"{PROD}/convergence?wait=0.3").json()["state"] == "nobody"


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "wait=nan", "wait=inf", "release=0", "release=-1"])  # fmt: skip
def test_a_wait_out_of_bounds_is_refused(
    api: Caller, publish: Callable[..., int], query: str
) -> None:
    publish(A=1)

    document = problem(api.get(f"{PROD}/convergence?{query}"), 422, "request.bad")

    assert query.partition("=")[0] in document["fields"]


def test_nothing_published_is_nothing_to_wait_for(api: Caller, checkout_prod: Scope) -> None:
    problem(api.get(f"{PROD}/convergence?wait=30"), 404, "release.none")


# --- with rows that other threads see ----------------------------------------------------------


async def ask(wait: float) -> Any:
    """Ask through the ASGI handler, which gives each request a thread of its own."""
    application: Any = get_asgi_application()
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(
            f"{PROD}/convergence",
            params={"wait": wait},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )


@pytest.fixture
def committed(transactional_db: None, ann: User, checkout_prod: Scope) -> Scope:
    from confhub.publishing.actions import publish_changes

    publish_changes(checkout_prod, set={"A": 1}, unset=[], message="m", who=SYSTEM, now=clock.now())
    return access.scope_for(SYSTEM, "see", "checkout", "prod")


def test_a_gate_opens_as_soon_as_the_last_one_confirms(committed: Scope) -> None:
    tell("one", release=1, state="delivered")

    def confirm() -> None:
        tell("one", release=1, state="confirmed")
        connections.close_all()  # the thread's own

    async def gate() -> tuple[Any, float]:
        waiting = asyncio.create_task(ask(30))
        await asyncio.sleep(0.4)
        assert not waiting.done()
        await asyncio.to_thread(confirm)
        confirmed = time.monotonic()
        return await waiting, time.monotonic() - confirmed

    answer, took_s = asyncio.run(gate())

    assert answer.json()["state"] == "confirmed"
    assert took_s < 5


def test_many_gates_wait_side_by_side(committed: Scope) -> None:
    tell("one", release=1, state="delivered")

    async def gates() -> list[Any]:
        return list(await asyncio.gather(*(ask(1) for _ in range(40))))

    started = time.monotonic()
    answers = asyncio.run(gates())

    assert {answer.json()["state"] for answer in answers} == {"pending"}
    assert time.monotonic() - started < 15  # one after the other they would take 40 s


def test_a_gate_that_waits_holds_no_connection(
    committed: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell("one", release=1, state="delivered")
    opened = count_open_connections(monkeypatch)
    really, seen = asyncio.sleep, []

    async def sleep(seconds: float) -> None:
        seen.append(opened())
        await really(seconds)

    monkeypatch.setattr(instances, "sleep", sleep)
    answer = asyncio.run(ask(0.5))

    assert answer.json()["state"] == "pending"
    assert seen
    assert set(seen) == {0}


def count_open_connections(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many connections other threads have opened from now on, and not closed."""
    kind: Any = type(connections["default"])
    really_open, really_close = kind.get_new_connection, kind._close
    opened: list[int] = []

    def open_one(self: Any, *given: Any) -> Any:
        opened.append(id(self))
        return really_open(self, *given)

    def close_one(self: Any) -> None:
        if self.connection is not None and id(self) in opened:
            opened.remove(id(self))
        really_close(self)

    monkeypatch.setattr(kind, "get_new_connection", open_one)
    monkeypatch.setattr(kind, "_close", close_one)
    return lambda: len(opened)
