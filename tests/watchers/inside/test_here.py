"""Commands beside a process of this machine, and everything else that `confhub run` asks there."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.servers import wait_until
from tests.watchers.served import ROOT
from watchers import processes
from watchers.inside import OUTPUT_BYTES, CannotRun
from watchers.processes import ProcessId
from watchers.runtimes import commands
from watchers.runtimes.entering.program import MAX_PROCESSES
from watchers.runtimes.here import Here

PATH = os.environ["PATH"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ProcessId]:
    """A process with a child, in a directory of its own."""
    script = "sleep 621 & sleep 622 & wait"
    held = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, process_group=0)
    identity = processes.identify(held.pid)
    assert identity is not None
    yield identity
    os.killpg(held.pid, signal.SIGKILL)
    held.wait()


@pytest.fixture
def here(process: ProcessId) -> Here:
    return Here(process, {"PATH": PATH, "SHOP": "a b"})


def running(*commands: str) -> list[str]:
    """Those of the command lines that run somewhere on this machine."""
    found = set()
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                words = (one / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            except OSError:
                continue
            found.add(" ".join(os.fsdecode(word) for word in words))
    return [command for command in commands if command in found]


def test_what_runs_is_seen_by_this_test(process: ProcessId) -> None:
    wait_until(lambda: running("sleep 621", "sleep 620") == ["sleep 621"], what="it is seen")


def test_it_has_the_processes_environment_and_directory(here: Here, tmp_path: Path) -> None:
    outcome = here.run(["sh", "-c", "pwd; echo $SHOP; env | wc -l; ulimit -c; cat"], stdin=b"given")
    cwd, shop, variables, core, given = outcome.output.split("\n")
    assert (cwd, shop, core, given) == (str(tmp_path), "a b", "0", "given")
    assert int(variables) <= 6, "nothing of ours beside PATH, SHOP and what a shell adds"


def test_a_program_that_is_not_there_is_named(here: Here) -> None:
    with pytest.raises(CannotRun, match="nope: there is no such program"):
        here.run(["nope"])


@pytest.mark.parametrize(
    ("script", "code"),
    [("sleep 631", 143), ("trap '' TERM; while :; do sleep 632; done", 137), ("yes 633", 143)],
    ids=["ends on TERM", "ignores TERM", "endless output"],
)
def test_a_command_ends_when_its_time_is_over(here: Here, script: str, code: int) -> None:
    outcome = here.run(["sh", "-c", script], timeout_s=0.5)
    assert (outcome.timed_out, outcome.passed, outcome.code) == (True, False, code)
    assert len(outcome.output) <= OUTPUT_BYTES
    # Each its own number, because tests run side by side.
    assert running(*re.findall(r"(?:sleep|yes) \d+", script)) == []


def test_nothing_is_left_of_a_command_that_has_ended(here: Here) -> None:
    script = "(setsid sleep 636 &); (setsid sh -c 'trap \"\" TERM HUP; sleep 637' &); echo done"
    assert here.run(["sh", "-c", script]).output == "done\n"
    assert running("sleep 636", "sleep 637") == []


def test_a_command_that_begins_ever_more_processes_is_ended_whole(here: Here) -> None:
    # Bounded here, where no container's limit holds it: 2^9 leaves, each in a session of its own.
    script = "f(){ [ $1 -gt 8 ] && exec setsid sleep 634; f $(($1+1)) & f $(($1+1)) & wait; }; f 0"
    outcome = here.run(["bash", "-c", script], timeout_s=60)
    assert (outcome.passed, outcome.timed_out) == (False, False)
    assert f"more than {MAX_PROCESSES} processes" in outcome.output
    assert running("sleep 634") == []


REAPING = """
import os, threading, time
from watchers.run.reaping import reap_orphans, take_in_orphans
from watchers.runtimes import commands

take_in_orphans()
codes, reaped, stop = [], 0, threading.Event()

def owned(pid):
    global reaped
    ours = commands.owns(pid)
    reaped += not ours
    return ours

def validate():
    for _ in range(15):
        codes.append(commands.run(["sh", "-c", "exit 7"], timeout_s=30,
                                  environment={"PATH": os.environ["PATH"]}).code)

threads = [threading.Thread(target=validate) for _ in range(2)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    os.posix_spawn("/bin/true", ["true"], {})
    reap_orphans(owned)
    time.sleep(0.002)
print(sorted(set(codes)), len(codes), reaped > 30)
"""


def test_exit_codes_are_right_though_a_first_process_reaps_orphans() -> None:
    """Whoever reaps what ends must leave those alone that a thread waits for."""
    made = subprocess.run(
        [sys.executable, "-c", REAPING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (made.stdout, made.stderr) == ("[7] 30 True\n", "")


def test_a_child_is_owned_until_it_was_waited_for() -> None:
    with commands.owned(["sleep", "635"]) as child:
        assert commands.owns(child.pid)
    assert not commands.owns(child.pid)
    assert child.returncode == -signal.SIGKILL


def test_its_processes_are_it_and_what_it_began(here: Here, process: ProcessId) -> None:
    wait_until(lambda: len(here.processes()) == 3, what="its children run")
    first, *rest = here.processes()
    assert first.process == process
    assert {one.argv for one in rest} == {("sleep", "621"), ("sleep", "622")}
    assert Here(None, {}).processes() == []


def test_files_ports_and_sockets_are_those_of_this_machine(here: Here, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text")
    assert here.read(str(tmp_path / "x")) == b"text"
    with pytest.raises(OSError, match="larger"):
        here.read(str(tmp_path / "x"), max_bytes=3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here.connect(listener.getsockname()[1], timeout_s=5).close()
    here_socket = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here_socket))
        listener.listen()
        here.connect_unix(str(here_socket), timeout_s=5).close()


def test_it_restarts_by_whoever_supervises_it(process: ProcessId) -> None:
    asked: list[str] = []
    Here(process, {}, restart=lambda: asked.append("now")).restart()
    assert asked == ["now"]
    alone = Here(process, {})
    assert "confhub run" in alone.no_restart()
    with pytest.raises(CannotRun, match="confhub run"):
        alone.restart()
    with pytest.raises(CannotRun, match="No engine"):
        alone.engine_kill(signal.SIGHUP)
