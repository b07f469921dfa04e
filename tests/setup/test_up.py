"""`manage.py up` on real parts, from this tree, with data and ports of its own."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.servers import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.xdist_group("up")
READY_S = 90.0


class Up:
    """One `manage.py up`, its output in a file."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.output = directory / f"output-{time.monotonic_ns()}"
        directory.mkdir(exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "ETCD_ENDPOINTS", "DJANGO_SETTINGS_MODULE")
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env={
                    **inherited, "CONFHUB_LOCAL": "true", "CONFHUB_VAR_DIR": str(directory),
                    "COLUMNS": "200", **settings,
                },
            )  # fmt: skip

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def told(self) -> dict[str, Any]:
        held: dict[str, Any] = json.loads((self.directory / "up.json").read_text())
        return held

    def wait_until_ready(self) -> dict[str, Any]:
        """Return var/up.json once it stands there."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.said()
            return (self.directory / "up.json").exists()

        wait_until(is_ready, what=f"ready; so far: {self.said()}", timeout_s=READY_S)
        return self.told()

    def everything(self) -> set[int]:
        """The manager and every process below it, by pid."""
        found, waiting = set(), [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.add(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += [int(word) for word in task.read_text().split()]
        return found

    def stop(self, which: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(which)
        return self.process.wait(40)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(**settings: str) -> Up:
        started.append(Up(tmp_path / "var", **settings))
        return started[-1]

    yield start
    for held in started:
        if held.process.poll() is None:
            held.stop()


def are_gone(pids: set[int]) -> bool:
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            return False
    return True


def test_up_from_nothing_to_a_changed_demo_and_away_again(up: Callable[..., Up]) -> None:
    port = free_port()
    held = up(PORT=str(port))

    told = held.wait_until_ready()

    assert told["url"] == f"http://127.0.0.1:{port}"
    assert set(told["pids"]) == {
        "up", "etcd", "redis", "web", "worker", "host", "beat", "demo",
    }  # fmt: skip
    assert stat.S_IMODE((held.directory / "up.json").stat().st_mode) == 0o600
    said = held.said()
    password = re.search(r"with {2}(\S+) {3}\(printed only this once\)", said)
    token = re.search(r"programs: {2}(\S+) {3}\(printed only this once\)", said)
    assert password is not None, said
    assert token is not None, said
    assert told["url"] in said
    _the_demo_takes_a_change(told, token[1])
    everything = held.everything()

    assert held.stop() == 0

    assert are_gone(everything)
    assert not (held.directory / "up.json").exists()


def _the_demo_takes_a_change(told: dict[str, Any], token: str) -> None:
    """In the same process, which is the third promise of the README's five minutes."""
    before = httpx.get(f"{told['demo']}/config.json").json()
    scope = f"{told['url']}/api/v1/services/demo/environments/dev"
    headers = {"Authorization": f"Bearer {token}"}

    answer = httpx.post(
        f"{scope}/releases",
        headers=headers,
        json={
            "message": "from the test",
            "set": {"GREETING": "Hello from the test", "PASSWORD": {"$secret": "sesame"}},
        },
    )
    assert answer.status_code == 201, answer.text
    converged = httpx.get(f"{scope}/convergence?wait=30", headers=headers, timeout=40).json()

    after = httpx.get(f"{told['demo']}/config.json").json()
    assert converged["state"] == "confirmed", converged
    assert after["values"]["GREETING"] == "Hello from the test"
    assert after["values"]["PASSWORD"] == "sesame", "the demo has the key to its secrets"
    assert (after["pid"], after["started_at"]) == (before["pid"], before["started_at"])
    assert after["release"] == before["release"] + 1


def test_a_second_start_keeps_the_data_and_shows_no_secret(
    up: Callable[..., Up], record_property: Callable[[str, object], None]
) -> None:
    first = up(PORT=str(free_port()), DEMO="0", CONFHUB_ADMIN_TOKEN="t" * 43)
    told = first.wait_until_ready()
    headers = {"Authorization": f"Bearer {'t' * 43}"}
    made = httpx.post(f"{told['url']}/api/v1/services", headers=headers, json={"slug": "checkout"})
    assert made.status_code == 201, made.text
    first.stop(signal.SIGTERM)

    began = time.monotonic()
    second = up(PORT=str(free_port()), DEMO="0")
    told = second.wait_until_ready()
    record_property("second_start_s", round(time.monotonic() - began, 1))

    kept = httpx.get(f"{told['url']}/api/v1/services/checkout", headers=headers)
    assert kept.status_code == 200, kept.text
    assert "demo" not in told["pids"]
    assert "printed only this once" not in second.said()
    assert "t" * 43 not in second.said()


def test_a_second_one_beside_the_first_says_where_it_runs(up: Callable[..., Up]) -> None:
    first = up(PORT=str(free_port()), DEMO="0")
    told = first.wait_until_ready()

    second = up(PORT=str(free_port()), DEMO="0")

    assert second.process.wait(30) == 1
    assert f"runs from this folder already at {told['url']}" in second.said()
    assert f"kill {told['pids']['up']}" in second.said()
    assert httpx.get(f"{told['url']}/healthz").status_code == 200


def test_what_is_killed_comes_back_and_a_killed_manager_leaves_nothing(
    up: Callable[..., Up],
) -> None:
    held = up(PORT=str(free_port()), DEMO="0")
    told = held.wait_until_ready()

    os.kill(told["pids"]["web"], signal.SIGKILL)
    wait_until(
        lambda: held.told()["pids"]["web"] != told["pids"]["web"], what="web has another pid"
    )
    everything = held.everything()
    held.process.kill()
    held.process.wait()

    wait_until(lambda: are_gone(everything), what="the kernel ended the orphans", timeout_s=30)


def test_a_taken_port_is_named_and_nothing_is_started(up: Callable[..., Up]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        held = up(PORT=str(port))

        assert held.process.wait(30) == 1
    assert f"Port {port} is taken" in held.said()
    assert f"make up PORT={port + 1}" in held.said()
    assert not (held.directory / "log").exists()


def taken(port: int) -> socket.socket:
    """Something that listens at `port`, once whoever does now has gone: another test, say."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def binds() -> bool:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        probe.listen()
        return True

    wait_until(binds, what=f"port {port} is free to be taken", timeout_s=90)
    return probe


def test_taken_ports_of_etcd_and_redis_are_passed_over(up: Callable[..., Up]) -> None:
    """Whatever listens at 2379 and 6379 already, be it ours or a stranger, stays as it is."""
    listening = [taken(port) for port in (2379, 6379)]
    held = up(PORT=str(free_port()), DEMO="0")

    told = held.wait_until_ready()

    assert told["etcd"] != "127.0.0.1:2379"
    assert told["redis"] != "redis://127.0.0.1:6379/0"
    for probe in listening:
        probe.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"PORT": "eighty"}, "PORT='eighty': write a whole number"),
        ({"DEMO": "perhaps"}, "DEMO='perhaps': write true or false"),
        ({"CONFHUB_LOCAL": "false", "SECRET_KEY": "k" * 50}, "`up` is for a machine of one's own"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    up: Callable[..., Up], settings: dict[str, str], sentence: str
) -> None:
    held = up(**{"PORT": str(free_port()), **settings})

    assert held.process.wait(30) == 1
    assert sentence in held.said()
    assert "Traceback" not in held.said()
