"""Fixtures: containers of the tests' own engine, and their surroundings as the agent finds them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.errors import DockerException
from docker.models.containers import Container

from tests.parts import docker
from tests.parts.docker import BUSYBOX, DockerEngine
from watchers.processes import ProcessId
from watchers.runtimes import inhabitants
from watchers.runtimes.container import ContainerInside, detail_of
from watchers.runtimes.mounts import Mount

DIRECTORY = "/run/confhub"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with docker.shared_engine(docker.run_directory(tmp_path_factory)) as held:
        yield held


Start = Callable[..., Container]


@pytest.fixture
def start(engine: DockerEngine) -> Iterator[Start]:
    """`start(["/bin/handler"], user="7:8")` is a running container; more as docker's `run` has it."""
    begun: list[Container] = []

    def begin(command: list[str] | None = None, **more: Any) -> Container:
        engine.need(BUSYBOX)
        chosen = {"network_mode": "none", "init": False, **more}
        held: Container = engine.client.containers.run(
            BUSYBOX, command or ["/bin/handler"], name=f"t{uuid4().hex[:8]}", detach=True, **chosen
        )
        begun.append(held)
        return held

    yield begin
    for held in begun:
        with contextlib.suppress(DockerException):
            held.remove(force=True)


def inside(engine: DockerEngine, container: Container, *, allows: str = "", address: str = "") -> ContainerInside:  # fmt: skip
    """What the agent's runtime would make of it; `allows` as CONFHUB_ENGINE_ALLOWS."""
    held = engine.client.api.inspect_container(container.id)
    pid = int(held["State"]["Pid"])
    first: ProcessId | None = inhabitants.first_process(pid, str(container.id)) if pid else None
    mounts = tuple(Mount(one["Destination"], one["Source"]) for one in held["Mounts"])
    detail = detail_of(str(container.id), str(container.name), held, mounts, first)
    allowed = frozenset(word for word in allows.split(",") if word)
    return ContainerInside(address or engine.address, detail, DIRECTORY, allowed)


@pytest.fixture
def generations(tmp_path: Path) -> Path:
    """A delivered directory in which `current` leads to gen-1 and gen-2 is written."""
    folder = tmp_path / "files"
    for number in (1, 2):
        (folder / f"gen-{number}").mkdir(parents=True)
        (folder / f"gen-{number}" / "x").write_text(f"of {number}")
    (folder / "current").symlink_to("gen-1")
    (folder / "x").symlink_to("current/x")
    return folder
