"""podman behind its Docker-compatible API: the same labels, files and signals as with Docker."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.parts import podman
from tests.parts.docker import wait_running
from tests.parts.podman import PodmanEngine
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.hosts import Host, id_of, reads
from watchers import options
from watchers.runtimes import events

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def engine() -> Iterator[PodmanEngine]:
    with podman.own_engine() as held:
        yield held


@pytest.fixture
def host(engine: PodmanEngine, publisher: Publisher, tmp_path: Path) -> Iterator[Host]:
    publisher = Publisher(publisher.endpoint, publisher.keyspace.prefix, f"s{uuid4().hex[:8]}")
    held = Host(engine, publisher, tmp_path)
    yield held
    held.close()


def test_a_release_reaches_a_podman_container_by_a_signal(host: Host) -> None:
    container = host.start()
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("confirmed", 1, instance=id_of(container))
    host.publisher.publish({"MAX": 2})
    served.until("confirmed", 2, instance=id_of(container))

    assert status.runtime == "podman"
    assert status.container["name"] == container.name
    assert status.pid == wait_running(container)
    assert reads(container)[-1] == 'reloads=2 {"MAX":2}'


def test_the_process_that_watches_over_the_container_is_none_of_it(host: Host) -> None:
    """conmon has a control group of its own with the container's id in its name."""
    container = host.start(labels={"confhub.process": "exe=conmon"})
    served = host.serve()
    host.publisher.publish({"MAX": 1})

    wait_until(
        lambda: (s := served.status(id_of(container))) is not None
        and any("no process of this container runs conmon" in one for one in s.problems),
        what="no conmon in the container",
    )  # fmt: skip


def test_a_podman_container_restarted_in_its_soak_is_not_blamed_on_the_release(host: Host) -> None:
    container = host.start(labels={"confhub.soak": "2s"})
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("applied", 1, instance=id_of(container))

    host.engine.client.api.restart(container.id, timeout=1)
    status = served.until("confirmed", 1, instance=id_of(container))

    assert status.receipt is not None
    assert not status.receipt.reason


def test_a_podman_container_stopped_in_its_soak_is_told_by_its_files(
    engine: PodmanEngine, host: Host
) -> None:
    """podman says nothing before it stops one; the exit code is all there is to go by."""
    container = host.start(labels={"confhub.soak": "2s"})
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("applied", 1, instance=id_of(container))
    engine.tell("stop", "--time", "1", str(container.name))
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.health == "stopped",
        what="the agent saw that it stopped",
    )
    host.publisher.publish({"MAX": 2})
    served.until("delivered", 2, instance=id_of(container))
    engine.tell("start", str(container.name))
    served.until("confirmed", 2, instance=id_of(container))

    assert reads(container)[-1] == 'reloads=0 {"MAX":2}'


def test_a_podman_container_that_crashes_in_its_soak_fails_the_release(host: Host) -> None:
    dies = "trap 'grep -q BAD /run/confhub/config.json && exit 3; echo told' HUP; while :; do sleep 9 & wait $!; done"
    container = host.start(
        command=["/bin/sh", "-c", dies], labels={"confhub.soak": "1s"}, restart="always"
    )
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))

    host.publisher.publish({"MAX": "BAD"})
    status = served.until("failed", 2, instance=id_of(container))

    assert status.receipt is not None
    assert status.receipt.stage == "confirm"
    assert (host.files(container) / "release").read_text() == "1\n"


def test_a_paused_podman_container_is_told_when_it_goes_on(host: Host) -> None:
    container = host.start()
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))

    container.pause()
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.health == "unknown",
        what="the agent saw the pause",
    )
    host.publisher.publish({"MAX": 2})
    served.until("delivered", 2, instance=id_of(container))
    assert reads(container)[-1] == 'reloads=1 {"MAX":1}'
    container.unpause()
    served.until("confirmed", 2, instance=id_of(container))

    assert reads(container)[-1] == 'reloads=2 {"MAX":2}'


def test_a_podman_container_made_anew_in_mid_rollout_begins_with_what_it_is_admitted_to(
    engine: PodmanEngine, host: Host
) -> None:
    first = host.start()
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(first))
    document = host.publisher.document({"MAX": 2}, number=2)
    host.publisher.transact({host.publisher.keys.release(2): document.to_bytes()})
    host.publisher.admit(2, "all", baseline=1)
    served.until("confirmed", 2, instance=id_of(first))

    engine.tell("rm", "--force", "--time", "0", str(first.name))
    second = host.start()
    served.until("confirmed", 2, instance=id_of(second))
    wait_until(lambda: served.instances() == {id_of(second)}, what="the first one's key is gone")


def test_the_files_of_a_host_without_docker_name_podmans_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "DOCKER", tmp_path / "docker.sock")
    own = tmp_path / "podman" / "podman.sock"
    told = {"XDG_RUNTIME_DIR": str(tmp_path)}
    nothing = options.from_environment(told).docker_host
    own.parent.mkdir()
    own.touch()
    rootless = options.from_environment(told).docker_host
    (tmp_path / "docker.sock").touch()
    both = options.from_environment(told).docker_host

    # A machine on which the tests run may have root's podman.
    system = Path("/run/podman/podman.sock")
    assert nothing == f"unix://{system if system.exists() else tmp_path / 'docker.sock'}"
    assert rootless == f"unix://{system if system.exists() else own}"
    assert both == f"unix://{tmp_path / 'docker.sock'}"


RECORDED = [  # as the two engines sent them
    ({"status": "die", "id": "a" * 64, "Type": "container", "Action": "die", "Actor": {
        "ID": "a" * 64, "Attributes": {"exitCode": "3", "image": "x", "name": "x"}}},
     events.Seen("a" * 64, "die", exit_code=3)),
    ({"status": "died", "id": "a" * 64, "Type": "container", "Action": "died", "Actor": {
        "ID": "a" * 64, "Attributes": {"containerExitCode": "137", "name": "x", "podId": ""}}},
     events.Seen("a" * 64, "died", exit_code=137)),
    ({"status": "health_status: healthy", "id": "a" * 64, "Type": "container",
      "Action": "health_status: healthy", "Actor": {"ID": "a" * 64, "Attributes": {}}},
     events.Seen("a" * 64, "health_status", health="healthy")),
    ({"status": "health_status", "id": "a" * 64, "Type": "container", "Action": "health_status",
      "Actor": {"ID": "a" * 64, "Attributes": {"health_status": "unhealthy"}}},
     events.Seen("a" * 64, "health_status", health="unhealthy")),
    ({"status": "kill", "id": "a" * 64, "Action": "kill",
      "Actor": {"ID": "a" * 64, "Attributes": {"signal": "15"}}},
     events.Seen("a" * 64, "kill", signal=15)),
    ({"Type": "container", "Action": "remove", "Actor": {"ID": "a" * 64, "Attributes": None}},
     events.Seen("a" * 64, "remove")),
    ({"status": "exec_die", "id": "a" * 64, "Action": "exec_die", "Actor": {"ID": "a" * 64}}, None),
    ({"Type": "daemon", "Action": "reload"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("event", "seen"), RECORDED, ids=range(len(RECORDED)))
def test_events_of_both_engines_are_read_alike(
    event: dict[str, object], seen: events.Seen | None
) -> None:
    assert events.read(event) == seen
