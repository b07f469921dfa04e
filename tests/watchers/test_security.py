"""What an agent may do and may learn: few rights, few questions, nobody's environment, no orders from etcd."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from tests.parts import docker
from tests.parts.docker import DockerEngine
from tests.parts.engine_proxy import GetOnly, shipped_list
from tests.parts.etcdctl import get_prefix
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.hosts import Host, id_of, reads
from tests.watchers.served import ROOT
from watchers.runtimes.docker import DockerRuntime
from watchers.wire.canonical import canonical, checksum
from watchers.wire.documents import Pointer

pytestmark = pytest.mark.docker
A_CONTAINER = "a" * 64
NOBODY = 65534
CANARY = "canary-5f1c7d"
KILL = 5  # its bit


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


# ── the engine's socket ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/_ping", True),
        ("/version", True),
        ("/v1.41/events", True),
        ("/v1.41/containers/json", True),
        (f"/v1.41/containers/{A_CONTAINER}/json", True),
        (f"/v1.41/containers/{A_CONTAINER}/json/../../create", False),
        ("/v1.41/containers/create", False),
        (f"/v1.41/containers/{A_CONTAINER}/kill", False),
        (f"/v1.41/containers/{A_CONTAINER}/export", False),
        (f"/v1.41/containers/{A_CONTAINER}/attach/ws", False),
        ("/v1.41/images/json", False),
        ("/elsewhere/_ping", False),
        ("/versions", False),
    ],
)
def test_the_list_that_we_ship_is_anchored(path: str, allowed: bool) -> None:
    assert (shipped_list().fullmatch(path) is not None) is allowed


def test_the_proxy_that_we_ship_is_a_poor_prisoner_itself() -> None:
    text = (ROOT / "docs" / "operating" / "socket-proxy.yml").read_text(encoding="utf-8")
    held = yaml.safe_load(text)["services"]
    proxy, agent = held["socket-proxy"], held["host"]

    assert proxy["cap_drop"] == ["ALL"]
    assert (proxy["read_only"], proxy["network_mode"]) == (True, "none")
    assert proxy["security_opt"] == ["no-new-privileges:true"]
    assert "/dev/null:/var/run/docker.sock:ro" in agent["volumes"]
    assert agent["environment"]["DOCKER_HOST"] == "unix:///run/engine/engine.sock"
    page = (ROOT / "docs" / "operating" / "socket-proxy.md").read_text(encoding="utf-8")
    for asked in (
        "/_ping",
        "/version",
        "/info",
        "/events",
        "/containers/json",
        "/containers/{id}/json",
    ):
        assert f"{asked}`" in page


def test_an_agent_behind_that_list_serves_all_there_is_to_serve(host: Host) -> None:
    container = host.start(restart="always")
    path = Path(f"/tmp/confhub-proxy-{uuid4().hex[:8]}.sock")  # noqa: S108  # a socket's path is short
    with GetOnly(host.engine.address.removeprefix("unix://"), path) as proxy:
        with host.agent(DOCKER_HOST=proxy.address):
            host.publisher.publish({"MAX": 1})
            host.until("confirmed", 1, container)
            container.restart(timeout=1)
            host.publisher.publish({"MAX": 2})
            host.until("confirmed", 2, container)
        assert proxy.asked
        assert proxy.refused == []


# ── rights ────────────────────────────────────────────────────────────────────────────────────────


def confined(host: Host, *rights: str) -> list[str]:
    """How to begin a program that has only these capabilities, no way to more, and a read-only root;
    it may write below the test's own folder."""
    allowed = ",".join(["-all", *(f"+{right}" for right in rights)])
    here = f'mount --bind "{host.folder}" "{host.folder}" && mount -o remount,bind,ro /'
    less = f"exec setpriv --bounding-set {allowed} --inh-caps {allowed} --no-new-privs"
    return ["unshare", "--mount", "sh", "-c", f'{here} && {less} "$@"', "sh"]


def capabilities(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^CapEff:\s+(\w+)$", text, re.MULTILINE)
    assert found is not None
    return int(found[1], 16)


def test_kill_is_all_it_takes_where_it_may_write_the_volume(host: Host) -> None:
    container = host.start(user=str(NOBODY))
    with host.agent(*confined(host, "kill")) as agent:
        host.publisher.publish({"MAX": 1})
        status = host.until("confirmed", 1, container)
        host.publisher.publish({"MAX": 2})
        host.until("confirmed", 2, container)
        held = capabilities(agent.pid)
        mounts = Path(f"/proc/{agent.pid}/mounts").read_text().splitlines()

    assert held == 1 << KILL
    root = [line.split() for line in mounts if line.split()[1] == "/"]
    assert "ro" in root[-1][3].split(",")
    assert status.pid is not None
    assert reads(container)[-1] == 'reloads=2 {"MAX":2}'


def test_without_kill_it_says_so_at_the_instance_and_touches_nothing(host: Host) -> None:
    container = host.start(user=str(NOBODY))
    host.publisher.publish({"MAX": 1})
    with host.agent(*confined(host)) as agent:
        host.until_problem("without CAP_KILL", container)
        assert capabilities(agent.pid) == 0

    assert not (host.files(container) / "current").exists()
    assert reads(container) == ["reloads=0"]


def test_a_volume_that_it_may_not_write_is_named_and_the_others_are_served(host: Host) -> None:
    closed, open_ = host.start(user=str(NOBODY)), host.start(user=str(NOBODY))
    os.chown(host.files(closed), NOBODY, NOBODY)
    host.files(closed).chmod(0o755)
    host.publisher.publish({"MAX": 1})
    with host.agent(*confined(host, "kill")):
        host.until("confirmed", 1, open_)
        status = host.until_problem("Permission denied", closed)
        explained = host.command("agent", "explain", str(closed.name))

    assert status.receipt is not None
    assert status.receipt.stage == "swap"
    assert "swap" in explained.stdout
    assert list(host.files(closed).iterdir()) == []


def test_the_agent_of_the_compose_file_has_the_rights_that_the_page_names() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    agent = compose["services"]["host"]
    page = (ROOT / "docs" / "operating" / "compose.md").read_text(encoding="utf-8")

    assert (agent["cap_drop"], agent["read_only"], agent["pid"]) == (["ALL"], True, "host")
    assert agent["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in agent
    for right in agent["cap_add"]:
        assert f"`{right}`" in page


# ── what it learns, and what it lets itself be told ───────────────────────────────────────────────


def test_the_environment_of_containers_appears_nowhere(host: Host) -> None:
    foreign = host.start(
        without="confhub.service", labels={"confhub.environment": ""}, environment={"A": CANARY}
    )
    ours = host.start(environment={"B": CANARY}, labels={"confhub.files": "json"})
    log = host.folder / "log-of-the-agent"
    with host.agent(log=log, LOG_LEVEL="DEBUG"):
        host.publisher.publish({"MAX": 1})
        host.until("confirmed", 1, ours)
        foreign.restart(timeout=1)
        host.publisher.publish({"MAX": 2})
        host.until("confirmed", 2, ours)
    said = [host.command("agent", word, str(ours.name)).stdout for word in ("explain", "diff")]
    stored = get_prefix(host.publisher.endpoint, host.publisher.keyspace.prefix)
    kept = [path for path in (host.folder / "state").rglob("*") if path.is_file()]

    assert log.stat().st_size > 0
    assert kept
    assert any(id_of(ours) in key for key in stored)
    for text in (log.read_text(), *said, *(path.read_text() for path in kept)):
        assert CANARY not in text
    assert not any(CANARY.encode() in raw for raw in stored.values())


def test_orders_in_a_release_are_data_and_are_not_followed(host: Host) -> None:
    """Whoever writes to etcd, or runs the server, may change values; no command comes from there."""
    container = host.start()
    proof = host.folder / "pwned"
    order = f"exec:/bin/touch {proof}"
    orders = {"reload": order, "check": order, "confirm": order, "files": "json,entry:evil",
              "deliver": "volume:/etc", "process": "exe=sh", "labels": {"confhub.reload": order}}  # fmt: skip
    entries = {
        "MAX": {"value": 1, **orders},
        "confhub.reload": {"value": order},
        "confhub.check": {"value": order},
        "evil": {"value": "x"},
    }
    document = host.publisher.document({}, number=1)
    said = {
        "service": document.service, "environment": "dev", "release": 1, "entries": entries,
        "checksum": checksum(entries), "created_at": document.created_at, **orders,
    }  # fmt: skip
    pointer = {**yaml.safe_load(Pointer(1, checksum(entries), "").to_bytes()), **orders}
    host.publisher.transact(
        {
            host.publisher.keys.release(1): canonical(said),
            host.publisher.keys.current: canonical(pointer),
        }
    )
    served = host.serve()

    served.until("confirmed", 1, instance=id_of(container))

    assert len([line for line in reads(container) if line.startswith("reloads=1")]) == 1
    assert not proof.exists()
    assert "evil" not in {path.name for path in host.files(container).iterdir()}
    assert container.exec_run(["/bin/ls", str(proof)]).exit_code != 0


def test_a_label_cannot_lead_a_write_out_of_the_container_s_own_mounts(host: Host) -> None:
    before = sorted(path.name for path in Path("/etc/cron.d").glob("*"))
    container = host.start(labels={"confhub.deliver": "volume:/etc/cron.d"})
    served = host.serve()
    host.publisher.publish({"MAX": 1})

    host.until_problem("has no volume there", container)

    assert sorted(path.name for path in Path("/etc/cron.d").glob("*")) == before
    assert container.exec_run(["/bin/ls", "/etc/cron.d"]).exit_code != 0
    assert served.status(id_of(container)) is not None


def test_ids_that_belong_to_a_host_begin_with_its_name(host: Host) -> None:
    container = host.start()
    runtime = DockerRuntime(host.engine.address, id_prefix="node-7.")
    try:
        found = {workload.id for workload in runtime.look_once()}
    finally:
        runtime.close()
    assert f"node-7.{id_of(container)}" in found

    with host.agent(CONFHUB_HOST="node-7", CONFHUB_INSTANCE_PREFIX="true"):
        host.publisher.publish({"MAX": 1})
        wait_until(
            lambda: f"node-7.{id_of(container)}" in str(get_prefix(
                host.publisher.endpoint, host.publisher.keys.instances).keys()),
            what="its key begins with the host's name",
        )  # fmt: skip
