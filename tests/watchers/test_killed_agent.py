"""The agent killed with -9 at every border: no reload lost, none repeated, never a mixed file."""

import json
import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.conftest import OwnPublisher
from tests.watchers.launcher import BORDERS
from tests.watchers.served import ROOT, Process, until

pytestmark = pytest.mark.faults
# Between the signal and its being written down lies one system call. Killed there, nobody can know
# whether it was sent, so it is sent again; the process then reads the same files once more.
RUNS = math.ceil(100 / (len(BORDERS) - 1))  # a hundred runs over all borders
AT_LEAST_ONCE = "after the signal, before it was kept"


class Agents:
    """Agents one after the other, with the same state, for one process."""

    def __init__(self, publisher: Publisher, process: Process, folder: Path) -> None:
        self.publisher, self.process, self.state = publisher, process, folder / "state"
        self.running: subprocess.Popen[bytes] | None = None

    def start(self, border: str = "none") -> subprocess.Popen[bytes]:
        self.running = subprocess.Popen(
            [sys.executable, "-m", "tests.watchers.launcher", self.publisher.endpoint,
             self.publisher.keyspace.prefix, str(self.state), str(self.process.directory),
             str(self.process.process.pid), border],
            cwd=ROOT,
        )  # fmt: skip
        return self.running

    def end(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()
            self.running.wait(20)

    def confirmed(self, release: int) -> None:
        until(
            self.publisher.endpoint, self.publisher.keys.instance("one"), "confirmed", release, 30
        )


@pytest.fixture
def agents(publisher: Publisher, process: Process, tmp_path: Path) -> Agents:
    return Agents(publisher, process, tmp_path)


def shows_one_release(process: Process) -> int:
    """The release that the files show, once it is known that all of them are of it."""
    generation = (process.directory / "current").resolve(strict=True)
    release = int((generation / "release").read_text())
    assert json.loads((generation / "config.json").read_text()) == {"MAX": release}
    assert (generation / "config.env").read_text() == f"MAX='{release}'\n"
    return release


@pytest.mark.parametrize("border", [border for border in BORDERS if border != "none"])
def test_killed_at_a_border_it_finishes_with_one_reload(
    agents: Agents, publisher: Publisher, process: Process, border: str
) -> None:
    publisher.publish({"MAX": 1})
    agents.start()
    agents.confirmed(1)
    agents.end()

    for release in range(2, 2 + RUNS):
        publisher.publish({"MAX": release})
        killed = agents.start(border)
        assert killed.wait(30) == -signal.SIGKILL
        assert shows_one_release(process) in (release - 1, release)
        agents.start()
        agents.confirmed(release)
        agents.end()

        assert shows_one_release(process) == release
        allowed = (1, 2) if border == AT_LEAST_ONCE else (1,)
        assert process.reloads(release) in allowed
        assert process.lines()[-1]["release"] == release
    assert process.process.poll() is None


def test_killed_at_any_moment_it_comes_to_the_last_release(
    agents: Agents, publisher: Publisher, process: Process
) -> None:
    publisher.publish({"MAX": 1})
    chance = random.Random(20261124)  # noqa: S311  # the same moments each time
    for number in range(2, 8):
        running = agents.start()
        wait_until(lambda: agents.state.joinpath("lock").exists(), what="the agent has begun")
        publisher.publish({"MAX": number})
        time.sleep(chance.uniform(0.0, 1.2))
        running.kill()
        running.wait(10)
        if (process.directory / "current").exists():
            shows_one_release(process)
    agents.start()
    agents.confirmed(7)
    agents.end()

    read = [line["release"] for line in process.lines()]
    assert read == sorted(read), "never an older release after a newer one"
    assert read[-1] == shows_one_release(process) == 7
    assert all(process.reloads(release) <= 1 for release in range(1, 8))


def test_what_was_begun_is_finished_from_disk_while_etcd_is_away(
    own_publisher: OwnPublisher, process: Process, tmp_path: Path
) -> None:
    agents = Agents(own_publisher, process, tmp_path)
    own_publisher.publish({"MAX": 1})
    agents.start()
    agents.confirmed(1)
    agents.end()
    own_publisher.publish({"MAX": 2})
    assert agents.start("after the swap").wait(30) == -signal.SIGKILL
    assert process.reloads(2) == 0

    own_publisher.server.kill()
    agents.start()
    wait_until(lambda: process.reloads(2) == 1, what="the reload that was pending")
    agents.end()


def test_restarting_the_agent_signals_nobody(
    agents: Agents, publisher: Publisher, process: Process
) -> None:
    publisher.publish({"MAX": 1})
    for _ in range(5):
        agents.start()
        agents.confirmed(1)
        agents.end()

    assert process.reloads(1) == 1
