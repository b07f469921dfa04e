"""Presence: who else has a draft open. Names come and go with messages, and nothing waits for them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from dashboard.live import nudges, presence
from dashboard.live.nudges import Nudges
from dashboard.live.presence import Here, NotAPlace, Presence, read
from tests.dashboard.test_socket import closed_with, dial, signed_in, subscribe, until
from tests.parts.servers import EtcdServer, RedisServer
from tests.parts.system import System

STREAM = "scope.1"


class Tab:
    """A socket's presence with its ear, and what its page was told."""

    def __init__(self, name: str) -> None:
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.presence = Presence(lambda: name, self._tell)
        self.nudges = Nudges(lambda: None, self.presence.hear)
        self.work: list[asyncio.Task[None]] = []

    async def _tell(self, stream: str, people: Any) -> None:
        await self.told.put((stream, people))

    def open(self, *streams: str) -> "Tab":
        self.work = [
            asyncio.create_task(self.nudges.listen(streams or [STREAM])),
            asyncio.create_task(self.presence.run()),
        ]
        return self

    async def sees(self, *people: tuple[str, list[str]]) -> None:
        """Wait until the page was told of exactly these."""
        wanted = [{"name": name, "keys": keys} for name, keys in people]
        async with asyncio.timeout(20):
            while (await self.told.get())[1] != wanted:
                pass

    async def die(self) -> None:
        """As a lost connection: no goodbye."""
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> InMemoryChannelLayer:
    made = InMemoryChannelLayer()
    for module in (presence, nudges):
        monkeypatch.setattr(module, "get_channel_layer", lambda: made)
    monkeypatch.setattr(presence, "COALESCE_S", 0.01)
    monkeypatch.setattr(presence, "ANNOUNCE_S", 1.0)  # so that it looks at its clock more often
    return made


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """passes(30) lets the clock of presence jump."""
    ahead = [0.0]
    real = presence.time.monotonic

    class Clock:
        monotonic = staticmethod(lambda: real() + ahead[0])

    monkeypatch.setattr(presence, "time", Clock)

    def jump(seconds: float) -> None:
        ahead[0] += seconds

    return jump


def test_two_see_each_other_and_the_key_the_other_is_in(layer: InMemoryChannelLayer) -> None:
    async def scene() -> None:
        ann, ben = Tab("ann").open(), Tab("ben").open()
        ann.presence.be(Here(STREAM, ""))
        ben.presence.be(Here(STREAM, "POOL"))
        await ann.sees(("ben", ["POOL"]))
        await ben.sees(("ann", []))
        ben.presence.be(Here(STREAM, "HOST"))
        await ann.sees(("ben", ["HOST"]))
        await ben.presence.leave()
        await ann.sees()
        await ann.die()
        await ben.die()

    asyncio.run(scene())


def test_several_tabs_of_one_person_are_one_name_and_ones_own_are_told(
    layer: InMemoryChannelLayer,
) -> None:
    async def scene() -> None:
        ann, first, second = Tab("ann").open(), Tab("ben").open(), Tab("ben").open()
        for tab, key in ((ann, ""), (first, "A"), (second, "B")):
            tab.presence.be(Here(STREAM, key))
        await ann.sees(("ben", ["A", "B"]))
        await first.sees(("ann", []), ("ben", ["B"]))
        await first.presence.leave()
        await ann.sees(("ben", ["B"]))
        for tab in (ann, first, second):
            await tab.die()

    asyncio.run(scene())


def test_who_said_no_goodbye_is_forgotten(
    layer: InMemoryChannelLayer, passes: Callable[[float], None]
) -> None:
    async def scene() -> None:
        ann, ben = Tab("ann").open(), Tab("ben").open()
        ann.presence.be(Here(STREAM, ""))
        ben.presence.be(Here(STREAM, ""))
        await ann.sees(("ben", []))
        await ben.die()
        passes(presence.FORGET_S + 1)
        await ann.sees()
        await ann.die()

    asyncio.run(scene())


def test_who_goes_on_to_another_draft_leaves_the_first_one(layer: InMemoryChannelLayer) -> None:
    async def scene() -> None:
        ann, ben = Tab("ann").open(), Tab("ben").open(STREAM, "scope.2")
        ann.presence.be(Here(STREAM, ""))
        ben.presence.be(Here(STREAM, ""))
        await ann.sees(("ben", []))
        ben.presence.be(Here("scope.2", ""))
        await ann.sees()
        ben.presence.be(Here(STREAM, ""))
        await ann.sees(("ben", []))
        ben.presence.keep_to(frozenset({"scope.2"}))
        await ann.sees()
        await ann.die()
        await ben.die()

    asyncio.run(scene())


def test_a_page_that_has_no_draft_open_is_told_of_nobody(layer: InMemoryChannelLayer) -> None:
    async def scene() -> None:
        ann, ben, live = Tab("ann").open(), Tab("ben").open(), Tab("eve").open()
        ann.presence.be(Here(STREAM, ""))
        ben.presence.be(Here(STREAM, ""))
        await ann.sees(("ben", []))
        await ben.sees(("ann", []))
        assert live.told.empty()
        for tab in (ann, ben, live):
            await tab.die()

    asyncio.run(scene())


def test_a_layer_that_fails_costs_only_the_names(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch,
    passes: Callable[[float], None],
) -> None:  # fmt: skip
    async def broken(*_: Any) -> None:
        raise ConnectionError("away")

    async def scene() -> None:
        ann, ben = Tab("ann").open(), Tab("ben").open()
        ann.presence.be(Here(STREAM, ""))
        ben.presence.be(Here(STREAM, ""))
        await ann.sees(("ben", []))
        with monkeypatch.context() as during:
            during.setattr(layer, "group_send", broken)
            passes(presence.FORGET_S + 1)
            await ann.sees()
        passes(presence.ANNOUNCE_S + 1)
        await ann.sees(("ben", []))
        await ann.die()
        await ben.die()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "message",
    [
        {"here": "scope.2", "key": None},
        {"here": "catalog", "key": None},
        {"here": ["scope.1"], "key": None},
        {"here": None, "key": None},
        {"here": "scope.1"},
        {"here": "scope.1", "key": None, "name": "ann"},
        {"here": "scope.1", "key": 5},
        {"here": "scope.1", "key": "no key"},
        {"here": "scope.1", "key": "K" * 129},
    ],
)
def test_a_page_cannot_be_where_it_does_not_look(message: dict[str, Any]) -> None:
    with pytest.raises(NotAPlace):
        read(message, frozenset({"scope.1", "catalog"}))


def test_where_a_page_may_be() -> None:
    assert read({"here": "layer.1", "key": None}, frozenset({"layer.1"})) == Here("layer.1", "")
    assert read({"here": "scope.1", "key": "a.b"}, frozenset({"scope.1"})).key == "a.b"


# --- over the real socket, with a real Redis -------------------------------------------------


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("presence")
    system = System(directory, etcd=EtcdServer(directory / "etcd"), redis=redis_server)
    (directory / "var").mkdir()
    system.manage("bootstrap", "--migrate")
    system.web.start()
    yield system
    system.web.stop()


def here(socket: Any, stream: str, key: str | None = None) -> None:
    socket.send(json.dumps({"here": stream, "key": key}))


def test_two_browsers_of_one_person_hear_of_each_other(web: System) -> None:
    web.call("POST", "/services", {"slug": "billing"})
    with signed_in(web) as client:
        page = client.get("/services/billing/dev/").text
        stream = str(page.split('data-streams="')[1].split('"')[0])
        with dial(web, dict(client.cookies)) as one, dial(web, dict(client.cookies)) as other:
            for socket in (one, other):
                subscribe(socket, stream)
                until(socket, "heartbeat")
            here(one, stream)
            here(other, stream, "POOL")

            frame = until(one, "presence")[-1]
            assert frame["stream"] == stream
            assert frame["people"] == [{"name": "admin", "keys": ["POOL"]}]
            assert until(other, "presence")[-1]["people"] == [{"name": "admin", "keys": []}]

            other.close()
            assert until(one, "presence", 30)[-1]["people"] == []

            here(one, "scope.999")
            assert closed_with(one) == 1008
