"""The engine's API over a socket: what is no engine, what ends in the middle, what says no."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from watchers.runtimes.engine import Engine, EngineAway
from watchers.stopping import Stop

VERSION = {"ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}


class Says:
    """Answers each path with what the test wrote, byte for byte."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.path = Path(f"/tmp/confhub-says-{uuid4().hex[:8]}.sock")  # noqa: S108  # a socket's path is short
        self.asked: list[str] = []
        self._answers = answers
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            line = client.recv(65536).split(b"\r\n")[0].decode()
            path = line.split()[1].partition("?")[0]
            self.asked.append(path)
            client.sendall(
                self._answers.get(path, answer({"message": "no such thing"}, "404 Not Found"))
            )
            if path.endswith("/events"):
                self._open.append(client)  # as an engine does, until the test hangs up
            else:
                client.close()

    def hang_up(self) -> None:
        for client in self._open:
            client.close()
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.hang_up()
        self.path.unlink()


def answer(body: object, status: str = "200 OK") -> bytes:
    raw = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw


def stream(*events: object) -> bytes:
    chunks = [json.dumps(event).encode() + b"\n" for event in events]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


@pytest.fixture
def says() -> Iterator[Callable[[dict[str, bytes]], Says]]:
    begun: list[Says] = []

    def begin(answers: dict[str, bytes]) -> Says:
        begun.append(Says({"/version": answer(VERSION), **answers}))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


Begin = Callable[[dict[str, bytes]], Says]


def test_it_speaks_the_engine_s_version_and_no_newer_one_than_it_knows(says: Begin) -> None:
    old = says({"/v1.41/containers/json": answer([])})
    new = says({"/version": answer({"ApiVersion": "1.99"}), "/v1.44/containers/json": answer([])})

    assert Engine(old.address).containers() == []
    assert Engine(new.address).containers() == []


def test_it_tells_podman_by_its_components(says: Begin) -> None:
    held = says({
        "/version": answer({**VERSION, "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}),
        "/v1.41/containers/json": answer([]),
    })  # fmt: skip
    engine = Engine(held.address)
    engine.containers()

    assert engine.kind == "podman"


def test_a_container_that_is_gone_is_none_and_an_error_is_not(says: Begin) -> None:
    broken = answer({"message": "out of order"}, "500 Internal Server Error")
    held = says({"/v1.41/containers/ab/json": broken})
    engine = Engine(held.address)

    assert engine.container("cd") is None
    with pytest.raises(EngineAway, match=r"500 to .*out of order"):
        engine.container("ab")


@pytest.mark.parametrize(
    "answers",
    [
        {"/version": answer({"hello": "world"})},
        {"/version": answer([1])},
        {"/version": b"220 mail.example.com ESMTP\r\n"},
        {"/version": answer({}, "404 Not Found")},
        {"/v1.41/containers/json": answer({"not": "a list"})},
        {"/v1.41/containers/json": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[{"},
        {"/v1.41/containers/json": b""},
    ],
    ids=["no version", "no object", "no http", "no such path", "no list", "half a body", "silence"],
)
def test_what_does_not_answer_as_an_engine_is_away(says: Begin, answers: dict[str, bytes]) -> None:
    held = says(answers)

    with pytest.raises(EngineAway, match=held.address):
        Engine(held.address).containers()


@pytest.mark.parametrize(
    "address", ["unix:///nowhere", "tcp://127.0.0.1:1", "ssh://host", "nonsense"]
)
def test_an_address_where_nobody_is_or_that_is_none(address: str) -> None:
    with pytest.raises(EngineAway, match=address):
        Engine(address).containers()


def test_events_come_until_the_engine_hangs_up(says: Begin) -> None:
    held = says({"/v1.41/events": stream({"Action": "start"}, {"Action": "die"})})
    found = Engine(held.address).events(Stop())

    assert [next(found), next(found), next(found)] == [None, {"Action": "start"}, {"Action": "die"}]
    held.hang_up()
    assert list(found) == []


def test_events_end_when_it_is_told_to_stop(says: Begin) -> None:
    held, stop, seen = says({"/v1.41/events": stream()}), Stop(), threading.Event()

    def listen() -> None:
        for _ in Engine(held.address).events(stop):
            seen.set()

    listening = threading.Thread(target=_quietly, args=(listen,))
    listening.start()
    assert seen.wait(10)
    stop.set()
    listening.join(10)

    assert not listening.is_alive()


def _quietly(work: Callable[[], None]) -> None:
    try:
        work()
    except EngineAway:
        return
