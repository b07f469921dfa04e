"""A Docker engine of the tests' own, with the images of tests/parts/images.py.

It has its own socket, data and pid file, touches no firewall and makes no bridge, so containers run
with `none` or `host` networking.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount

from tests.parts.images import BUSYBOX, NGINX, SERVICES, archive
from tests.parts.require import missing
from tests.parts.servers import program, wait_until
from watchers import processes

START_S = 40.0


def why_not() -> str:
    """Why no engine can be started here; "" when one can."""
    if os.geteuid() != 0:
        return "starting an engine and signalling its containers takes root"
    absent = [name for name in ("dockerd", "containerd", "runc") if _sbin(name) is None]
    if absent:
        return f"{', '.join(absent)} not on PATH (Debian: apt-get install docker.io)"
    return ""


def _sbin(name: str) -> str | None:
    return program(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


class DockerEngine:
    """One private dockerd. Its containers are ended with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = f"unix://{directory}/docker.sock"
        self._pid_file = directory / "docker.pid"
        self._client: docker.DockerClient | None = None

    @property
    def client(self) -> docker.DockerClient:
        """A client that may do everything, for the test. The agent under test has its own."""
        if self._client is None:
            self._client = docker.DockerClient(base_url=self.address, timeout=60)
        return self._client

    def close(self) -> None:
        """Close this process's client."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def start(self) -> None:
        """Start it, with the data that is there. Fails the test when it does not answer."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [
            _sbin("dockerd") or "dockerd", "--host", self.address,
            "--data-root", str(self.directory / "data"),
            "--exec-root", str(self.directory / "exec"), "--pidfile", str(self._pid_file),
            "--iptables=false", "--ip6tables=false", "--bridge=none",
            "--shutdown-timeout", "2", "--log-level", "warn",
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            # No Popen: the test process that began it may end before the one that stops it.
            os.posix_spawn(
                command[0], command,
                {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
                file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                              (os.POSIX_SPAWN_DUP2, log.fileno(), 2)],
                setsid=True,
            )  # fmt: skip
        wait_until(self.answers, what=f"dockerd at {self.address}; see its log", timeout_s=START_S)

    def answers(self) -> bool:
        if not _listens(self.directory / "docker.sock"):
            return False  # asked first, because the client leaks its socket when nobody listens
        try:
            with socket.socket(socket.AF_UNIX) as knock:  # the client leaks one where nobody is
                knock.connect(self.address.removeprefix("unix://"))
            return bool(self.client.ping())
        except (DockerException, OSError):
            self.close()
            return False

    def pid(self) -> int | None:
        """The daemon's process, None when it does not run."""
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if _is_alive(pid) else None

    def halt(self) -> None:
        """As `systemctl stop docker`: its containers end, and those with a policy come with `start`."""
        self.close()
        self._end()

    def stop(self) -> None:
        """End the containers, then the daemon, and remove what it kept."""
        with contextlib.suppress(DockerException, OSError):
            for container in self.client.containers.list(all=True):
                container.remove(force=True)
        self.close()
        self._end()
        _unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self) -> None:
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not _is_alive(pid), what="dockerd ends", timeout_s=START_S)

    # ── images ────────────────────────────────────────────────────────────────────────────────

    def need(self, image: str) -> None:
        """Have `image` in the engine, made here where it is not yet."""
        try:
            self.client.images.get(image)
        except ImageNotFound:
            name, _, tag = image.partition(":")
            self.client.api.import_image_from_file(str(archive(image)), repository=name, tag=tag)

    # ── containers ────────────────────────────────────────────────────────────────────────────

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
        """Start a container with `folder` of this machine mounted at `at`.

        `more` goes to the engine's client as it is: environment, user, tmpfs, volumes, ….
        """
        self.need(image)
        mounts = [Mount(at, str(folder), type="bind")] if folder is not None else []
        client: Any = self.client  # its types want a literal for each word
        held: Container = client.containers.run(
            image, command, name=name, labels=dict(labels), mounts=mounts, network_mode=network,
            restart_policy={"Name": restart}, detach=True, **more,
        )  # fmt: skip
        return held


def _listens(path: Path) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(str(path)) == 0


def _is_alive(pid: int) -> bool:
    """False once it has ended, whichever test process began it and has yet to take it in."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return processes.identify(pid) is not None


def _unmount_below(directory: Path) -> None:
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        point = line.split()[1]
        if point.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)


# ── one engine for all test processes ─────────────────────────────────────────────────────────────


@contextlib.contextmanager
def shared_engine(run: Path) -> Iterator[DockerEngine]:
    """The engine of this test run; `run` is a directory that all its processes share.

    The first to come starts it, the last to go stops it.
    """
    reason = why_not()
    if reason:
        missing("docker", reason)
    users = run / "docker-users"
    users.mkdir(exist_ok=True)
    mine = users / uuid4().hex  # one process may hold it twice, for a module and for the session
    with _locked(run):
        where = run / "docker-engine"
        if not where.exists():
            # Short, because a socket's path has 107 characters at most.
            where.write_text(tempfile.mkdtemp(prefix="confhub-docker-"))
        engine = DockerEngine(Path(where.read_text()))
        if engine.pid() is None:
            try:
                engine.start()
            except AssertionError as error:
                missing("docker", str(error))
        mine.touch()
    try:
        yield engine
    finally:
        engine.close()
        with _locked(run):
            mine.unlink()
            if not any(users.iterdir()):
                engine.stop()
                where.unlink()


@contextlib.contextmanager
def _locked(run: Path) -> Iterator[None]:
    with (run / "docker-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_directory(factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of this test run have in common, with xdist and without."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def started_at(container: Container) -> tuple[str, int, int]:
    """(State.StartedAt, process id, RestartCount): equal before and after means no restart."""
    container.reload()
    state = container.attrs["State"]
    return state["StartedAt"], state["Pid"], container.attrs["RestartCount"]


def wait_running(container: Container, *, other_than: int = 0, timeout_s: float = 20.0) -> int:
    """The process id of the container, once it runs as another process than `other_than`."""
    deadline = time.monotonic() + timeout_s
    while True:
        pid = started_at(container)[1]
        if pid not in (0, other_than) and container.status == "running":
            return pid
        if time.monotonic() > deadline:
            raise AssertionError(f"{container.name} did not come back: {container.attrs['State']}")
        time.sleep(0.05)


__all__ = ["BUSYBOX", "NGINX", "SERVICES", "DockerEngine", "run_directory", "shared_engine"]
