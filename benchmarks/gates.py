"""500 deploy gates and 500 watch streams on one web process, and reading `config` beside doing nothing:
`python -m benchmarks.gates`, and at the end of `make bench`.

The whole system runs as child processes, once on SQLite and once on PostgreSQL. The clients are bare
sockets of this process. Memory is what the web process's resident set grew by. Ordinary requests are
taken in turns from that process and from a second one, at which nobody waits; the rates in turns with
a Django async view and an ASGI application that do nothing, on the same server.
"""

import argparse
import asyncio
import json
import math
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.clients import Client, rate, times
from tests.parts import postgres
from tests.parts.system import TOKEN, System, Web

EACH = 500
SERVICE, ENVIRONMENT = "gated", "dev"
PLACE = f"/api/v1/services/{SERVICE}/environments/{ENVIRONMENT}"
GATE = f"GET {PLACE}/convergence?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
OPEN_FILES = 8192
P95_AIM = 0.20
ORDINARY = 400  # requests of each kind, from either process
ORDINARY_S = 45.0  # at most, because a gate waits for a minute
RATE_TURNS, RATE_S, CONNECTIONS = 5, 2.0, 16


@dataclass(frozen=True)
class Gates:
    """What was found on one database. Times in milliseconds, memory in KiB a client."""

    database: str
    each: int
    gate_kib: float
    stream_kib: float
    gate_ms: dict[str, float]  # p50, p95, max: outcome committed → answered
    stream_ms: dict[str, float]  # release known to be in etcd → its event has come
    threads: tuple[int, int]  # of the web process: idle, and with everybody waiting
    page_p95_ms: tuple[float, float]  # without and with everybody waiting
    read_p95_ms: tuple[float, float]
    rates: dict[str, float]  # requests a second


def measure(database: str, folder: Path, database_url: str | None, each: int = EACH) -> Gates:
    """Needs an environment of its own: the database is chosen before Django is set up."""
    raise_open_files()
    system = System(folder, database_url=database_url)
    system.web = Web("web", folder, _uvicorn(), system.environment)
    idle = Web("idle", folder, _uvicorn(), system.environment)
    system.services.append(idle)  # so that it is stopped with all others
    os.environ.update(system.environment)
    with system:
        import django

        django.setup()
        status, made = system.call("POST", "/services", {"slug": SERVICE})
        assert status == 201, made
        system.publish(SERVICE, ENVIRONMENT, {f"KEY_{at}": f"value {at}" for at in range(50)})
        idle.start()
        run = _Run(system, idle, database, each)
        return asyncio.run(run.measured())


def raise_open_files() -> None:
    """For this process and those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Run:
    """The steps, in order."""

    def __init__(self, system: System, idle: Web, database: str, each: int) -> None:
        self.system, self.idle, self.database, self.each = system, idle, database, each
        self.port = system.web.port
        assert system.web.process is not None
        self.status = Path(f"/proc/{system.web.process.pid}/status")
        self.session = _session()
        self.revision = 10**9  # of statuses that no agent told

    async def measured(self) -> Gates:
        rates = await self._rates()
        await self._ordinary(20)  # the first ones find every cache empty
        idle_threads = self._of_web("Threads")
        before_kib = self._of_web("VmRSS")
        gates = await self._gates()
        gate_kib = (self._of_web("VmRSS") - before_kib) / self.each
        before_kib = self._of_web("VmRSS")
        streams = await self._streams()
        stream_kib = (self._of_web("VmRSS") - before_kib) / self.each
        threads = (idle_threads, self._of_web("Threads"))
        page, read = await self._in_turns(gates)
        gate_ms = await self._outcome(gates)
        stream_ms = await self._event(streams)
        return Gates(
            self.database, self.each, gate_kib, stream_kib, _spread(gate_ms), _spread(stream_ms),
            threads, page, read, rates,
        )  # fmt: skip

    def _of_web(self, name: str) -> int:
        lines = self.status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    async def _gates(self) -> list[Client]:
        """Clients that wait for a release that nobody has confirmed."""
        await asyncio.to_thread(self._tell, "delivered")
        return await self._connected(GATE)

    async def _streams(self) -> list[Client]:
        clients = await self._connected(_get(f"{PLACE}/watch"))
        async with asyncio.timeout(60):
            await asyncio.gather(*(client.holds(b"event: release") for client in clients))
        return clients

    async def _connected(self, request: bytes) -> list[Client]:
        clients = []
        for _ in range(self.each):
            client = await Client.connected(self.port)
            client.send(request)
            clients.append(client)
        # The last one was let in last.
        await self._let_in()
        return clients

    async def _let_in(self) -> None:
        """Return once whatever was asked before is being worked on or waits."""
        for _ in range(3):
            await times([(self.port, _get(f"{PLACE}/instances"))], 5)
            await asyncio.sleep(0.5)

    async def _outcome(self, gates: list[Client]) -> list[float]:
        answers = [asyncio.ensure_future(_decided(client)) for client in gates]
        await asyncio.sleep(0.1)
        committed_at = await asyncio.to_thread(self._tell, "confirmed")
        async with asyncio.timeout(60):
            came = await asyncio.gather(*answers)
        assert all(b'"confirmed"' in client.bytes for client in gates)
        return [(at - committed_at) * 1000 for at in came]

    async def _event(self, streams: list[Client]) -> list[float]:
        """From the moment at which the relay noted the release, on this machine's clock."""
        for client in streams:
            client.bytes = b""
        waiting = [asyncio.ensure_future(client.holds(b"event: release")) for client in streams]
        number = await asyncio.to_thread(
            self.system.publish, SERVICE, ENVIRONMENT, {"KEY_0": "another"}
        )
        async with asyncio.timeout(60):
            came = await asyncio.gather(*waiting)
        _, release = await asyncio.to_thread(
            self.system.call, "GET", f"{PLACE.removeprefix('/api/v1')}/releases/{number}"
        )
        noted = datetime.fromisoformat(release["publication"]["written_at"]).timestamp()
        offset = time.monotonic() - time.time()
        return [(at - offset - noted) * 1000 for at in came]

    async def _in_turns(
        self, gates: list[Client]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """p95 of a page and of a read at the process where nobody waits, and where all do."""
        waiting = [asyncio.create_task(self._waits(client)) for client in gates]
        found = await self._ordinary(ORDINARY)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for client in gates:
            if client.bytes:  # it was between two waits
                client.send(GATE)
        await self._let_in()
        page, idle_page, read, idle_read = (_at(95, ms) for ms in found)
        return (idle_page, page), (idle_read, read)

    async def _waits(self, client: Client) -> None:
        """Ask again whenever a wait is over."""
        while True:
            await client.answer()
            client.send(GATE)

    async def _ordinary(self, rounds: int) -> list[list[float]]:
        page = _get(f"/services/{SERVICE}/{ENVIRONMENT}/", f"Cookie: sessionid={self.session}")
        read = _get(f"{PLACE}/releases")
        ports = (self.port, self.idle.port)
        asked = [(port, call) for call in (page, read) for port in ports]
        return await times(asked, rounds, for_s=ORDINARY_S)

    async def _rates(self) -> dict[str, float]:
        """Requests a second of each, in turns."""
        one = await Client.connected(self.port)
        one.send(_get(f"{PLACE}/config"))
        await one.answer()
        tag = one.bytes.lower().partition(b"etag:")[2].partition(b"\r\n")[0].strip().decode()
        await one.close()
        turns = {
            "config, unchanged": _get(f"{PLACE}/config", f"If-None-Match: {tag}"),
            "Django view that does nothing": _get("/nothing/django"),
            "ASGI application that does nothing": _get("/nothing/asgi"),
        }
        found: dict[str, list[float]] = {name: [] for name in turns}
        order = list(turns)
        for _ in range(RATE_TURNS):
            random.shuffle(order)
            for name in order:
                found[name].append(
                    await rate(self.port, turns[name], connections=CONNECTIONS, for_s=RATE_S)
                )
        return {name: statistics.median(held) for name, held in found.items()}

    def _tell(self, state: str) -> float:
        """What an agent would write, taken by the real action; when it was committed."""
        from django.db import connections, transaction

        from confhub.core import clock
        from confhub.fleet import actions as fleet
        from watchers.wire.status import Receipt, Status

        self.revision += 1
        at, number = clock.stamp(clock.now()), 10**6 if state == "confirmed" else 0
        _, head = self.system.call("GET", f"{PLACE.removeprefix('/api/v1')}/releases?limit=1")
        number = head["items"][0]["release"]
        status = Status(
            id="one", service=SERVICE, environment=ENVIRONMENT, host="bench", runtime="process",
            agent="bench", container={}, pid=7, target=number,
            running=number if state == "confirmed" else None, health="healthy",
            receipt=Receipt(
                release=number, state=state, at=at, reason="", delivered_at=at,  # type: ignore[arg-type]
                applied_at=at, confirmed_at=at if state == "confirmed" else None,
            ),
        )  # fmt: skip
        seen = fleet.Seen(SERVICE, ENVIRONMENT, "one", status.to_bytes(), self.revision)
        committed: list[float] = []
        try:
            with transaction.atomic():
                transaction.on_commit(lambda: committed.append(time.monotonic()))
                fleet.take_statuses([seen], whole=False, now=clock.now())
        finally:
            connections.close_all()
        return committed[0]


async def _decided(gate: Client) -> float:
    """When its answer came; a wait that was over before is begun again."""
    at = await gate.answer()
    while b'"pending"' in gate.bytes:
        gate.send(GATE)
        at = await gate.answer()
    return at


def _session() -> str:
    """The key of a session of admin's, for pages."""
    from django.contrib.auth import get_user_model
    from django.test import Client as Browser

    browser = Browser()
    browser.force_login(get_user_model().objects.get(username="admin"))
    return str(browser.cookies["sessionid"].value)


def _get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if path.startswith("/api"):
        lines.append(f"Authorization: Bearer {TOKEN}")
    return "\r\n".join([*lines, "", ""]).encode()


def _uvicorn() -> list[str]:
    """As the product is started, but with what does nothing beside it."""
    return [
        sys.executable, "-m", "uvicorn", "benchmarks.nothing:app", "--host", "127.0.0.1",
        "--port", "{port}", "--no-access-log", "--timeout-graceful-shutdown", "3",
        "--ws-max-size", "65536", "--log-level", "warning",
    ]  # fmt: skip


def _at(percent: int, ms: list[float]) -> float:
    return sorted(ms)[math.ceil(percent / 100 * len(ms)) - 1]


def _spread(ms: list[float]) -> dict[str, float]:
    return {"p50": _at(50, ms), "p95": _at(95, ms), "max": max(ms)}


def words(held: Gates) -> str:
    """A table and what was aimed at."""
    config = held.rates["config, unchanged"]
    beside = held.rates["Django view that does nothing"]
    lines = [
        f"{held.database}: {held.each} gates and {held.each} streams on one web process",
        "",
        "| what | p50 | p95 | max |",
        "|---|---:|---:|---:|",
        *(
            f"| {name}, ms | {ms['p50']:.0f} | {ms['p95']:.0f} | {ms['max']:.0f} |"
            for name, ms in (
                ("outcome committed → gate answered", held.gate_ms),
                ("release noted as written → event at its client", held.stream_ms),
            )
        ),
        "",
        f"- Memory: {held.gate_kib:.1f} KiB a gate, {held.stream_kib:.1f} KiB a stream.",
        f"- Threads of the web process: {held.threads[0]} idle, {held.threads[1]} with all waiting.",
        _change("A page", held.page_p95_ms),
        _change("A REST read", held.read_p95_ms),
        (
            f"- `config` unchanged: {config:.0f} a second, {config / beside:.2f} times a Django async "
            f"view that does nothing ({beside:.0f}); an ASGI application that does nothing: "
            f"{held.rates['ASGI application that does nothing']:.0f}: {_verdict(config >= beside)}."
        ),
    ]
    return "\n".join(lines)


def _change(what: str, ms: tuple[float, float]) -> str:
    change = ms[1] / ms[0] - 1
    return (
        f"- {what}, p95: {ms[0]:.1f} ms, with all waiting {ms[1]:.1f} ms ({change:+.0%}; the aim is "
        f"at most {P95_AIM:+.0%}: {_verdict(change <= P95_AIM)})."
    )


def _verdict(holds: bool) -> str:
    return "reached" if holds else "**missed**"


def measured(into: Path | None, each: int = EACH) -> str:
    """The sentences of every database there is, each in a process of its own. Writes `gates.json`."""
    found, said = [], []
    for database in ["SQLite", *(["PostgreSQL"] if postgres.is_there() else [])]:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gates", "--on", database, "--each", str(each)],
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        if done.returncode:
            said.append(f"Gates on {database}: not measured: {done.stderr[-600:]}")
            continue
        held: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        found.append(held)
        said.append(words(Gates(**held)))
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
        (into / "gates.json").write_text(json.dumps(found) + "\n")
    return "\n\n".join(said)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument("--into", type=Path, help="where gates.json goes; default: nowhere")
    parser.add_argument("--each", type=int, default=EACH, help="gates, and streams")
    parser.add_argument("--on", choices=["SQLite", "PostgreSQL"], help="one, as JSON")
    asked = parser.parse_args()
    if asked.on is None:
        print(measured(asked.into, asked.each))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="confhub-gates-"))
    database = postgres.PostgresServer(folder / "postgres") if asked.on == "PostgreSQL" else None
    try:
        if database is not None:
            database.start()
        url = database.url if database is not None else None
        print(json.dumps(asdict(measure(asked.on, folder / "system", url, asked.each))))
    finally:
        if database is not None:
            database.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
