"""What a user would do today: a watcher with a command, and signals through the engine."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EngineKill(http.client.HTTPConnection):
    """`POST /containers/NAME/kill?signal=HUP` on one kept connection: the least of every such tool."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = address.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)

    def hup(self, container: str) -> None:
        self.request("POST", f"/containers/{container}/kill?signal=HUP")
        answer = self.getresponse()
        answer.read()
        if answer.status != 204:
            raise RuntimeError(f"the engine answered {answer.status} to a kill")


@contextmanager
def etcdctl_with_docker_kill(
    endpoint: str, key: str, engine: str, container: str
) -> Iterator[None]:
    """`etcdctl watch KEY -- docker kill -s HUP CONTAINER`."""
    command = ["etcdctl", f"--endpoints={endpoint}", "watch", key, "--",
               "docker", "-H", engine, "kill", "-s", "HUP", container]  # fmt: skip
    with _running(command, {"ETCDCTL_API": "3"}):
        yield


@contextmanager
def confd_with_docker_kill(
    binary: str, endpoint: str, key: str, engine: str, container: str
) -> Iterator[None]:
    """`confd -watch` with a template of one key and `docker kill` as its reload command."""
    with tempfile.TemporaryDirectory(prefix="confd-") as name:
        home = Path(name)
        (home / "conf.d").mkdir()
        (home / "templates").mkdir()
        (home / "templates" / "value.tmpl").write_text(f'{{{{getv "{key}"}}}}\n')
        (home / "conf.d" / "value.toml").write_text(
            f'[template]\nsrc = "value.tmpl"\ndest = "{home}/value"\nkeys = ["{key}"]\n'
            f'reload_cmd = "docker -H {engine} kill -s HUP {container}"\n'
        )
        command = [binary, "-watch", "-backend", "etcdv3", "-node", f"http://{endpoint}",
                   "-confdir", str(home), "-log-level", "error"]  # fmt: skip
        with _running(command, {}):
            yield


def confd_binary() -> str | None:
    """The binary that CONFD names, else `confd` on PATH."""
    return os.environ.get("CONFD") or shutil.which("confd")


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
