"""Nobody is told of files that it does not see: another volume, another path, a stale mount."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.models.containers import Container

from tests.parts import docker
from tests.parts.docker import BUSYBOX, DockerEngine
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.hosts import LABELS, Host, id_of, reads
from tests.watchers.served import Process, Served, runtime_for
from watchers.swap import folders
from watchers.swap.disk import Directory


@pytest.fixture
def doubtful(publisher: Publisher, process: Process, tmp_path: Path) -> Iterator[Served]:
    """A workload that reads below tmp_path/seen, where the agent writes into process.directory."""
    runtime: Any = runtime_for(process.process.pid, tmp_path / "seen")
    runtime.directory = lambda _: Directory(
        folders.open_directory(str(process.directory), make=True), "the volume"
    )
    served = Served(publisher.endpoint, publisher.keyspace, tmp_path / "state", runtime)
    yield served
    served.stop()


def test_the_same_directory_by_another_name_is_seen(
    doubtful: Served, publisher: Publisher, process: Process, tmp_path: Path
) -> None:
    (tmp_path / "seen").symlink_to(process.directory)

    publisher.publish({"MAX": 1})

    doubtful.until("confirmed", 1)


def test_a_path_that_is_not_there_for_the_workload_is_said_and_nobody_is_told(
    doubtful: Served, publisher: Publisher, process: Process
) -> None:
    publisher.publish({"MAX": 1})
    status = doubtful.until("failed", 1)

    assert status.receipt is not None
    assert status.receipt.stage == "swap"
    assert "is not there for the workload" in status.receipt.reason
    assert "another volume or path" in status.receipt.reason
    assert process.reloads(1) == 0
    assert not (process.directory / "current").is_symlink(), "the first swap is taken back"


def test_another_volume_is_said_and_the_release_before_stays(
    doubtful: Served, publisher: Publisher, process: Process, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    seen.symlink_to(process.directory)
    publisher.publish({"MAX": 1})
    doubtful.until("confirmed", 1)

    seen.unlink()
    (seen / "current").mkdir(parents=True)
    for name in ("config.json", "config.env", "release"):
        (seen / "current" / name).write_text("of somebody else\n")
    publisher.publish({"MAX": 2})
    status = doubtful.until("failed", 2)

    assert status.receipt is not None
    assert "is another file for the workload (SHA-256" in status.receipt.reason
    assert status.running == 1
    assert process.reloads(2) == 0
    assert (process.directory / "current").readlink().name == "gen-1"


# ── stale mounts, on a real engine ────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with docker.shared_engine(docker.run_directory(tmp_path_factory)) as held:
        yield held


@pytest.fixture
def host(engine: DockerEngine, publisher: Publisher, tmp_path: Path) -> Iterator[Host]:
    publisher = Publisher(publisher.endpoint, publisher.keyspace.prefix, f"s{uuid4().hex[:8]}")
    held = Host(engine, publisher, tmp_path)
    yield held
    held.close()


def start(host: Host, labels: dict[str, str], **more: Any) -> Container:
    chosen = {**LABELS, "confhub.service": host.publisher.service, **labels}
    held = host.engine.run(
        BUSYBOX, ["/bin/handler"], name=f"t{uuid4().hex[:8]}", labels=chosen, **more
    )
    host.begun.append(held)
    return held


@pytest.mark.docker
def test_a_single_mounted_file_of_the_directory_is_a_stale_mount(
    host: Host, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "app.conf").write_text("v1\n")
    container = start(
        host, {}, folder=volume, volumes={str(volume / "app.conf"): {"bind": "/etc/app.conf"}}
    )
    (tmp_path / "next").write_text("v2\n")
    (tmp_path / "next").rename(volume / "app.conf")
    assert container.exec_run(["cat", "/etc/app.conf"]).output == b"v1\n", "it is stale indeed"

    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("failed", 1, instance=id_of(container))

    assert status.receipt is not None
    assert status.receipt.stage == "swap"
    assert "stale mount: /etc/app.conf" in status.receipt.reason
    assert "which is removed already" in status.receipt.reason
    assert any("Mount the directory alone" in problem for problem in status.problems)
    assert reads(container) == ["reloads=0"]


@pytest.mark.docker
def test_a_mount_of_one_generation_is_a_stale_mount_too(host: Host, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "gen-1").mkdir(parents=True)
    (volume / "link").symlink_to("gen-1")
    (tmp_path / "outside").symlink_to(volume / "link")
    container = start(
        host, {}, folder=volume, volumes={str(tmp_path / "outside"): {"bind": "/etc/app"}}
    )

    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("failed", 1, instance=id_of(container))

    assert status.receipt is not None
    assert "stale mount: /etc/app" in status.receipt.reason
    assert reads(container) == ["reloads=0"]


@pytest.mark.docker
def test_a_label_that_names_a_single_mounted_file_says_so(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "app.conf"
    file.write_text("v1\n")
    container = start(
        host,
        {"confhub.deliver": "volume:/etc/app.conf"},
        volumes={str(file): {"bind": "/etc/app.conf"}},
    )

    served = host.serve()
    host.publisher.publish({"MAX": 1})
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None
        and any("has a single file mounted" in problem for problem in s.problems),
        what="the stale mount is said",
    )  # fmt: skip

    assert reads(container) == ["reloads=0"]
    assert file.read_text() == "v1\n"


@pytest.mark.docker
def test_another_mount_beside_the_directory_is_none_of_it(host: Host, tmp_path: Path) -> None:
    volume, other = tmp_path / "volume", tmp_path / "volume-2"
    volume.mkdir()
    other.mkdir()
    container = start(host, {}, folder=volume, volumes={str(other): {"bind": "/data"}})

    served = host.serve()
    host.publisher.publish({"MAX": 1})

    served.until("confirmed", 1, instance=id_of(container))
