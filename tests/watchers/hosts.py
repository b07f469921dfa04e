"""A host of the tests: an engine, agents that serve it, containers with the ordinary labels."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from docker.errors import DockerException
from docker.models.containers import Container

from tests.parts.docker import BUSYBOX, DockerEngine
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.served import ROOT, Served, status_of, until
from watchers.runtimes.docker import DockerRuntime
from watchers.wire.status import Status

LABELS = {
    "confhub.service": "shop",
    "confhub.environment": "dev",
    "confhub.deliver": "volume:/run/confhub",
    "confhub.files": "json,env",
    "confhub.reload": "signal:HUP",
    "confhub.soak": "200ms",
}


class Host:
    """An engine, an agent that serves it, and the containers of one test."""

    def __init__(self, engine: DockerEngine, publisher: Publisher, folder: Path) -> None:
        self.engine, self.publisher, self.folder = engine, publisher, folder
        self.begun: list[Container] = []
        self.agents: list[Served] = []

    def start(self, image: str = BUSYBOX, command: list[str] | None = None, *,
              labels: dict[str, str] | None = None, without: str = "", **more: Any) -> Container:  # fmt: skip
        """A container with the ordinary labels, `labels` over them, one left out."""
        name = f"t{uuid4().hex[:8]}"
        volume = self.folder / name
        volume.mkdir()
        chosen = {**LABELS, "confhub.service": self.publisher.service, **(labels or {})}
        chosen.pop(without, None)
        held = self.engine.run(
            image, command or ["/bin/handler"], name=name, labels=chosen, folder=volume, **more
        )
        self.begun.append(held)
        return held

    def files(self, container: Container) -> Path:
        return self.folder / str(container.name)

    def serve(self, address: str = "") -> Served:
        held = Served(self.publisher.endpoint, self.publisher.keyspace, self.folder / "state",
                      DockerRuntime(address or self.engine.address),
                      service=self.publisher.service)  # fmt: skip
        self.agents.append(held)
        return held

    def environment(self, **more: str) -> dict[str, str]:
        """What a `confhub` process of this host is told."""
        return {
            **os.environ,
            "ETCD_ENDPOINTS": self.publisher.endpoint,
            "ETCD_PREFIX": self.publisher.keyspace.prefix,
            "CONFHUB_STATE_DIR": str(self.folder / "state"),
            "CONFHUB_HOST": "here",
            "DOCKER_HOST": self.engine.address,
            **more,
        }

    def command(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`confhub WORDS`, as it ended; `more` are variables of its environment."""
        return subprocess.run(
            [sys.executable, "-m", "watchers.cli", *words], cwd=ROOT, check=False,
            env=self.environment(**more), capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    @contextlib.contextmanager
    def agent(
        self, *before: str, log: Path | None = None, **more: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A `confhub agent` process, begun by the command `before` if there is one."""
        with (log or self.folder / "agent.log").open("ab") as out:
            held = subprocess.Popen(
                [*before, sys.executable, "-m", "watchers.cli", "agent"], cwd=ROOT,
                env=self.environment(**more), stdout=out, stderr=out,
            )  # fmt: skip
        try:
            yield held
        finally:
            held.terminate()
            held.wait(30)

    def until(
        self, state: str, release: int, container: Container, timeout_s: float = 30
    ) -> Status:
        """As Served.until, whoever serves it."""
        key = self.publisher.keys.instance(id_of(container))
        return until(self.publisher.endpoint, key, state, release, timeout_s)

    def until_problem(self, words: str, container: Container) -> Status:
        """The status, once one of its problems holds `words`."""
        key = self.publisher.keys.instance(id_of(container))
        found: list[Any] = []

        def holds() -> bool:
            found[:] = [status_of(self.publisher.endpoint, key)]
            return found[0] is not None and any(words in one for one in found[0].problems)

        wait_until(holds, what=f"the problem {words!r}; it says {found}")
        return found[0]

    def close(self) -> None:
        for agent in self.agents:
            agent.stop()
        for container in self.begun:
            with contextlib.suppress(DockerException):
                container.remove(force=True)


def id_of(container: Container) -> str:
    return str(container.id)[:12]


def reads(container: Container) -> list[str]:
    """What the handler has said, oldest first: "reloads=1 {"MAX":1}"."""
    return [line.strip() for line in container.logs().decode().splitlines() if line.strip()]
