"""The socket's protocol as docs/protocols/live.md has it, against a real web process, without Redis."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.parts.servers import EtcdServer, free_port
from tests.parts.system import PASSWORD, ROOT, System

HEARTBEAT_S = 5.0


class NoRedis:
    """An address where nobody listens: the layer never answers, and the socket works all the same."""

    url = f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A web process and its database; no worker, no Redis, no etcd."""
    directory = tmp_path_factory.mktemp("socket")
    nobody = EtcdServer(directory / "etcd")  # never started
    system = System(directory, etcd=nobody, redis=NoRedis())  # type: ignore[arg-type]  # only its address is used
    (directory / "var").mkdir()
    system.manage("bootstrap", "--migrate")
    system.web.start()
    yield system
    system.web.stop()


@pytest.fixture(scope="module")
def scope(web: System) -> str:
    """The stream of billing in dev."""
    web.call("POST", "/services", {"slug": "billing"})
    with signed_in(web) as client:
        page = client.get("/services/billing/dev/").text
    return str(page.split('data-streams="')[1].split('"')[0])


@contextmanager
def signed_in(web: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web.url, follow_redirects=True) as client:
        client.get("/sign-in/")
        form = {
            "username": "admin", "password": PASSWORD,
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }  # fmt: skip
        answer = client.post("/sign-in/", data=form, headers={"Referer": f"{web.url}/sign-in/"})
        assert answer.url.path == "/services/"
        yield client


@pytest.fixture
def cookies(web: System) -> dict[str, str]:
    with signed_in(web) as client:
        return dict(client.cookies)


def dial(web: System, cookies: dict[str, str], *, origin: str | None = None) -> ClientConnection:
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return connect(
        web.url.replace("http", "ws") + "/ws/live/",
        origin=origin if origin is not None else web.url,  # type: ignore[arg-type]  # websockets' own type of str
        additional_headers={"Cookie": cookie},
    )


def subscribe(socket: ClientConnection, *streams: str, position: int = 0) -> None:
    socket.send(json.dumps({"subscribe": streams, "position": position}))


def hear(socket: ClientConnection, timeout_s: float = 10) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(socket.recv(timeout=timeout_s))
    return frame


def until(socket: ClientConnection, kind: str, timeout_s: float = 12) -> list[dict[str, Any]]:
    """Frames up to the first of `kind`."""
    deadline = time.monotonic() + timeout_s
    frames = []
    while not frames or frames[-1]["kind"] != kind:
        frames.append(hear(socket, deadline - time.monotonic()))
    return frames


def closed_with(socket: ClientConnection, timeout_s: float = 10) -> int:
    """The code with which the server closes, whatever it says before."""
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            socket.recv(timeout=deadline - time.monotonic())
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd is not None else 1006


def test_events_since_the_position_come_first_and_then_a_heartbeat(
    web: System, scope: str, cookies: dict[str, str]
) -> None:
    number = web.publish("billing", "dev", {"A": time.time()})
    with dial(web, cookies) as socket:
        subscribe(socket, scope)
        frames = until(socket, "heartbeat")

    positions = [frame["position"] for frame in frames[:-1]]
    assert positions == sorted(set(positions))
    published = [
        frame["data"]["release"] for frame in frames if frame["kind"] == "release.published"
    ]
    assert published == list(range(1, number + 1))
    assert frames[-1]["position"] == positions[-1]
    assert {"as_of", "age_s", "ts"} <= frames[-1].keys()

    with dial(web, cookies) as socket:
        subscribe(socket, scope, position=positions[-1])
        assert [frame["kind"] for frame in until(socket, "heartbeat")] == ["heartbeat"]


def test_without_redis_and_without_workers_an_event_comes_with_the_next_heartbeat(
    web: System, scope: str, cookies: dict[str, str]
) -> None:
    with dial(web, cookies) as socket:
        subscribe(socket, scope)
        until(socket, "heartbeat")
        number = web.publish("billing", "dev", {"A": time.time()})
        began = time.monotonic()

        frames = until(socket, "release.published")

        assert frames[-1]["data"]["release"] == number
        assert time.monotonic() - began < HEARTBEAT_S + 2


def test_a_probe_is_answered_at_once(web: System, scope: str, cookies: dict[str, str]) -> None:
    with dial(web, cookies) as socket:
        subscribe(socket, scope)
        until(socket, "heartbeat")
        began = time.monotonic()
        socket.send(json.dumps({"probe": True}))
        until(socket, "heartbeat")

        assert time.monotonic() - began < 1


def test_who_missed_too_much_is_told_to_draw_anew(
    web: System, scope: str, cookies: dict[str, str]
) -> None:
    web.manage("shell", "-c", MANY_EVENTS.format(stream=scope))
    with dial(web, cookies) as socket:
        subscribe(socket, scope)
        frames = until(socket, "heartbeat")

    assert [frame["kind"] for frame in frames] == ["reload-snapshot", "heartbeat"]
    assert frames[0]["position"] == frames[1]["position"]


MANY_EVENTS = """
from confhub.core import clock
from confhub.events import actions
for n in range(600):
    actions.Event.objects.create(
        kind="draft.changed", stream="{stream}", data={{"version": n, "keys": [], "by": "x"}}, at=clock.now())
"""


def test_who_speaks_of_a_position_that_never_was_is_told_to_draw_anew(
    web: System, scope: str, cookies: dict[str, str]
) -> None:
    with dial(web, cookies) as socket:
        subscribe(socket, scope, position=10**9)  # the database was set back since

        [anew] = [each for each in until(socket, "heartbeat") if each["kind"] != "heartbeat"]

        assert anew["kind"] == "reload-snapshot"
        assert anew["position"] < 10**9


@pytest.mark.parametrize(
    "streams", [["scope.999999"], ["scope.x"], ["user.1"], ["scope.1", "nothing"], ["scope."]]
)
def test_a_stream_that_may_not_be_seen_closes_the_socket(
    web: System, scope: str, cookies: dict[str, str], streams: list[str]
) -> None:
    with dial(web, cookies) as socket:
        subscribe(socket, *streams)

        assert closed_with(socket) == 4403


def test_without_a_session_the_socket_says_so(web: System, scope: str) -> None:
    with dial(web, {}) as socket:
        assert closed_with(socket) == 4401


def test_signing_out_ends_the_socket_within_a_heartbeat(web: System, scope: str) -> None:
    with signed_in(web) as client, dial(web, dict(client.cookies)) as socket:
        subscribe(socket, scope)
        until(socket, "heartbeat")
        token = client.get("/services/").text.split('name="csrf-token" content="')[1].split('"')[0]
        client.post("/sign-out/", data={"csrfmiddlewaretoken": token}, headers={"Referer": web.url})

        assert closed_with(socket, HEARTBEAT_S + 3) == 4401


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 1008),
        ("[]", 1008),
        ('{"subscribe": "scope.1", "position": 0}', 1008),
        ('{"subscribe": ["scope.1"], "position": -1}', 1008),
        ('{"subscribe": ["scope.1"], "position": true}', 1008),
        ('{"subscribe": ["scope.1"]}', 1008),
        ('{"here": "scope.1", "key": null}', 1008),
        ('{"here": ["scope.1"], "key": null}', 1008),
        ("x" * 40_000, 1009),
        ("x" * 70_000, 1009),
        (b"\x00", 1003),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_message_of_ours_ends_the_socket(
    web: System, cookies: dict[str, str], message: str | bytes, code: int
) -> None:
    with dial(web, cookies) as socket:
        socket.send(message)

        assert closed_with(socket) == code


def test_a_flood_ends_the_socket(web: System, scope: str, cookies: dict[str, str]) -> None:
    with dial(web, cookies) as socket:
        subscribe(socket, scope)
        for _ in range(40):
            socket.send(json.dumps({"probe": True}))

        assert closed_with(socket) == 1008


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1", "null"])
def test_another_site_is_refused_at_the_handshake(
    web: System, cookies: dict[str, str], origin: str
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        dial(web, cookies, origin=origin)

    assert caught.value.response.status_code == 403


def test_the_page_on_the_protocol_names_every_kind() -> None:
    from confhub.events.kinds import KINDS

    text = (Path(ROOT) / "docs" / "protocols" / "live.md").read_text()

    assert [
        kind
        for kind in [*KINDS, "presence", "heartbeat", "reload-snapshot"]
        if f"`{kind}`" not in text
    ] == []
