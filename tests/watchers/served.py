"""One real process served by a real agent, in this process or in one that may be killed."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.parts import etcdctl
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from watchers import moments, processes
from watchers.agent import Agent
from watchers.etcd import Etcd
from watchers.labels import read_wishes
from watchers.runtimes.base import Workload
from watchers.runtimes.process import ProcessRuntime
from watchers.wire.keyspace import Keyspace
from watchers.wire.status import Status

ROOT = Path(__file__).resolve().parents[2]
SOAK_S = 0.2


class Process:
    """A workload process of the test's own; see tests/parts/workload.py."""

    def __init__(self, folder: Path, *, deaf: bool = False) -> None:
        self.directory, self.log = folder / "files", folder / "log"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._deaf = {"DEAF": "1"} if deaf else {}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        before = len(self.lines())
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.parts.workload", str(self.directory), str(self.log)],
            cwd=ROOT, env={**os.environ, **self._deaf},
        )  # fmt: skip
        wait_until(lambda: len(self.lines()) > before, what="the workload has read its files")
        return started

    def restart(self) -> None:
        self.stop()
        self.process = self._start()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def lines(self) -> list[dict[str, Any]]:
        """What it has read, oldest first."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def reloads(self, release: int) -> int:
        """How often it read `release` because of a HUP."""
        return sum(line["release"] == release and line["why"] == "HUP" for line in self.lines())


def runtime_for(
    process_id: int,
    directory: Path,
    *,
    reload: str = "signal:HUP",
    files: str = "json,env",
    instance: str = "one",
    soak_s: float = SOAK_S,
    labels: dict[str, str] | None = None,
    service: str = "shop",
    environment: str = "dev",
) -> ProcessRuntime:
    """A runtime with one process that somebody else started."""
    problems: list[str] = []
    asked = {"reload": reload, "files": files, **(labels or {})}
    wishes = read_wishes(asked, problems)
    assert wishes is not None, problems
    runtime = ProcessRuntime(
        Workload(
            id=instance, service=service, environment=environment, runtime="process",
            wishes=replace(wishes, soak_s=soak_s, directory=str(directory)), state="stopped",
            container={"name": "workload"},
        ),
        directory,
    )  # fmt: skip
    identity = processes.identify(process_id)
    if identity is not None:
        runtime.started(identity, generation="", started_at=moments.stamp())
    return runtime


class Served:
    """An agent in a thread of this process, with runtimes that the test chose."""

    def __init__(
        self,
        endpoint: str,
        keyspace: Keyspace,
        state: Path,
        *runtimes: Any,
        service: str = "shop",
    ) -> None:
        self._endpoint, self._keys = endpoint, keyspace.scope(service, "dev")
        self.etcd = Etcd([endpoint])
        self.agent = Agent(self.etcd, keyspace, runtimes, state, "here")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.agent.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self.etcd.close()
        assert not self._thread.is_alive(), "the agent does not end"

    def status(self, instance: str = "one") -> Status | None:
        return status_of(self._endpoint, self._keys.instance(instance))

    def instances(self) -> set[str]:
        """The ids that have a status."""
        prefix = self._keys.instances
        return {key.removeprefix(prefix) for key in etcdctl.get_prefix(self._endpoint, prefix)}

    def until(
        self, state: str, release: int, *, instance: str = "one", timeout_s: float = 20
    ) -> Status:
        """The status, once its receipt says `state` of `release`."""
        return until(self._endpoint, self._keys.instance(instance), state, release, timeout_s)


def status_of(endpoint: str, key: str) -> Status | None:
    raw = etcdctl.get(endpoint, key)
    return Status.from_bytes(raw) if raw else None


def until(endpoint: str, key: str, state: str, release: int, timeout_s: float = 20) -> Status:
    seen: list[Status] = []

    def holds() -> bool:
        status = status_of(endpoint, key)
        seen[:] = [status] if status else []
        receipt = status.receipt if status else None
        return receipt is not None and (receipt.state, receipt.release) == (state, release)

    try:
        wait_until(holds, what=f"release {release} is {state}", timeout_s=timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}; the instance says {seen}") from None
    return seen[0]


__all__ = ["ROOT", "Process", "Publisher", "Served", "runtime_for", "until"]
