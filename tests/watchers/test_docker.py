"""Real containers on a real engine: told by a signal from the host, never restarted, never harmed."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from docker.models.containers import Container

from tests.parts import docker
from tests.parts.docker import BUSYBOX, NGINX, DockerEngine, started_at, wait_running
from tests.parts.engine_proxy import GetOnly
from tests.parts.publisher import Publisher
from tests.parts.require import missing
from tests.parts.servers import free_port, wait_until
from tests.watchers.hosts import Host, id_of, reads
from tests.watchers.served import ROOT, Served, status_of
from watchers.reload.signals import YOUNG_S

pytestmark = pytest.mark.docker
NGINX_CONF = """
daemon off; pid /tmp/nginx.pid; error_log stderr; worker_processes 1;
events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{text}"; }} }} }}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with docker.shared_engine(docker.run_directory(tmp_path_factory)) as held:
        yield held


@pytest.fixture
def host(engine: DockerEngine, publisher: Publisher, tmp_path: Path) -> Iterator[Host]:
    # A service of its own for each test, because all tests of a run share one engine.
    publisher = Publisher(publisher.endpoint, publisher.keyspace.prefix, f"s{uuid4().hex[:8]}")
    held = Host(engine, publisher, tmp_path)
    yield held
    held.close()


def test_nginx_takes_a_new_file_without_a_restart_and_serves_it(host: Host) -> None:
    port = free_port()

    def publish(text: str) -> None:
        conf = NGINX_CONF.format(port=port, text=text)
        host.publisher.publish({"nginx.conf": conf, "PORT": port})

    publish("one")
    served = host.serve()
    container = host.start(
        NGINX, ["nginx", "-c", "/run/confhub/nginx.conf"],
        labels={"confhub.files": "json,entry:nginx.conf"}, network="host", restart="always",
    )  # fmt: skip
    # It may have begun before its file was there; its restart policy brings it up with the file.
    served.until("confirmed", 1, instance=id_of(container), timeout_s=30)
    wait_until(lambda: fetch(port) == "one", what="the first configuration is served")
    before = started_at(container)

    publish("two")
    status = served.until("confirmed", 2, instance=id_of(container))
    wait_until(lambda: fetch(port) == "two", what="the second configuration is served")
    publish("one")
    served.until("confirmed", 3, instance=id_of(container))
    wait_until(lambda: fetch(port) == "one", what="the first is served again")

    assert started_at(container) == before
    assert status.pid == before[1]
    assert status.container["started_at"] == before[0]
    assert status.container["restarts"] == before[2]


def fetch(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_the_engine_is_asked_with_get_alone(host: Host) -> None:
    container = host.start()
    socket_path = host.engine.address.removeprefix("unix://")
    with GetOnly(socket_path, Path(f"/tmp/confhub-proxy-{uuid4().hex[:8]}.sock")) as proxy:  # noqa: S108  # a socket's path is short
        served = host.serve(proxy.address)
        host.publisher.publish({"MAX": 1})
        served.until("confirmed", 1, instance=id_of(container))
        host.publisher.publish({"MAX": 2})
        served.until("confirmed", 2, instance=id_of(container))
        container.restart(timeout=1)
        wait_until(lambda: len(proxy.asked) > 6, what="the agent looked again")
        served.stop()
        host.agents.remove(served)

        assert proxy.refused == []
        # And only where the documentation says.
        paths = {line.partition("?")[0].removeprefix("GET ") for line in proxy.asked}
        allowed = (
            r"(/v[0-9.]+)?/(_ping|version|events|containers/json|containers/[0-9a-f]{64}/json)"
        )
        assert [path for path in paths if not re.fullmatch(allowed, path)] == []


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_crash_after_a_reload_is_restarted_by_the_engine(host: Host, policy: str) -> None:
    container = host.start(restart=policy)
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("confirmed", 1, instance=id_of(container))
    assert status.pid is not None

    os.kill(status.pid, signal.SIGKILL)  # as a crash: from the host, past the engine

    pid = wait_running(container, other_than=status.pid)
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.pid == pid
        and s.running == 1 and s.receipt is not None and s.receipt.state == "confirmed",
        what="the new process is confirmed with the same release",
    )  # fmt: skip
    # One reload in all, of the process before; the new one began with the files.
    assert [line for line in reads(container) if line.startswith("reloads=1")] == [
        'reloads=1 {"MAX":1}'
    ]


def test_the_contrast_a_signal_through_the_engine_cancels_the_restart_policy(host: Host) -> None:
    """Why signals do not go through the engine; docs/decisions/0006-signals-not-the-engine.md."""
    container = host.start(
        restart="always", without="confhub.service", labels={"confhub.environment": ""}
    )
    _, pid, _ = started_at(container)
    wait_until(lambda: bool(reads(container)), what="the handler stands")
    container.kill(signal="HUP")
    wait_until(lambda: any(r.startswith("reloads=1") for r in reads(container)), what="it was told")

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: started_at(container)[1] == 0, what="it has ended")

    time.sleep(1.5)  # restarts of this engine follow within 100 ms; this one does not come
    assert started_at(container)[1] == 0


def test_a_stopped_container_gets_its_files_and_starts_with_them(host: Host) -> None:
    container = host.start()
    container.stop(timeout=2)
    served = host.serve()

    host.publisher.publish({"MAX": 1})
    status = served.until("delivered", 1, instance=id_of(container))
    assert (status.health, status.running, status.pid) == ("stopped", None, None)
    assert (host.files(container) / "config.json").exists()
    container.start()
    served.until("confirmed", 1, instance=id_of(container))

    assert reads(container)[-1] == 'reloads=0 {"MAX":1}'


def test_a_paused_container_is_told_when_it_goes_on(host: Host) -> None:
    container = host.start()
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))

    container.pause()
    wait_until(lambda: health_is(served, container, "unknown"), what="the agent saw the pause")
    host.publisher.publish({"MAX": 2})
    served.until("delivered", 2, instance=id_of(container))
    container.unpause()
    served.until("confirmed", 2, instance=id_of(container))

    assert reads(container)[-1] == 'reloads=2 {"MAX":2}'


def health_is(served: Served, container: Container, word: str) -> bool:
    status = served.status(id_of(container))
    return status is not None and status.health == word


def test_a_container_restarted_in_its_soak_is_not_blamed_on_the_release(host: Host) -> None:
    container = host.start(labels={"confhub.soak": "3s"}, restart="always")
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("applied", 1, instance=id_of(container))

    container.restart(timeout=1)
    status = served.until("confirmed", 1, instance=id_of(container))

    assert status.receipt is not None
    assert not status.receipt.reason


def test_a_container_that_dies_of_a_release_comes_back_with_the_one_before(host: Host) -> None:
    dies = "trap 'grep -q BAD /run/confhub/config.json && exit 3; echo told' HUP; while :; do sleep 9 & wait $!; done"
    container = host.start(
        command=["/bin/sh", "-c", dies], restart="always", labels={"confhub.soak": "1s"}
    )
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))

    host.publisher.publish({"MAX": "BAD"})
    status = served.until("failed", 2, instance=id_of(container))
    assert status.receipt is not None
    assert status.receipt.stage == "confirm"
    assert (host.files(container) / "release").read_text() == "1\n"
    wait_running(container)
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.running == 1,
        what="the new process runs the release before",
    )


def test_an_entrypoint_that_waits_for_its_first_files_gets_them(host: Host) -> None:
    waits = "until [ -e /run/confhub/config.json ]; do sleep 0.1; done; exec /bin/handler"
    container = host.start(command=["/bin/sh", "-c", waits])
    before, began = started_at(container), time.monotonic()
    served = host.serve()
    # Older than a process that may still be installing its handlers.
    wait_until(lambda: time.monotonic() > began + YOUNG_S + 0.5, what="a process that is not young")

    host.publisher.publish({"MAX": 1})
    status = served.until("confirmed", 1, instance=id_of(container))

    assert status.pid == before[1]
    assert started_at(container) == before


def test_a_container_that_dies_before_it_is_looked_at_comes_back_with_the_one_before(
    host: Host,
) -> None:
    dies = "grep -q BAD /run/confhub/config.json && exit 3; exec /bin/handler"
    container = host.start(command=["/bin/sh", "-c", dies], restart="always")
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))
    container.stop(timeout=2)

    host.publisher.publish({"MAX": "BAD"})
    served.until("delivered", 2, instance=id_of(container))
    container.start()
    status = served.until("failed", 2, instance=id_of(container))

    assert status.receipt is not None
    assert "exit code 3" in status.receipt.reason
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.running == 1,
        what="it runs the release before",
    )


@pytest.mark.parametrize(
    ("labels", "without", "says"),
    [
        ({"confhub.reloads": "signal:HUP"}, "", "confhub.reloads is no label that ConfHub knows"),
        ({}, "confhub.reload", "There is no default"),
        ({"confhub.reload": "profile:nothing"}, "", "names no profile"),
        ({"confhub.deliver": "volume:/elsewhere"}, "", "has no volume there"),
        ({"confhub.process": "exe=nginx"}, "", "no process of this container runs nginx"),
    ],
    ids=["unknown", "no reload", "later", "no volume", "no such process"],
)
def test_labels_that_cannot_be_followed_are_a_problem_and_touch_nothing(
    host: Host, labels: dict[str, str], without: str, says: str
) -> None:
    container = host.start(labels=labels, without=without)
    served = host.serve()
    host.publisher.publish({"MAX": 1})

    wait_until(
        lambda: (s := served.status(id_of(container))) is not None
        and any(says in problem for problem in s.problems),
        what=f"the problem {says!r}",
    )  # fmt: skip

    assert list(host.files(container).iterdir()) == []
    assert reads(container) == ["reloads=0"]


def test_a_named_process_is_told_and_the_first_one_is_not(host: Host) -> None:
    inner = "cp /bin/busybox /tmp/busybox-inner; exec /tmp/busybox-inner sh /bin/handler"
    outer = f"trap 'echo outer' HUP; sh -c '{inner}' & while :; do sleep 9 & wait $!; done"
    container = host.start(
        command=["/bin/sh", "-c", outer], labels={"confhub.process": "exe=busybox-inner"}
    )
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("confirmed", 1, instance=id_of(container))

    assert status.pid != started_at(container)[1]
    assert "outer" not in reads(container)
    assert 'reloads=1 {"MAX":1}' in reads(container)


def test_a_container_without_labels_is_not_touched(host: Host) -> None:
    plain = host.engine.run(
        BUSYBOX,
        ["/bin/handler"],
        name=f"t{uuid4().hex[:8]}",
        labels={"other": "label"},
        folder=host.folder,
    )
    host.begun.append(plain)
    labelled = host.start()
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(labelled))

    assert reads(plain) == ["reloads=0"]
    assert served.status(id_of(plain)) is None
    assert not (host.folder / "current").exists()


def test_a_removed_container_is_gone_from_the_store(host: Host) -> None:
    container = host.start()
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))

    container.remove(force=True)

    wait_until(lambda: served.status(id_of(container)) is None, what="its key is gone")


def test_containers_that_come_and_go_are_all_found(host: Host) -> None:
    host.publisher.publish({"MAX": 1})
    served = host.serve()
    for round_number in range(3):
        for container in [host.start() for _ in range(4)]:
            if round_number != 2:
                container.remove(force=True)

    alive = {id_of(c) for c in host.begun[-4:]}
    wait_until(
        lambda: served.instances() == alive, what="exactly those that are there", timeout_s=30
    )
    for one in alive:
        served.until("confirmed", 1, instance=one)


def test_an_agent_that_may_not_signal_says_so_and_touches_nothing(host: Host) -> None:
    container = host.start()
    host.publisher.publish({"MAX": 1})
    folder = host.files(container)
    folder.chmod(0o777)

    agent = unprivileged(host)

    key = host.publisher.keys.instance(id_of(container))
    try:
        wait_until(
            lambda: (s := status_of(host.publisher.endpoint, key)) is not None
            and any("may not signal" in problem for problem in s.problems),
            what="the instance says so",
        )  # fmt: skip
        assert not (folder / "current").exists()
        assert reads(container) == ["reloads=0"]
    finally:
        agent.terminate()
        agent.wait(20)


def unprivileged(host: Host) -> subprocess.Popen[bytes]:
    """An agent that runs as nobody, but may ask the engine and write the files."""
    Path(host.engine.address.removeprefix("unix://")).chmod(0o666)
    host.engine.directory.chmod(0o755)
    state = host.folder / "nobody"
    state.mkdir()
    os.chown(state, 65534, 65534)
    for folder in [host.folder, *host.folder.parents]:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)  # so that nobody may walk down to it
    return subprocess.Popen(
        [sys.executable, "-m", "tests.watchers.as_nobody"], cwd=ROOT,
        env={**os.environ, "ETCD_ENDPOINTS": host.publisher.endpoint,
             "ETCD_PREFIX": host.publisher.keyspace.prefix, "CONFHUB_STATE_DIR": str(state),
             "DOCKER_HOST": host.engine.address},
    )  # fmt: skip


def test_an_engine_that_comes_later_and_goes_is_waited_for(
    publisher: Publisher, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reason = docker.why_not()
    if reason:
        missing("docker", reason)
    own = DockerEngine(Path(f"/tmp/confhub-own-{uuid4().hex[:6]}"))  # noqa: S108  # a socket's path is short
    own_publisher = Publisher(publisher.endpoint, publisher.keyspace.prefix, "own")
    host = Host(own, own_publisher, tmp_path)
    served = host.serve()
    try:
        own.start()
        container = host.start(restart="always")
        host.publisher.publish({"MAX": 1})
        served.until("confirmed", 1, instance=id_of(container), timeout_s=30)

        own.halt()
        host.publisher.publish({"MAX": 2})
        time.sleep(0.2)
        own.start()
        served.until("confirmed", 2, instance=id_of(container), timeout_s=30)
    finally:
        host.close()
        own.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("docker")]
