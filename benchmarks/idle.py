"""What an agent costs that has nothing to do: `python -m benchmarks.idle`, and at the end of `make bench`.

A real `confhub agent` process serves busybox containers on an engine of its own; once all are
confirmed it is left alone, and its memory and its processor time are read from /proc.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from docker.models.containers import Container

from tests.parts.docker import BUSYBOX, DockerEngine, why_not
from tests.parts.etcdctl import get_prefix
from tests.parts.publisher import Publisher
from tests.parts.servers import EtcdServer, wait_until
from watchers.wire.status import Status

CONTAINERS, SERVICES, OVER_S = 50, 5, 20.0
SETTLE_S = 3.0
LIMIT_MIB, LIMIT_PERCENT = 60.0, 0.1


@dataclass(frozen=True)
class Idle:
    """What was read of the process."""

    containers: int
    threads: int
    rss_mib: float  # all pages that it has mapped and that are in memory
    pss_mib: float  # those shared with others counted in part
    uss_mib: float  # those that nobody else has
    cpu_percent: float  # of one processor
    over_s: float


def measure(
    engine: DockerEngine, endpoint: str, folder: Path, *, containers: int = CONTAINERS,
    services: int = SERVICES, over_s: float = OVER_S,
) -> Idle:  # fmt: skip
    """Start everything, wait for the confirmations, measure, and take it away again."""
    scopes = [Publisher(endpoint, "/idle", f"service-{number}") for number in range(services)]
    for scope in scopes:
        scope.publish({"MAX": 1, "NAME": scope.service})
    with _containers(engine, folder, scopes, containers), _agent(engine, endpoint, folder) as agent:
        wait_until(
            lambda: _confirmed(scopes) == containers, what="all are confirmed", timeout_s=120
        )
        time.sleep(SETTLE_S)
        began, before_s = time.monotonic(), _used_s(agent.pid)
        time.sleep(over_s)
        took_s, used_s = time.monotonic() - began, _used_s(agent.pid) - before_s
        return _read(agent.pid, containers, 100 * used_s / took_s, took_s)


@contextlib.contextmanager
def _containers(
    engine: DockerEngine, folder: Path, scopes: Sequence[Publisher], count: int
) -> Iterator[None]:
    engine.need(BUSYBOX)

    def begin(number: int) -> Container:
        volume = folder / f"volume-{number}"
        volume.mkdir(parents=True)
        labels = {
            "confhub.service": scopes[number % len(scopes)].service,
            "confhub.environment": "dev",
            "confhub.reload": "signal:HUP",
            "confhub.soak": "200ms",
        }
        return engine.run(
            BUSYBOX, ["/bin/handler"], name=f"idle-{number}", labels=labels, folder=volume
        )

    with ThreadPoolExecutor(2) as pool:
        begun = list(pool.map(begin, range(count)))
    try:
        yield
    finally:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: one.remove(force=True), begun))


@contextlib.contextmanager
def _agent(engine: DockerEngine, endpoint: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    told = {
        "ETCD_ENDPOINTS": endpoint, "ETCD_PREFIX": "/idle", "DOCKER_HOST": engine.address,
        "CONFHUB_STATE_DIR": str(folder / "state"), "CONFHUB_HOST": "bench",
        "CONFHUB_AGENT_HEALTH": "0",
    }  # fmt: skip
    program = Path(sys.executable).with_name("confhub")
    with (folder / "agent.log").open("wb") as log:
        held = subprocess.Popen(
            [str(program), "agent"], env={**os.environ, **told}, stdout=log, stderr=log
        )
    try:
        yield held
    finally:
        held.terminate()
        held.wait(30)


def _confirmed(scopes: Sequence[Publisher]) -> int:
    statuses = [
        Status.from_bytes(raw)
        for scope in scopes
        for raw in get_prefix(scope.endpoint, scope.keys.instances).values()
    ]
    return sum(one.receipt is not None and one.receipt.state == "confirmed" for one in statuses)


def _used_s(pid: int) -> float:
    """Processor time of all its threads so far; /proc/<pid>/stat has it in ticks, which is too coarse."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _read(pid: int, containers: int, cpu_percent: float, over_s: float) -> Idle:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return Idle(
        containers=containers,
        threads=sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()),
        rss_mib=kib["Rss"] / 1024,
        pss_mib=kib["Pss"] / 1024,
        uss_mib=(kib["Private_Clean"] + kib["Private_Dirty"]) / 1024,
        cpu_percent=cpu_percent,
        over_s=over_s,
    )


def words(idle: Idle) -> str:
    return (
        f"An idle agent of {idle.containers} containers: {idle.rss_mib:.1f} MiB resident "
        f"(proportional {idle.pss_mib:.1f}, its own {idle.uss_mib:.1f}; the aim is {LIMIT_MIB:g}), "
        f"{idle.cpu_percent:.2f} % of one processor over {idle.over_s:.0f} s (the aim is "
        f"{LIMIT_PERCENT:g}), {idle.threads} threads."
    )


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[tuple[DockerEngine, EtcdServer]]:
    """An engine and an etcd of its own."""
    engine, etcd = DockerEngine(folder / "e"), EtcdServer(folder / "etcd")
    etcd.start()
    try:
        engine.start()
        yield engine, etcd
    finally:
        engine.stop()
        etcd.stop()


def measured(into: Path | None, *, containers: int = CONTAINERS, over_s: float = OVER_S) -> str:
    """The sentence; "" where no engine can be started. Writes `idle.json` into `into`."""
    if reason := why_not():
        return f"An idle agent is not measured here: {reason}."
    # Short, because a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="confhub-idle-"))
    try:
        with standing(folder) as (engine, etcd):
            idle = measure(
                engine, etcd.endpoint, folder / "work", containers=containers, over_s=over_s
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
        (into / "idle.json").write_text(json.dumps(asdict(idle)) + "\n")
    return words(idle)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--containers", type=int, default=CONTAINERS)
    parser.add_argument("--over-s", type=float, default=OVER_S)
    parser.add_argument("--into", type=Path, help="where idle.json goes; default: nowhere")
    asked = parser.parse_args()
    print(measured(asked.into, containers=asked.containers, over_s=asked.over_s))
    return 0


if __name__ == "__main__":
    sys.exit(main())
