"""A podman of the tests' own behind its Docker-compatible API, with the images of tests/parts/images.py.

Storage, state, network and socket stand in one directory; `vfs` needs nothing of the kernel.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount, Ulimit

from tests.parts.docker import DockerEngine
from tests.parts.images import archive
from tests.parts.require import missing
from tests.parts.servers import program, wait_until
from watchers import processes

START_S = 40.0


def why_not() -> str:
    """Why no podman can be started here; "" when one can."""
    if os.geteuid() != 0:
        return "signalling another user's containers takes root"
    if program("podman") is None:
        return "podman is not on PATH (Debian: apt-get install podman)"
    return ""


class PodmanEngine(DockerEngine):
    """One private `podman system service`. Its containers are ended with it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.socket = directory / "podman.sock"
        self.address = f"unix://{self.socket}"
        self._service: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> list[str]:
        return [
            program("podman") or "podman",
            "--root", str(self.directory / "root"), "--runroot", str(self.directory / "run"),
            "--tmpdir", str(self.directory / "tmp"), "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", *words,
        ]  # fmt: skip

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._service = subprocess.Popen(
                self.command("system", "service", "--time=0", self.address), stdout=log, stderr=log
            )
        wait_until(self.answers, what=f"podman at {self.address}; see its log", timeout_s=START_S)

    def answers(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            return bool(self.client.ping())
        except (DockerException, OSError):
            self.close()
            return False

    def pid(self) -> int | None:
        held = self._service
        return held.pid if held is not None and held.poll() is None else None

    def halt(self) -> None:
        """End the service alone: podman's containers go on without it."""
        self.close()
        if self._service is not None:
            self._service.terminate()
            self._service.wait(20)
            self._service = None
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        self.tell("rm", "--all", "--force", "--time", "0")
        self.halt()
        self.tell("system", "reset", "--force")
        shutil.rmtree(self.directory, ignore_errors=True)

    def tell(self, *words: str) -> str:
        """What a podman command says, as the person at the machine would run it; "" where it fails."""
        return subprocess.run(
            self.command(*words), check=False, capture_output=True, text=True, timeout=60
        ).stdout.strip()

    def need(self, image: str) -> None:
        try:
            self.client.images.get(image)
        except ImageNotFound:
            self.tell("import", str(archive(image)), image)

    def run(
        self,
        image: str,
        command: list[str],
        *,
        name: str,
        labels: Mapping[str, str],
        folder: Path | None = None,
        at: str = "/run/confhub",
        network: str = "none",
        restart: str = "no",
        **more: Any,
    ) -> Container:
        self.need(image)
        mounts = [Mount(at, str(folder), type="bind")] if folder is not None else []
        client: Any = self.client
        held: Container = client.containers.run(
            image, command, name=name, labels=dict(labels), mounts=mounts, network_mode=network,
            restart_policy={"Name": restart}, detach=True,
            ulimits=[Ulimit(name=each, soft=1024, hard=1024) for each in ("nofile", "nproc")],
            **more,
        )  # fmt: skip
        return held


def kill_hard(pid: int) -> None:
    """As a crash: from the host, past the engine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: processes.identify(pid) is None, what=f"process {pid} has ended")


@contextlib.contextmanager
def own_engine() -> Iterator[PodmanEngine]:
    """A podman for one test module."""
    if reason := why_not():
        missing("podman", reason)
    # Short, because a socket's path has 107 characters at most.
    engine = PodmanEngine(Path(tempfile.mkdtemp(prefix="confhub-podman-")))
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


__all__ = ["PodmanEngine", "docker", "kill_hard", "own_engine", "why_not"]
