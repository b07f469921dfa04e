"""Releases as Server-Sent Events: in order, resumed, and only as long as they may be seen."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connections

from confhub.access.models import Token
from confhub.api.lanes import board as boards
from confhub.api.lanes import streams
from confhub.core import clock
from confhub.publishing.models import Publication
from confhub.publishing.queries import REPLAYED
from tests.api.conftest import PROD, TOKEN, Caller, problem
from tests.api.test_convergence import act, database_connections, seated, threads, waiting
from tests.api.test_lanes import written
from tests.parts.web import NO_TLS, WebThread

__all__ = ["seated"]  # a fixture

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Host": "localhost"}
WATCH = f"{PROD}/watch"
PATIENCE_S = 60.0  # nothing is to be that slow; two cores may have a browser beside us


@pytest.fixture
def publisher(publish: Callable[..., int]) -> Callable[[int], None]:
    """publisher(n): publish n releases, and have all of them in etcd as far as rows say."""

    def published(number: int = 1) -> None:
        for _ in range(number):
            publish(A=clock.now().isoformat())
        written()

    return published


@pytest.fixture
def web(transactional_db: None, ann: User, publisher: Callable[[int], None]) -> Iterator[WebThread]:
    """checkout in prod with two releases in etcd."""
    publisher(2)
    Token.objects.update(last_used_at=clock.now())
    server = WebThread()
    server.start()
    yield server
    server.stop()


class Stream:
    """One open stream: its events as they come, and whether heartbeats came."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.beats = 0
        self.retry_ms = 0
        self._text = answer.aiter_text()
        self._held = ""

    async def event(self) -> dict[str, str]:
        """The next event's fields. Raises StopAsyncIteration at the stream's end."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                block = await self._block()
                fields = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
                self.beats += block.startswith(":")
                if "retry" in fields:
                    self.retry_ms = int(fields["retry"])
                if "event" in fields:
                    return fields

    async def ids(self, number: int) -> list[int]:
        return [int((await self.event())["id"]) for _ in range(number)]

    async def end(self) -> None:
        """Return once the server has ended it; events on the way are an error."""
        with contextlib.suppress(StopAsyncIteration):
            raise AssertionError(await self.event())

    async def beat(self) -> None:
        before = self.beats
        async with asyncio.timeout(PATIENCE_S):
            while self.beats == before:
                self.beats += (await self._block()).startswith(":")

    async def _block(self) -> str:
        while "\n\n" not in self._held:
            self._held += await anext(self._text)
        block, _, self._held = self._held.partition("\n\n")
        return block


@asynccontextmanager
async def watching(web: WebThread, **headers: str) -> AsyncIterator[Stream]:
    sent = HEADERS | {name.replace("_", "-"): held for name, held in headers.items()}
    client = httpx.AsyncClient(timeout=PATIENCE_S, verify=NO_TLS)
    async with client, client.stream("GET", f"{web.url}{WATCH}", headers=sent) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Stream(answer)


def test_the_current_release_comes_first_and_then_each_new_one(
    web: WebThread, publisher: Callable[[int], None]
) -> None:
    async def watch() -> list[int]:
        async with watching(web) as stream:
            first = await stream.ids(1)
            await asyncio.to_thread(act, publisher)
            return first + await stream.ids(1)

    assert asyncio.run(watch()) == [2, 3]
    assert web.django.calls == []


def test_an_event_is_the_release_document_on_one_line(web: WebThread, api: Caller) -> None:
    async def watch() -> tuple[dict[str, str], httpx.Headers, int]:
        async with watching(web) as stream:
            return await stream.event(), stream.answer.headers, stream.retry_ms

    event, headers, retry_ms = asyncio.run(watch())

    document = json.loads(event["data"])
    told = api.get(f"{PROD}/releases/2").json()
    assert (event["event"], event["id"]) == ("release", "2")
    assert document["entries"] == told["entries"]
    same = ("service", "environment", "release", "checksum", "message", "author", "parent")
    assert {name: document[name] for name in same} == {name: told[name] for name in same}
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert 1000 <= retry_ms <= 4000


def test_a_secret_is_told_by_its_fingerprint_alone(web: WebThread, api: Caller) -> None:
    answer = api.post(
        f"{PROD}/releases", {"message": "m", "set": {"PW": {"$secret": "hush-hush-hush"}}}
    )
    assert answer.status_code == 201, answer.content
    written()

    async def watch() -> str:
        async with watching(web) as stream:
            return (await stream.event())["data"]

    data = asyncio.run(watch())

    assert json.loads(data)["entries"]["PW"].keys() == {"secret", "fingerprint", "version"}
    assert "hush" not in data
    assert "ciphertext" not in data


def test_a_release_is_told_once_it_is_in_etcd(web: WebThread, publish: Callable[..., int]) -> None:
    async def watch() -> tuple[list[int], bool, list[int]]:
        async with watching(web) as stream:
            first = await stream.ids(1)
            await asyncio.to_thread(act, lambda: publish(A="waits"))
            early = asyncio.create_task(stream.event())
            done, _ = await asyncio.wait([early], timeout=2 * boards.LOOK_EVERY_S)
            await asyncio.to_thread(act, written)
            return first, bool(done), [int((await early)["id"])]

    assert asyncio.run(watch()) == ([2], False, [3])


@pytest.mark.parametrize(
    ("since", "wanted"),
    [("", [5]), ("0", [5]), ("1", [2, 3, 4, 5]), ("4", [5]), ("99", [5])],
    ids=["none", "0", "1", "4", "from a database set back"],
)
def test_a_stream_goes_on_after_the_last_event(
    web: WebThread, publisher: Callable[[int], None], since: str, wanted: list[int]
) -> None:
    publisher(3)

    async def watch() -> list[int]:
        async with watching(web, Last_Event_ID=since) as stream:
            return await stream.ids(len(wanted))

    assert asyncio.run(watch()) == wanted


def test_who_missed_more_than_a_few_gets_the_current_one(
    web: WebThread, publisher: Callable[[int], None]
) -> None:
    publisher(REPLAYED)

    async def watch() -> list[int]:
        async with watching(web, Last_Event_ID="1") as stream:
            found = await stream.ids(1)
            await asyncio.to_thread(act, publisher)
            return found + await stream.ids(1)

    assert asyncio.run(watch()) == [2 + REPLAYED, 3 + REPLAYED]


def test_who_has_the_current_one_waits_for_the_next(
    web: WebThread, seated: Callable[[int], None], publisher: Callable[[int], None]
) -> None:
    async def watch() -> list[int]:
        async with watching(web, Last_Event_ID="2") as stream:
            await asyncio.to_thread(seated, 1)
            await asyncio.to_thread(act, publisher)
            return await stream.ids(1)

    assert asyncio.run(watch()) == [3]


def test_before_the_first_release_a_stream_waits(
    web: WebThread, api: Caller, seated: Callable[[int], None]
) -> None:
    path = WATCH.replace("prod", "dev")

    async def watch() -> list[int]:
        client = httpx.AsyncClient(timeout=PATIENCE_S, verify=NO_TLS)
        async with client, client.stream("GET", f"{web.url}{path}", headers=HEADERS) as answer:
            await asyncio.to_thread(seated, 1)
            await asyncio.to_thread(act, publish)
            return await Stream(answer).ids(1)

    def publish() -> None:
        made = api.post(path.replace("watch", "releases"), {"message": "m", "set": {"A": 1}})
        assert made.status_code == 201
        written()

    assert asyncio.run(watch()) == [1]


@pytest.mark.parametrize(
    "end",
    [
        lambda: Token.objects.all().delete(),
        lambda: User.objects.update(is_active=False),
        lambda: User.objects.update(is_superuser=False),
    ],
    ids=["revoked", "switched off", "no right any more"],
)
def test_a_right_that_ends_ends_the_stream(
    web: WebThread, publisher: Callable[[int], None], end: Callable[[], Any]
) -> None:
    async def watch() -> None:
        async with watching(web) as stream:
            assert await stream.ids(1) == [2]
            await asyncio.to_thread(act, end)
            await stream.end()

    asyncio.run(watch())


def test_nothing_is_sent_after_a_right_has_ended(
    web: WebThread, publish: Callable[..., int]
) -> None:
    def publish_and_revoke() -> None:
        publish(A="secret of another time")
        Token.objects.all().delete()
        written()

    async def watch() -> None:
        async with watching(web) as stream:
            assert await stream.ids(1) == [2]
            await asyncio.to_thread(act, publish_and_revoke)
            await stream.end()

    asyncio.run(watch())


def test_a_session_that_ends_ends_the_stream(web: WebThread, ann: User) -> None:
    from django.contrib.sessions.models import Session
    from django.test import Client

    client = Client()
    client.force_login(ann)
    cookie = f"sessionid={client.cookies['sessionid'].value}"

    async def watch() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S, verify=NO_TLS) as browser:
            headers = {"Host": "localhost", "Cookie": cookie}
            async with browser.stream("GET", f"{web.url}{WATCH}", headers=headers) as answer:
                stream = Stream(answer)
                assert await stream.ids(1) == [2]
                await asyncio.to_thread(act, lambda: Session.objects.all().delete())
                await stream.end()

    asyncio.run(watch())


def test_a_heartbeat_says_that_the_stream_is_alive(
    web: WebThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.2)

    async def watch() -> None:
        async with watching(web) as stream:
            await stream.ids(1)
            await stream.beat()
            await stream.beat()

    asyncio.run(watch())


def test_no_heartbeat_while_rights_cannot_be_looked_at(
    web: WebThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.1)
    monkeypatch.setattr(boards, "STALE_S", -1.0)

    async def watch() -> None:
        async with watching(web) as stream:
            await stream.ids(1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await stream.beat()

    asyncio.run(watch())


def test_a_stream_ends_after_its_time(web: WebThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LIFE_S", 0.5)

    async def watch() -> None:
        async with watching(web) as stream:
            await stream.ids(1)
            await stream.end()

    asyncio.run(watch())
    assert waiting() == 0


def test_a_reader_who_is_slow_skips_to_the_current_release(
    web: WebThread, api: Caller, seated: Callable[[int], None]
) -> None:
    """Nothing is read until every release is out; what was queued for it is a part of one event."""
    large = "x" * 200_000

    def publish(at: int) -> None:
        made = api.post(
            f"{PROD}/releases",
            {"message": "m", "set": {f"K{at % 4}": f"{at}{large}"}, "confirm": ["size_doubled"]},
        )
        assert made.status_code == 201, made.content
        written()

    async def watch() -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port, limit=2**16)
        request = [f"GET {WATCH} HTTP/1.1", *(f"{name}: {held}" for name, held in HEADERS.items())]
        writer.write("\r\n".join([*request, "", ""]).encode())
        await asyncio.to_thread(seated, 1)
        for at in range(20):
            await asyncio.to_thread(act, lambda at=at: publish(at))
        found: list[int] = []
        text = b""
        async with asyncio.timeout(PATIENCE_S):
            while 22 not in found:
                piece = await reader.read(2**16)
                assert piece, "the stream ended"
                text += piece
                found = [int(number) for number in re.findall(rb"id: (\d+)\nevent", text)]
        writer.close()
        return found

    found = asyncio.run(watch())

    assert found == sorted(set(found))
    assert found[-1] == 22
    seated(0)


def test_fifty_streams_get_every_release_and_hold_nothing(
    web: WebThread, seated: Callable[[int], None], publisher: Callable[[int], None]
) -> None:
    seen: dict[str, int] = {}

    async def one(begun: asyncio.Semaphore) -> list[int]:
        async with watching(web) as stream:
            first = await stream.ids(1)
            begun.release()
            return first + await stream.ids(2)

    async def all_of_them() -> list[list[int]]:
        begun = asyncio.Semaphore(0)
        asked = [asyncio.create_task(one(begun)) for _ in range(50)]
        for _ in asked:
            await begun.acquire()
        seen["threads"], seen["connections"] = threads(), await asyncio.to_thread(counted)
        for _ in range(2):
            await asyncio.to_thread(act, publisher)
            await asyncio.sleep(2 * boards.LOOK_EVERY_S)  # else the two may come in one look
        return list(await asyncio.gather(*asked))

    def counted() -> int:
        try:
            return database_connections()
        finally:
            connections.close_all()

    before, connected = threads(), counted()  # those of tests before this one are still open
    found = asyncio.run(all_of_them())

    assert found == [[2, 3, 4]] * 50
    assert seen["threads"] - before <= 12
    assert seen["connections"] - connected <= 8
    seated(0)


def test_whoever_goes_leaves_an_empty_seat(web: WebThread, seated: Callable[[int], None]) -> None:
    async def watch() -> None:
        async with watching(web) as stream:
            await stream.ids(1)
            await asyncio.to_thread(seated, 1)

    asyncio.run(watch())

    seated(0)


def test_one_more_than_may_wait_is_sent_away(
    web: WebThread, seated: Callable[[int], None], settings: Any
) -> None:
    settings.CONFHUB_MAX_WAITING = 1

    async def watch() -> httpx.Response:
        async with watching(web):
            await asyncio.to_thread(seated, 1)
            async with httpx.AsyncClient(verify=NO_TLS) as client:
                return await client.get(f"{web.url}{WATCH}", headers=HEADERS)

    answer = asyncio.run(watch())

    assert (answer.status_code, answer.json()["code"]) == (503, "waiting.full")


@pytest.mark.parametrize("sent", ["x", "-1", "1.5", "1,2", "0x1", "٣", "2147483648", "9" * 5000])
def test_a_last_event_that_is_no_release_is_refused(api: Caller, publish: Any, sent: str) -> None:
    publish(A=1)

    document = problem(api.get(WATCH, Last_Event_ID=sent), 400, "header.bad")

    assert "Last-Event-ID" in document["fields"]


def test_the_ordinary_way_begins_the_same_and_ends(api: Caller, publish: Any) -> None:
    publish(A=1)
    Publication.objects.update(state="written", written_at=clock.now())

    answer = api.get(WATCH)

    assert answer["Content-Type"] == "text/event-stream"
    assert b"id: 1\nevent: release\ndata: {" in answer.content
