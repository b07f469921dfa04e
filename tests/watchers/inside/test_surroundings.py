"""A container's files, network, words and health, as an agent with rights finds them, and one without."""

import http.server
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from docker.types import Mount

from tests.parts.docker import DockerEngine
from tests.parts.engine_proxy import GetOnly
from tests.parts.servers import free_port, wait_until
from tests.watchers.inside.conftest import DIRECTORY, Start, inside

pytestmark = pytest.mark.docker
SECRET = "/tmp/confhub-test-outside"  # noqa: S108  # the same path leads elsewhere in the container


@pytest.fixture
def outside() -> Iterator[str]:
    """A file of this machine that no container has."""
    path = Path(f"{SECRET}-{uuid4().hex[:8]}")
    path.write_text("outside")
    yield str(path)
    path.unlink()


@pytest.fixture(params=["from here", "through the engine"])
def blind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether this process may look at the container's root; a test may be told to go without."""
    if request.param == "through the engine":
        real = os.open

        def refuse(path: str, *arguments: object, **named: object) -> int:
            if str(path).startswith("/proc/") and str(path).endswith("/root"):
                raise PermissionError(13, "Permission denied", path)
            return real(path, *arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr("watchers.runtimes.container.os.open", refuse)
    return str(request.param)


@pytest.mark.usefixtures("blind")
def test_a_file_is_read_as_the_container_sees_it(
    engine: DockerEngine, start: Start, generations: Path
) -> None:
    container = start(
        ["sh", "-c", "ln -s /run/confhub/x /tmp/link; echo ready; sleep 3600"],
        mounts=[Mount(DIRECTORY, str(generations), type="bind")],
    )  # fmt: skip
    wait_until(lambda: b"ready" in container.logs(), what="the link is there")
    ours = inside(engine, container)

    assert ours.read("/run/confhub/x") == b"of 1"
    assert ours.read("/tmp/link") == b"of 1"  # noqa: S108  # in the container
    assert ours.read("/run/confhub/x", max_bytes=4) == b"of 1"
    with pytest.raises(OSError, match="larger than 3 bytes"):
        ours.read("/run/confhub/x", max_bytes=3)
    with pytest.raises(FileNotFoundError):
        ours.read("/run/confhub/y")
    with pytest.raises(OSError, match="not a plain file"):
        ours.read("/run/confhub")


@pytest.mark.usefixtures("blind")
def test_no_link_in_the_container_leads_out_of_it(
    engine: DockerEngine, start: Start, outside: str
) -> None:
    up = "/../.."
    script = (
        f"ln -s {outside} /a; ln -s ../../../../..{outside} /b; ln -s /proc/1/root{up}{outside} /c;"
        "mkdir /d; ln -s /../../.. /d/up; mkfifo /pipe; echo ready; sleep 3600"
    )
    container = start(["sh", "-c", script])
    wait_until(lambda: b"ready" in container.logs(), what="the links are there")
    ours = inside(engine, container)

    for path in ("/a", "/b", "/c", f"/d/up{outside}", outside, f"/../..{outside}"):
        with pytest.raises(OSError):  # noqa: PT011  # which one depends on the way
            ours.read(path)
    with pytest.raises(OSError, match="not a plain file"):
        ours.read("/pipe")
    with pytest.raises(OSError):  # noqa: PT011  # the engine archives no device
        ours.read("/dev/null")


def test_a_port_of_its_own_loopback_is_reached(engine: DockerEngine, start: Start) -> None:
    container = start(["httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/bin"])
    ours = inside(engine, container)
    wait_until(lambda: listens(ours.read("/proc/1/net/tcp"), 8080), what="it listens")

    with closing(ours.connect(8080, timeout_s=5)) as connection:
        connection.sendall(b"GET /handler HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as answer:
            assert b"#!/bin/sh" in answer.read()
    with pytest.raises(ConnectionRefusedError):
        ours.connect(8081, timeout_s=5)


def listens(table: bytes, port: int) -> bool:
    return f":{port:04X} 00000000:0000 0A".encode() in table


def test_a_container_in_the_hosts_network_is_reached_there(
    engine: DockerEngine, start: Start
) -> None:
    ours = inside(engine, start(network_mode="host"))
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        ours.connect(server.server_port, timeout_s=5).close()


def test_without_rights_a_container_without_an_address_cannot_be_reached(
    engine: DockerEngine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchers.runtimes.entering.kernel.permitted_capabilities", lambda: 0)
    with pytest.raises(OSError, match="no address of its own"):
        inside(engine, start()).connect(free_port(), timeout_s=5)


def test_a_unix_socket_in_its_files_is_reached_however_long_its_path(
    engine: DockerEngine, start: Start, generations: Path
) -> None:
    container = start(mounts=[Mount(DIRECTORY, str(generations), type="bind")])
    ours, deep = inside(engine, container), "/".join(["d" * 60] * 3)
    (generations / deep).mkdir(parents=True)
    (generations / "link").symlink_to(f"{DIRECTORY}/{deep}/s")
    here = os.open(generations / deep, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/s")
        os.close(here)
        listener.listen()
        for path in (f"{DIRECTORY}/{deep}/s", f"{DIRECTORY}/link"):
            with ours.connect_unix(path, timeout_s=5) as connection:
                accepted, _ = listener.accept()
                with accepted:
                    accepted.sendall(b"hello")
                    assert connection.recv(5) == b"hello"
    with pytest.raises(OSError, match="refused"):
        ours.connect_unix(f"{DIRECTORY}/link", timeout_s=5)


@pytest.mark.parametrize("tty", [False, True])
def test_what_it_said_since_a_moment(engine: DockerEngine, start: Start, tty: bool) -> None:
    script = "echo before; while read line < /run/go; do echo $line; echo err >&2; done"
    container = start(["sh", "-c", f"mkfifo /run/go; {script}"], tty=tty)
    ours = inside(engine, container)
    wait_until(lambda: "before" in ours.said_since(0), what="it has begun")

    moment_s = time.time()
    container.exec_run(["sh", "-c", "echo after > /run/go"])

    wait_until(
        lambda: {"after", "err"} <= set(ours.said_since(moment_s).split()), what="it has spoken"
    )
    # Sorted, because an engine reads a container's two streams apart and promises no order of them.
    assert sorted(ours.said_since(moment_s).split()) == ["after", "err"]


def test_without_an_engine_nothing_was_said_and_no_health_is_known(
    engine: DockerEngine, start: Start
) -> None:
    ours = inside(engine, start(), address="unix:///nowhere/docker.sock")
    assert (ours.said_since(0), ours.health()) == ("", "")
    assert ours.run(["echo", "still"]).output == "still\n"


def test_its_health_is_the_engines_as_it_is_now(engine: DockerEngine, start: Start) -> None:
    check = {"test": ["CMD", "test", "-e", "/run/well"], "interval": 200_000_000, "retries": 1}
    container = start(healthcheck=check)
    ours = inside(engine, container)
    wait_until(lambda: ours.health() == "unhealthy", what="its check fails")
    container.exec_run(["touch", "/run/well"])
    wait_until(lambda: ours.health() == "healthy", what="its check passes")
    assert inside(engine, start()).health() == ""


def test_its_processes_are_its_own_with_their_words(engine: DockerEngine, start: Start) -> None:
    container = start(["sh", "-c", "sleep 611 & sleep 612 & wait"])
    ours = inside(engine, container)
    wait_until(lambda: len(ours.processes()) == 3, what="all three run")
    first = next(one for one in ours.processes() if one.argv[0] == "sh")
    rest = [one for one in ours.processes() if one != first]
    assert {one.argv for one in rest} == {("sleep", "611"), ("sleep", "612")}
    assert {one.parent for one in rest} == {first.process.pid}
    assert {one.exe for one in ours.processes()} == {"busybox"}


def test_all_of_it_asks_with_get_alone_and_does_without_what_is_refused(
    engine: DockerEngine, start: Start
) -> None:
    container = start(environment={"SHOP": "1"})
    path = Path(f"/tmp/confhub-proxy-{uuid4().hex[:8]}.sock")  # noqa: S108  # a socket's path is short
    with GetOnly(engine.address.removeprefix("unix://"), path) as proxy:
        ours = inside(engine, container, address=proxy.address)
        assert ours.run(["sh", "-c", "echo $SHOP"]).output == "1\n"
        assert ours.health() == ""
        assert ours.read("/bin/handler").startswith(b"#!/bin/sh")
        assert proxy.refused == []
        assert ours.said_since(0) == "", "the shipped list allows no logs"
        assert {line.partition(" ")[0] for line in proxy.asked} == {"GET"}
