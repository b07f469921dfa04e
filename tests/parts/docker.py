"""A Docker engine of the tests' own, and small images made from Debian's packages and busybox.

Nothing is pulled: the images are made with debootstrap from the mirror that apt uses here, and kept
as archives in CONFHUB_TEST_CACHE (~/.cache/confhub). The engine has its own socket, data and pid
file, touches no firewall and makes no bridge, so containers run with `none` or `host` networking.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount

from tests.parts.require import missing
from tests.parts.servers import program, wait_until
from watchers import processes

NGINX, BUSYBOX = "confhub-test/nginx:1", "confhub-test/busybox:1"
START_S = 40.0
BUILD_S = 300.0

# Reads its file on HUP and says so; ends on TERM. `wait` is what a signal interrupts, not `sleep`.
HANDLER = """#!/bin/sh
n=0
show() { echo "reloads=$n $(cat /run/confhub/config.json 2>/dev/null | tr -d '\\n ')"; }
trap 'n=$((n+1)); show' HUP
trap 'exit 0' TERM
show
while :; do sleep 3600 & wait $!; kill $! 2>/dev/null; done
"""


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
            archive = _archive(image)
            name, _, tag = image.partition(":")
            self.client.api.import_image_from_file(str(archive), repository=name, tag=tag)

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
    ) -> Container:
        """Start a container with `folder` of this machine mounted at `at`."""
        self.need(image)
        mounts = [Mount(at, str(folder), type="bind")] if folder is not None else []
        client: Any = self.client  # its types want a literal for each word
        held: Container = client.containers.run(
            image, command, name=name, labels=dict(labels), mounts=mounts, network_mode=network,
            restart_policy={"Name": restart}, detach=True,
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


# ── images ────────────────────────────────────────────────────────────────────────────────────────


def cache() -> Path:
    told = os.environ.get("CONFHUB_TEST_CACHE")
    return Path(told) if told else Path.home() / ".cache" / "confhub"


def _archive(image: str) -> Path:
    """The image's root file system as a tar, made once for this machine."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{image.partition('/')[2].replace(':', '-')}.tar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists() or image == BUSYBOX:
            with tempfile.TemporaryDirectory(prefix="confhub-image-") as work:
                root = Path(work) / "root"
                (_bootstrap_nginx if image == NGINX else _busybox)(root)
                half = kept.with_suffix(".half")
                with tarfile.open(half, "w") as made:
                    made.add(root, arcname=".", filter=_wanted)
                half.replace(kept)
    return kept


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what a container never reads: two thirds of the bytes."""
    unread = ("./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/locale",
              "./usr/share/man", "./dev", "./proc", "./sys")  # fmt: skip
    return None if member.name.startswith(tuple(f"{name}/" for name in unread)) else member


def _busybox(root: Path) -> None:
    found = program("busybox")
    if found is None:
        missing(
            "docker", "busybox is not there to make an image of (apt-get install busybox-static)"
        )
    for name in ("bin", "tmp", "run", "proc", "sys", "dev", "etc"):
        (root / name).mkdir(parents=True)
    shutil.copy(found, root / "bin" / "busybox")
    names = subprocess.run([found, "--list"], capture_output=True, text=True, check=True).stdout
    for name in names.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "bin" / "handler").write_text(HANDLER)
    (root / "bin" / "handler").chmod(0o755)


def _bootstrap_nginx(root: Path) -> None:
    tool = _sbin("debootstrap")
    if tool is None:
        missing("docker", "debootstrap is not there to make an image with")
    suite, mirror = _debian()
    log = root.parent / "log"
    with log.open("wb") as out:
        made = subprocess.run(
            [tool, "--variant=minbase", "--include=nginx-light", suite, str(root), mirror],
            stdout=out, stderr=out, timeout=BUILD_S, check=False,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )  # fmt: skip
    if made.returncode != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        missing("docker", f"debootstrap from {mirror} failed: {''.join(last)}")


def _debian() -> tuple[str, str]:
    """(codename, mirror) that apt uses on this machine."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(SITE)",
         "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = [line.split("|") for line in told.splitlines()]
    main = [
        (codename, site)
        for origin, codename, component, site in found
        if origin == "Debian" and component == "main" and "-" not in codename
    ]
    if not main:
        missing("docker", "apt names no Debian mirror to make an image from (apt-get update)")
    return main[0]


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
    mine = users / str(os.getpid())
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
