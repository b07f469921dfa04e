"""The manager of `make up`: starts again what ended, stops everything that it started, nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from confhub.cli.supervisor import Program, Supervisor
from tests.parts.servers import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENT = "import time; print('up', flush=True); time.sleep(600)"
# A child in a session of its own, which ignores SIGTERM, as a badly written service would leave it.
WITH_GRANDCHILD = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"],
    start_new_session=True,
)
print(child.pid, flush=True)
time.sleep(600)
"""
# A manager of its own process, because it is killed in the test.
MANAGER = """
import sys, time
from pathlib import Path
from confhub.cli.supervisor import Program, Supervisor
import os
held = Supervisor(directory=Path.cwd(), logs=Path(sys.argv[1]), say=print)
held.start([Program("one", [sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ))])
print(held.pids["one"], flush=True)
time.sleep(600)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    held = Supervisor(directory=tmp_path, logs=tmp_path / "log", say=said.append)
    yield held
    held.stop(hurried=lambda: True)


def program(name: str, code: str, *, is_store: bool = False) -> Program:
    return Program(name, [sys.executable, "-c", code], dict(os.environ), is_store)


def is_running(pid: int) -> bool:
    """True for a live process; a zombie has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_what_ended_starts_again(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start([program("one", PATIENT)])
    first = supervisor.pids["one"]

    os.kill(first, signal.SIGKILL)
    wait_until(supervisor.look, what="the program starts again")

    assert supervisor.pids["one"] != first
    assert len(said) == 1
    assert said[0].startswith("one ended (by SIGKILL); it starts again in ")


def test_each_quick_end_makes_the_next_start_later(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start([program("one", "raise SystemExit(3)")])

    deadline = time.monotonic() + 20
    while len(said) < 2 and time.monotonic() < deadline:
        supervisor.look()
        time.sleep(0.02)

    assert "exit 3" in said[0]
    assert supervisor.running["one"].ended_quickly == 2


def test_stores_stop_after_the_programs_that_use_them(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    writes_its_end = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n"
        f"    with open({str(tmp_path / 'order')!r}, 'a') as f: f.write(sys.argv[1] + ' ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    programs = [
        Program(name, [sys.executable, "-c", writes_its_end, name], dict(os.environ), is_store)
        for name, is_store in (("store", True), ("app", False))
    ]
    supervisor.start(programs)
    for name in ("store", "app"):
        log = tmp_path / "log" / f"{name}.log"
        wait_until(lambda log=log: b"up" in log.read_bytes(), what=f"{name} is up")  # type: ignore[misc]

    supervisor.stop(hurried=lambda: False)

    assert (tmp_path / "order").read_text().split() == ["app", "store"]


def test_a_grandchild_in_a_session_of_its_own_is_stopped_too(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start([program("one", WITH_GRANDCHILD)])
    log = tmp_path / "log" / "one.log"
    wait_until(lambda: log.read_bytes().endswith(b"\n"), what="the grandchild's pid")
    grandchild = int(log.read_text())

    supervisor.stop(hurried=lambda: False)

    assert not is_running(grandchild)


def test_a_process_of_somebody_else_is_left_alone(supervisor: Supervisor) -> None:
    """Also where it is our child, as every orphan below an adopting manager becomes."""
    says_its_pid = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    stranger = subprocess.Popen(
        ["setsid", "--fork", sys.executable, "-c", says_its_pid],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stranger.stdout is not None
    stranger_pid = int(stranger.stdout.readline())
    stranger.wait()
    supervisor.start([program("one", PATIENT)])
    mine = supervisor.pids["one"]

    supervisor.stop(hurried=lambda: False)

    assert not is_running(mine)
    assert is_running(stranger_pid)
    os.kill(stranger_pid, signal.SIGKILL)
    stranger.stdout.close()


def test_a_killed_manager_leaves_nothing_behind(tmp_path: Path) -> None:
    manager = subprocess.Popen(
        [sys.executable, "-c", MANAGER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert manager.stdout is not None
    program_pid = int(manager.stdout.readline())
    assert is_running(program_pid)

    manager.kill()
    manager.wait()
    manager.stdout.close()

    wait_until(lambda: not is_running(program_pid), what="the kernel ends the orphan")
