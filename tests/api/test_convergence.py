"""Deploy gates that wait: together, for nothing but the outcome, and without holding anything."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections

from confhub.access.models import Token
from confhub.api.lanes import board as boards
from confhub.api.lanes import looks
from confhub.catalog import actions as catalog
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Actor
from tests.api.conftest import PROD, TOKEN, problem
from tests.api.test_instances import tell
from tests.parts.servers import wait_until
from tests.parts.web import NO_TLS, WebThread

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Host": "localhost"}
GATE = f"{PROD}/convergence"


@pytest.fixture
def web(transactional_db: None, ann: User, publish: Callable[..., int]) -> Iterator[WebThread]:
    """checkout in prod with one release that one instance has got and not confirmed."""
    publish(A=1)
    tell("one", release=1, state="delivered")
    Token.objects.update(last_used_at=clock.now())
    server = WebThread()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def seated() -> Callable[[int], None]:
    """seated(n): return once n requests wait at the process's boards."""

    def waited(number: int) -> None:
        wait_until(lambda: waiting() == number, what=f"{number} who wait; there are {waiting()}")

    return waited


def waiting() -> int:
    return sum(len(each) for each in list(boards._boards.values()))


async def ask(web: WebThread, wait: float, **params: Any) -> httpx.Response:
    async with httpx.AsyncClient(headers=HEADERS, timeout=70, verify=NO_TLS) as client:
        return await client.get(f"{web.url}{GATE}", params={"wait": wait, **params})


def act(do: Callable[[], Any]) -> None:
    """In a thread of its own, with its connection closed."""
    try:
        do()
    finally:
        connections.close_all()


async def while_waiting(
    web: WebThread, seated: Callable[[int], None], do: Callable[[], Any], *, gates: int = 1
) -> list[httpx.Response]:
    """The answers of so many gates, during whose wait `do` was done."""
    asked = [asyncio.create_task(ask(web, 60)) for _ in range(gates)]
    await asyncio.to_thread(seated, gates)
    await asyncio.to_thread(act, do)
    return list(await asyncio.gather(*asked))


@pytest.mark.parametrize(("state", "outcome"), [("confirmed", "confirmed"), ("failed", "failed")])
def test_a_gate_opens_once_the_outcome_is_known(
    web: WebThread, seated: Callable[[int], None], state: Any, outcome: str
) -> None:
    began = time.monotonic()

    [answer] = asyncio.run(
        while_waiting(web, seated, lambda: tell("one", release=1, state=state, reason="why"))
    )

    assert (answer.status_code, answer.json()["state"]) == (200, outcome)
    assert time.monotonic() - began < 30  # of a wait of 60
    assert web.django.calls == []


def test_fifty_gates_open_together_and_hold_nothing(
    web: WebThread, seated: Callable[[int], None]
) -> None:
    seen: dict[str, int] = {}

    def confirm() -> None:
        seen["threads"] = threads()
        seen["connections"] = database_connections()
        tell("one", release=1, state="confirmed")

    before = threads()
    answers = asyncio.run(while_waiting(web, seated, confirm, gates=50))

    assert [answer.json()["state"] for answer in answers] == ["confirmed"] * 50
    assert seen["threads"] - before <= 12  # the lane's, the board's, and those of this test
    assert seen["connections"] <= 6
    seated(0)


def threads() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def database_connections() -> int:
    """Of this process's database, our own included; 0 on SQLite, which does not count them."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_each_release_has_its_own_outcome(
    web: WebThread, seated: Callable[[int], None], publish: Callable[..., int]
) -> None:
    publish(A=2)

    async def gates() -> tuple[Any, Any]:
        old = asyncio.create_task(ask(web, 60, release=1))
        new = asyncio.create_task(ask(web, 60, release=2))
        await asyncio.to_thread(seated, 2)
        await asyncio.to_thread(act, lambda: tell("one", release=1, state="confirmed"))
        first = await old
        assert not new.done()
        await asyncio.to_thread(act, lambda: tell("one", release=2, state="failed"))
        return first, await new

    old, new = asyncio.run(gates())

    assert (old.json()["release"], old.json()["state"]) == (1, "confirmed")
    assert (new.json()["release"], new.json()["state"]) == (2, "failed")


def test_a_wait_that_is_over_is_answered_with_what_is(web: WebThread) -> None:
    answer = asyncio.run(ask(web, 0.3))

    assert (answer.json()["state"], answer.json()["behind"][0]["id"]) == ("pending", "one")


def test_an_outcome_that_came_before_the_seat_is_not_missed(web: WebThread) -> None:
    tell("one", release=1, state="confirmed")

    assert asyncio.run(ask(web, 60)).json()["state"] == "confirmed"


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (lambda: Token.objects.all().delete(), 401, "not_signed_in"),
        (lambda: Token.objects.update(expires_at=clock.now() - timedelta(1)), 401, "token.ended"),
        (lambda: User.objects.update(is_active=False), 403, "not_allowed"),
        (lambda: User.objects.update(is_superuser=False), 404, "not_found"),
    ],
    ids=["revoked", "expired", "switched off", "no right any more"],
)
def test_a_right_that_ends_ends_the_wait(
    web: WebThread, seated: Callable[[int], None], end: Callable[[], Any], status: int, code: str
) -> None:
    [answer] = asyncio.run(while_waiting(web, seated, end))

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "node-1" not in answer.text


def test_a_removed_environment_ends_the_wait(
    web: WebThread, seated: Callable[[int], None], who: Actor
) -> None:
    catalog.create_service(slug="fleeting", who=who, now=clock.now())

    async def gate() -> httpx.Response:
        path = f"{web.url}/api/v1/services/fleeting/environments/dev/watch"
        async with httpx.AsyncClient(headers=HEADERS, timeout=30, verify=NO_TLS) as client:
            async with client.stream("GET", path) as stream:
                await asyncio.to_thread(seated, 1)
                await asyncio.to_thread(act, remove)
                await stream.aread()
            return await client.get(path)

    def remove() -> None:
        Scope.objects.filter(service__slug="fleeting").delete()

    assert asyncio.run(gate()).status_code == 404


def test_whoever_goes_leaves_an_empty_seat(web: WebThread, seated: Callable[[int], None]) -> None:
    async def gate() -> None:
        asked = asyncio.create_task(ask(web, 60))
        await asyncio.to_thread(seated, 1)
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asked

    asyncio.run(gate())

    seated(0)


def test_one_more_than_may_wait_is_sent_away(
    web: WebThread, seated: Callable[[int], None], settings: Any
) -> None:
    settings.CONFHUB_MAX_WAITING = 2

    async def gates() -> tuple[httpx.Response, list[httpx.Response]]:
        inside = [asyncio.create_task(ask(web, 60)) for _ in range(2)]
        await asyncio.to_thread(seated, 2)
        third = await ask(web, 60)
        await asyncio.to_thread(act, lambda: tell("one", release=1, state="confirmed"))
        return third, list(await asyncio.gather(*inside))

    third, inside = asyncio.run(gates())

    assert (third.status_code, third.json()["code"]) == (503, "waiting.full")
    assert third.headers["Retry-After"] == "1"
    assert [answer.status_code for answer in inside] == [200, 200]


def test_a_database_that_comes_back_is_waited_for(
    web: WebThread, seated: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = 3

    def look(*given: Any, **named: Any) -> Any:
        nonlocal broken
        broken -= 1
        if broken >= 0:
            raise OperationalError("gone for a moment")
        return looks.look(*given, **named)

    def confirm() -> None:
        monkeypatch.setattr(boards, "look", look)
        tell("one", release=1, state="confirmed")

    [answer] = asyncio.run(while_waiting(web, seated, confirm))

    assert answer.json()["state"] == "confirmed"
    assert broken < 0


def test_a_database_that_stays_away_is_said_at_the_end_of_the_wait(
    web: WebThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: Any, **__: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(boards, "look", look)

    answer = asyncio.run(ask(web, 0.2))

    assert (answer.status_code, answer.json()["code"]) == (503, "database.away")
    assert answer.headers["Retry-After"] == "1"


def test_a_server_that_stops_ends_every_wait_at_once(
    web: WebThread, seated: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        monkeypatch.setattr(boards, "server_leaves", lambda: True)

    began = time.monotonic()
    answers = asyncio.run(while_waiting(web, seated, stop, gates=3))

    assert [answer.json()["code"] for answer in answers] == ["server.leaves"] * 3
    assert time.monotonic() - began < 30


def test_the_ordinary_way_tells_the_same_problems(api: Any, checkout_prod: Scope) -> None:
    problem(api.get(f"{GATE}?wait=30"), 404, "release.none")
