"""etcd and Redis as child processes: started, killed, frozen, wiped; never one that we did not start."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

START_S = 40.0  # two cores may start a browser, an engine and three members at once
PORTS = range(12_000, 32_000)  # below the ephemeral range, or a client's own port may be the one
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody listens at, and that this process has not given away before."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        if port in _given:
            continue
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def program(name: str) -> str | None:
    """`name` on PATH, else beside the Python that runs us (the PyPI wheels put it there)."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def wait_until(holds: Callable[[], bool], *, what: str, timeout_s: float = START_S) -> None:
    """Return once `holds()`; fail with `what` when it does not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(0.02)


def _all_stopped(tasks: Path) -> bool:
    """True once every thread below /proc/…/task is in the state T, which proc(5) calls stopped."""
    try:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()
        ]
    except FileNotFoundError:
        return False  # a thread ended in between: look again
    return all(state == "T" for state in states)


class Server:
    """One child process that listens on one loopback port."""

    name = "server"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, on the same port and data as before, and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.directory
            )
        wait_until(self._came_up, what=f"{self.name} on port {self.port}")

    def _came_up(self) -> bool:
        """True once it answers. AssertionError with the end of its log where it ended instead."""
        code = self.process.poll() if self.process is not None else None
        if code is not None:
            said = (self.directory / "log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{self.name} on port {self.port} ended with {code}: {said}")
        return self.answers()

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)
            self.process = None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def freeze(self) -> None:
        """Stop it where it stands; returns once each of its threads has stopped."""
        self._signal(signal.SIGSTOP)
        if self.process is not None:
            tasks = Path(f"/proc/{self.process.pid}/task")
            wait_until(lambda: _all_stopped(tasks), what=f"{self.name} is frozen", timeout_s=5)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it and remove its data; `start` brings an empty one back on the same port."""
        self.kill()
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def _signal(self, which: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(which)


class EtcdServer(Server):
    """One etcd member; `arguments` go behind the usual ones (`--quota-backend-bytes=…`)."""

    name = "etcd"

    def __init__(self, directory: Path, *, arguments: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self.peer_port = free_port()
        self.arguments = list(arguments)
        self.member = "test"
        self.members: dict[str, int] = {self.member: self.peer_port}  # {name: peer port}

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer_port}"
        return [
            program("etcd") or "etcd", "--name", self.member,
            "--data-dir", str(self.directory / "data"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", self.initial_cluster, "--logger", "zap", "--log-level", "error",
            "--heartbeat-interval", "10", "--election-timeout", "100", *self.arguments,
        ]  # fmt: skip

    @property
    def initial_cluster(self) -> str:
        return ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in self.members.items())

    def answers(self) -> bool:
        """True once it has a leader and takes writes, not only connections."""
        from tests.parts.etcdctl import health  # a second client than the one under test

        return super().answers() and health(self.endpoint)

    def save_snapshot(self, file: Path) -> None:
        self.ctl("snapshot", "save", str(file))

    def restore(self, file: Path) -> None:
        """Kill it and put a saved snapshot in place of its data, as an operator in a hurry would."""
        self.wipe()
        self.ctl(
            "snapshot", "restore", str(file), "--data-dir", str(self.directory / "data"),
            "--name", self.member, "--initial-cluster", self.initial_cluster,
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.peer_port}",
        )  # fmt: skip

    def ctl(self, *arguments: str) -> None:
        """Run etcdctl against this server; CalledProcessError where it refuses."""
        subprocess.run(
            [program("etcdctl") or "etcdctl", f"--endpoints={self.endpoint}", *arguments],
            env={**os.environ, "ETCDCTL_API": "3"}, check=True, capture_output=True, timeout=START_S,
        )  # fmt: skip


class EtcdCluster:
    """Three members of one etcd, each of which a test may kill or freeze."""

    def __init__(self, directory: Path) -> None:
        self.servers = [EtcdServer(directory / str(number)) for number in range(3)]
        for number, server in enumerate(self.servers):
            server.member = f"member{number}"
        members = {server.member: server.peer_port for server in self.servers}
        for server in self.servers:
            server.members = members
            # Three members on two cores are late now and then, which is no reason for an election.
            server.arguments = ["--heartbeat-interval", "50", "--election-timeout", "500"]

    @property
    def endpoints(self) -> list[str]:
        return [server.endpoint for server in self.servers]

    def start(self) -> None:
        """Start all, and return once each answers; none can before there are two."""
        self._together(self.servers)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def restart(self, *servers: EtcdServer) -> None:
        self._together(servers)

    def _together(self, servers: Sequence[EtcdServer]) -> None:
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(EtcdServer.start, servers))


class RedisServer(Server):
    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        return [
            program("redis-server") or "redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.directory / "data"), "--appendonly", "yes", "--save", "",
            "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
