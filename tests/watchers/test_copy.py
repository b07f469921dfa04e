"""`confhub.deliver=copy:/path`: no volume, the files go into the container's own."""

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
from tests.watchers.served import Served
from tests.watchers.test_secrets import CANARY, KEY, publish, sealed_document
from watchers.runtimes.docker import DockerRuntime

pytestmark = pytest.mark.docker


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


def start(host: Host, command: list[str] | None = None, **more: Any) -> Container:
    """One without any volume."""
    labels = {**LABELS, "confhub.service": host.publisher.service, **more.pop("labels", {})}
    held = host.engine.run(
        BUSYBOX, command or ["/bin/handler"], name=f"t{uuid4().hex[:8]}", labels=labels, **more
    )
    host.begun.append(held)
    return held


def test_files_are_there_after_a_restart_and_come_anew_with_a_new_container(host: Host) -> None:
    labels = {"confhub.deliver": "copy:/run/confhub/below"}
    shows = "trap 'cat /run/confhub/below/config.json' HUP; trap 'exit 0' TERM; while :; do sleep 9 & wait $!; done"
    command = ["/bin/sh", "-c", f"cat /run/confhub/below/config.json 2>&1; {shows}"]
    container = start(host, command, labels=labels)
    served = host.serve()

    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))
    host.publisher.publish({"MAX": 2})
    served.until("confirmed", 2, instance=id_of(container))
    assert reads(container)[-2] == '"MAX": 2'

    container.restart(timeout=2)
    wait_until(lambda: reads(container).count('"MAX": 2') == 2, what="it began with its files")
    container.remove(force=True)
    again = start(host, command, labels=labels)
    served.until("confirmed", 2, instance=id_of(again))
    wait_until(lambda: '"MAX": 2' in reads(again), what="the new one was told")
    assert "No such file" in reads(again)[0]


def test_no_symbolic_link_of_the_container_leads_the_copy_elsewhere(host: Host) -> None:
    link = "ln -s /tmp /run/link; exec /bin/handler"
    container = start(
        host, ["/bin/sh", "-c", link], labels={"confhub.deliver": "copy:/run/link/confhub"}
    )
    wait_until(lambda: bool(reads(container)), what="the link is there")

    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("failed", 1, instance=id_of(container))

    assert status.receipt is not None
    assert status.receipt.stage == "swap"
    assert "that no symbolic link leads to" in status.receipt.reason
    assert container.exec_run(["ls", "/tmp"]).output == b""  # noqa: S108  # in the container


def test_a_tmpfs_takes_secrets_for_the_containers_own_user(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    inside = start(host, tmpfs={"/run/confhub": ""}, user="1000:1001")
    layer = start(host, labels={"confhub.deliver": "copy:/run/confhub"})
    served = host.serve()

    publish(host.publisher, sealed_document(host.publisher, 1))
    served.until("confirmed", 1, instance=id_of(inside))
    refused = served.until("failed", 1, instance=id_of(layer))

    assert reads(inside)[-1] == f'reloads=1 {{"MAX":1,"PW":"{CANARY}"}}'
    listed = inside.exec_run(["ls", "-ln", "/run/confhub/current/config.json"]).output.decode()
    assert listed.split()[:4] == ["-r--------", "1", "1000", "1001"]
    assert refused.receipt is not None
    assert "is on a disk" in refused.receipt.reason
    assert reads(layer) == ["reloads=0"]


def test_a_stopped_container_gets_its_files_where_the_engine_may_put_them(
    host: Host, engine: DockerEngine, tmp_path: Path
) -> None:
    container = start(host, labels={"confhub.deliver": "copy:/run/confhub"})
    container.stop(timeout=2)
    served = host.serve()
    host.publisher.publish({"MAX": 1})
    status = served.until("failed", 1, instance=id_of(container))
    assert status.receipt is not None
    assert "CONFHUB_ENGINE_ALLOWS=archive" in status.receipt.reason
    served.stop()
    host.agents.remove(served)

    allowed = Served(
        host.publisher.endpoint, host.publisher.keyspace, tmp_path / "other",
        DockerRuntime(engine.address, allows=frozenset({"archive"})),
        service=host.publisher.service,
    )  # fmt: skip
    host.agents.append(allowed)
    allowed.until("delivered", 1, instance=id_of(container))
    host.publisher.publish({"MAX": 2})
    allowed.until("delivered", 2, instance=id_of(container))
    container.start()
    allowed.until("confirmed", 2, instance=id_of(container))
    assert reads(container)[-1] == 'reloads=0 {"MAX":2}'

    host.publisher.publish({"MAX": 3})
    allowed.until("confirmed", 3, instance=id_of(container))
    assert reads(container)[-1] == 'reloads=1 {"MAX":3}'
    listed = container.exec_run(["ls", "/run/confhub"]).output.decode().split()
    assert [name for name in listed if name.startswith("gen-")] == ["gen-2", "gen-3"]


def test_a_template_of_the_image_is_read_in_the_container(host: Host) -> None:
    makes = "echo 'max={{ MAX }}' > /etc/app.j2; exec /bin/handler"
    labels = {"confhub.deliver": "copy:/run/confhub", "confhub.files": "json,app.conf=/etc/app.j2"}
    container = start(host, ["/bin/sh", "-c", makes], labels=labels)
    wait_until(lambda: bool(reads(container)), what="the template is there")

    served = host.serve()
    host.publisher.publish({"MAX": 1})
    served.until("confirmed", 1, instance=id_of(container))

    assert container.exec_run(["cat", "/run/confhub/app.conf"]).output == b"max=1\n"
