"""Gates and streams while Redis is dead, the database locked or restarted, and the server stopped."""

import asyncio
import contextlib
import itertools
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts import postgres
from tests.parts.postgres import PostgresServer
from tests.parts.servers import wait_until
from tests.parts.system import TOKEN, System
from tests.parts.web import NO_TLS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.xdist_group("faults-wait")]

_numbers = itertools.count(1)
EACH = 20
PATIENCE_S = 60.0
SLEEPS = (
    "import signal, time\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile 1: time.sleep(1)"
)


@dataclass
class Waited:
    """A system, its database server where it has one, and a service with one release."""

    system: System
    database: PostgresServer | None
    service: str = ""

    @property
    def place(self) -> str:
        return f"/services/{self.service}/environments/dev"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def standing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Waited]:
    """One for the tests of this file, each of which leaves every part running."""
    folder, database = tmp_path_factory.mktemp("waiting"), None
    if request.param == "postgresql":
        if not postgres.is_there():
            pytest.skip("PostgreSQL's programs are not here")
        database = PostgresServer(folder / "postgres")
        database.start()
    try:
        with System(folder, database_url=database.url if database else None) as system:
            yield Waited(system, database)
    finally:
        if database is not None:
            database.stop()


@pytest.fixture
def waited(standing: Waited) -> Waited:
    standing.service = f"waited-{next(_numbers)}"
    status, made = standing.system.call("POST", "/services", {"slug": standing.service})
    assert status == 201, made
    standing.system.publish(standing.service, "dev", {"A": 1})
    return standing


@asynccontextmanager
async def everybody(
    waited: Waited, *, wait: int = 60
) -> AsyncIterator[tuple[list["asyncio.Task[Any]"], list["asyncio.Task[Any]"]]]:
    """(gates, streams): each a task that ends with its answer, or with the id of its second event."""
    limits = httpx.Limits(max_connections=None)
    client = httpx.AsyncClient(
        base_url=f"{waited.system.url}/api/v1{waited.place}", headers={"Authorization": f"Bearer {TOKEN}"}, limits=limits,
        timeout=PATIENCE_S + 30, verify=NO_TLS,
    )  # fmt: skip
    begun = asyncio.Semaphore(0)

    async def gate() -> httpx.Response:
        return await client.get("/convergence", params={"wait": wait})

    async def stream() -> str:
        async with client.stream("GET", "/watch") as answer:
            ids = []
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    ids.append(line.removeprefix("id: "))
                    begun.release()
                if len(ids) == 2:
                    return ids[1]
        return "ended"

    tasks = [asyncio.create_task(each()) for each in (gate, stream) for _ in range(EACH)]
    gates, streams = tasks[:EACH], tasks[EACH:]
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in streams:
                await begun.acquire()
        yield gates, streams
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()


async def in_thread(do: Callable[..., Any], *given: Any) -> Any:
    return await asyncio.to_thread(do, *given)


async def results(tasks: "list[asyncio.Task[Any]]") -> list[Any]:
    async with asyncio.timeout(PATIENCE_S):
        return list(await asyncio.gather(*tasks))


def confirmed(waited: Waited) -> None:
    """A process takes the newest release and confirms it."""
    waited.system.run(waited.service, "dev", sys.executable, "-c", SLEEPS)


def states(answers: list[httpx.Response]) -> set[str]:
    return {str(answer.json().get("state")) for answer in answers}


def test_with_redis_dead_everybody_is_answered(waited: Waited) -> None:
    async def wait() -> None:
        async with everybody(waited) as (gates, streams):
            await in_thread(waited.system.redis.kill)
            await in_thread(published, waited, 2)
            assert await results(streams) == ["2"] * EACH
            await in_thread(confirmed, waited)
            assert states(await results(gates)) == {"confirmed"}

    try:
        asyncio.run(wait())
    finally:
        waited.system.redis.start()


def test_with_the_database_away_for_a_while_everybody_is_answered(waited: Waited) -> None:
    database = waited.database

    async def wait() -> None:
        async with everybody(waited) as (gates, streams):
            with locked(waited.system) if database is None else contextlib.nullcontext():
                if database is not None:
                    await in_thread(database.kill)
                await asyncio.sleep(3)  # several looks fail
            if database is not None:
                await in_thread(database.start)
            assert not any(task.done() for task in [*gates, *streams])
            await in_thread(published, waited, 2)
            assert await results(streams) == ["2"] * EACH
            await in_thread(confirmed, waited)
            assert states(await results(gates)) == {"confirmed"}

    asyncio.run(wait())


@contextlib.contextmanager
def locked(system: System) -> Iterator[None]:
    """SQLite as while a long transaction commits: nobody reads or writes."""
    path = Path(system.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def published(waited: Waited, value: int) -> None:
    """Once the server has the database again."""

    def done() -> bool:
        body = {"message": "m", "set": {"A": value}}
        status, _ = waited.system.call("POST", f"{waited.place}/releases", body)
        return status in (200, 201)

    wait_until(done, what="a publish after the database came back", timeout_s=PATIENCE_S)


def test_a_server_that_is_stopped_ends_every_wait(waited: Waited) -> None:
    async def wait() -> None:
        async with everybody(waited) as (gates, streams):
            waited.system.web.process.send_signal(signal.SIGTERM)
            answers = await results(gates)
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.json()["code"] for answer in answers} == {"server.leaves"}
            assert await results(streams) == ["ended"] * EACH
            assert await in_thread(waited.system.web.process.wait, 30) == -signal.SIGTERM

    asyncio.run(wait())
    assert "graceful shutdown exceeded" not in waited.system.web.log()
    waited.system.web.start()


def test_a_gate_without_a_database_says_so_at_the_end(waited: Waited) -> None:
    database = waited.database
    if database is None:
        pytest.skip("a locked SQLite is waited for")

    async def wait() -> None:
        async with everybody(waited, wait=8) as (gates, _):
            await in_thread(database.kill)
            answers = await results(gates)
            assert {answer.json()["code"] for answer in answers} == {"database.away"}

    try:
        asyncio.run(wait())
    finally:
        database.start()
