"""Everything that is measured, standing: ConfHub on PostgreSQL, workloads, floors, and peers on an engine."""

import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from docker.types import Mount

from benchmarks import peers
from benchmarks.bare import BareRows
from benchmarks.clocked import TIGHT, Bell, Tight, TooSlow
from benchmarks.variants import (
    ENVIRONMENT,
    SERVICE,
    FloorAgent,
    Floors,
    Handled,
    Peer,
    PutToEvent,
    RawPut,
    Variant,
    WholeWay,
    values,
)
from tests.parts.docker import NGINX, DockerEngine, why_not
from tests.parts.postgres import PostgresServer
from tests.parts.publisher import Publisher
from tests.parts.servers import Server, wait_until
from tests.parts.system import HOST, Part, System

OWN = "/bench"  # the prefix of what the harness itself publishes
BOXED, FED = "boxed", "fed"  # services in containers: through ConfHub, and from the harness


class Bare(Part):
    """The bare application under uvicorn."""

    def answers(self) -> bool:
        return super().answers() and Server.answers(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class World:
    """What stands, and the variants in the order in which they take turns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.often: list[Variant] = []
        self.seldom: list[Variant] = []  # the peers, which take ten times as long
        self.absent: list[str] = []  # what is not measured here, and why
        self.stack = ExitStack()

    @property
    def variants(self) -> list[Variant]:
        return [*self.often, *self.seldom]

    def bell(self, name: str) -> Bell:
        return Bell(self.folder / "bells" / name / "bell")


@contextmanager
def standing(folder: Path) -> Iterator[tuple[World, System, WholeWay]]:
    """Bring it all up, and down again at the end."""
    world = World(folder)
    with world.stack as stack:
        database = PostgresServer(folder / "postgres")
        stack.callback(database.stop)
        database.start()
        system = stack.enter_context(System(folder / "system", database_url=database.url))
        system.call("POST", "/services", {"slug": SERVICE})
        system.publish(SERVICE, ENVIRONMENT, values())
        bell = world.bell("whole")
        system.run(SERVICE, ENVIRONMENT, "perl", "-e", TIGHT, str(bell.path), soak="0ms")
        bell.wait(b"r")
        whole = WholeWay(system, bell)
        bare = _bare(world, system)
        world.often += [
            whole,
            Floors(bare.url, BareRows(database.url)),
            PutToEvent(system.etcd.endpoint),
        ]
        _add_handled(world, system)
        _add_engine(world, system)
        yield world, system, whole


def _bare(world: World, system: System) -> Bare:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--host", "127.0.0.1",
               "--port", "{port}", "--no-access-log", "--log-level", "warning"]  # fmt: skip
    bare = Bare("bare", world.folder, command, system.environment)
    world.stack.callback(bare.stop)
    bare.start()
    return bare


def _add_handled(world: World, system: System) -> None:
    """The floor agent, and a process under `confhub run`, both fed by the harness."""
    publisher = Publisher(system.etcd.endpoint, OWN, SERVICE, ENVIRONMENT)
    publisher.epoch(secrets.token_hex(8))
    floor_bell = world.bell("floor")
    tight = world.stack.enter_context(Tight(floor_bell))
    floor = FloorAgent(
        system.etcd.endpoint, publisher, floor_bell, world.folder / "floor", tight.process.pid
    )
    world.stack.callback(floor.process.wait)
    world.stack.callback(floor.process.kill)
    publisher.publish(values())  # type: ignore[arg-type]  # text values are JSON
    bell = world.bell("run")
    system.run(
        SERVICE, ENVIRONMENT, "perl", "-e", TIGHT, str(bell.path), name="handled", soak="0ms",
        settings={"ETCD_PREFIX": OWN},
    )  # fmt: skip
    bell.wait(b"r")
    note = "signal handled; process under `confhub run`"
    world.often += [floor, Handled("process", note, publisher, bell)]


def _add_engine(world: World, system: System) -> None:
    """A container served by the agent, the engine's own kill, and the peers."""
    reason = why_not()
    if reason:
        world.absent.append(f"everything with a container: {reason}")
        return
    engine = DockerEngine(world.folder / "e")
    world.stack.callback(engine.stop)
    engine.start()
    _add_served(world, system, engine)
    endpoint, put = system.etcd.endpoint, RawPut(system.etcd.endpoint)

    kill = peers.EngineKill(engine.address)
    bell = _container(world, engine, "engine")
    note = "request to the engine → signal handled; the least of every tool that signals so"
    world.seldom.append(Peer("engine kill alone", note, lambda: kill.hup("engine"), bell))

    _add_etcdctl(world, engine, endpoint, put)
    _add_confd(world, engine, endpoint, put)


def _add_etcdctl(world: World, engine: DockerEngine, endpoint: str, put: RawPut) -> None:
    if shutil.which("etcdctl") is None or shutil.which("docker") is None:
        world.absent.append("etcdctl watch: no etcdctl or no docker command on PATH")
        return
    key = "/bench-peers/etcdctl"
    bell = _container(world, engine, "etcdctl")
    world.stack.enter_context(
        peers.etcdctl_with_docker_kill(endpoint, key, engine.address, "etcdctl")
    )
    note = "its etcd put → signal handled; `etcdctl watch` with `docker kill`"
    world.seldom.append(
        Peer("etcdctl watch", note, lambda: put.put(key, secrets.token_bytes(20)), bell)
    )


def _add_confd(world: World, engine: DockerEngine, endpoint: str, put: RawPut) -> None:
    binary = peers.confd_binary()
    if binary is None:
        world.absent.append("confd: no binary on PATH, and CONFD names none")
        return
    confd_key = "/bench-peers/confd"
    put.put(confd_key, b"first")
    bell = _container(world, engine, "confd")
    world.stack.enter_context(
        peers.confd_with_docker_kill(binary, endpoint, confd_key, engine.address, "confd")
    )
    note = "its etcd put → signal handled; `confd -watch` with `docker kill`"
    world.seldom.append(
        Peer("confd -watch", note, lambda: put.put(confd_key, secrets.token_hex(8).encode()), bell)
    )


def _add_served(world: World, system: System, engine: DockerEngine) -> None:
    """Two containers of one agent: one is published to by ConfHub, the other by the harness."""
    system.call("POST", "/services", {"slug": BOXED})
    system.publish(BOXED, ENVIRONMENT, values())
    publisher = Publisher(system.etcd.endpoint, system.prefix, FED, ENVIRONMENT)
    publisher.publish(values())  # type: ignore[arg-type]  # text values are JSON
    bells = {name: _labelled(world, engine, name) for name in (BOXED, FED)}
    agent = Part(
        "agent", world.folder, [sys.executable, "-m", "watchers.cli", "agent"],
        {**system.environment, "DOCKER_HOST": engine.address, "CONFHUB_HOST": HOST,
         "CONFHUB_STATE_DIR": str(world.folder / "agent-state")},
    )  # fmt: skip
    world.stack.callback(agent.stop)
    agent.start()
    for name in bells:
        first = world.folder / "delivered" / name / "current"
        wait_until(first.exists, what=f"the first delivery to {name}", timeout_s=30)
    note = "signal handled; container served by the host's agent"
    world.often += [
        Handled("container", note, publisher, bells[FED]),
        WholeWay(system, bells[BOXED], service=BOXED, runtime="container"),
    ]


def _labelled(world: World, engine: DockerEngine, service: str) -> Bell:
    delivered = world.folder / "delivered" / service
    delivered.mkdir(parents=True)
    labels = {
        "confhub.service": service, "confhub.environment": ENVIRONMENT, "confhub.files": "json,env",
        "confhub.reload": "signal:HUP", "confhub.soak": "0ms",
    }  # fmt: skip
    return _container(world, engine, service, labels=labels, delivered=delivered)


def _container(
    world: World, engine: DockerEngine, name: str, *, labels: dict[str, str] | None = None,
    delivered: Path | None = None,
) -> Bell:  # fmt: skip
    """A container with the tight workload; its bell is mounted into it."""
    bell = world.bell(name)
    engine.need(NGINX)
    mounts = [Mount("/bells", str(bell.path.parent), type="bind")]
    if delivered is not None:
        mounts.append(Mount("/run/confhub", str(delivered), type="bind"))
    engine.client.containers.run(
        NGINX, ["perl", "-e", TIGHT, "/bells/bell"], name=name, labels=labels or {}, mounts=mounts,
        network_mode="none", detach=True,
    )  # fmt: skip
    bell.wait(b"r")
    return bell


def warm_up(variants: list[Variant], rounds: int) -> None:
    """Rounds that do not count: connections, caches, first starts."""
    for number in range(rounds):
        for variant in variants:
            try:
                variant.once()
            except TooSlow:
                if number == rounds - 1:
                    raise
    for variant in variants:
        for figure in variant.figures:
            figure.ms.clear()
