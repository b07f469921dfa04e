"""How `confhub run` ends: with its process's exit code, at whatever moment it is asked to."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.run.conftest import PYTHON, Begin, command_line, environment_for
from tests.watchers.served import ROOT


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 0"], 0),
        (["sh", "-c", "exit 1"], 1),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -9 $$"], 128 + 9),
        (["sh", "-c", "kill -15 $$"], 128 + 15),
        (["no-such-program-here"], 127),
        (["/etc/passwd"], 126),
    ],
    ids=["0", "1", "3", "KILL", "TERM", "absent", "not a program"],
)
def test_it_exits_as_its_process_does(
    publisher: Publisher, begin: Begin, command: list[str], code: int
) -> None:
    publisher.publish({"MAX": 5})

    assert begin(publisher, [], command).ended()[0] == code


def test_a_process_that_ignores_term_is_killed_after_its_grace(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish({"MAX": 5})
    running = begin(
        publisher, ["--stop-grace", "300ms"], ["sh", "-c", "trap '' TERM; exec sleep 60"]
    )
    running.until("confirmed", 1)

    assert running.stop()[0] == 128 + 9
    assert running.status() is None, "gone at once"


def test_every_signal_that_is_a_programs_own_is_passed_on(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    publisher.publish({"MAX": 5})
    log = tmp_path / "signals"
    script = (
        "import signal, sys\n"
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        "def take(number, _):\n"
        "    log.write(f'{number}\\n')\n"
        "    if number == signal.SIGTERM: sys.exit(9)\n"
        "for number in (1, 2, 3, 10, 12, 14, 15, 18, 28, 37): signal.signal(number, take)\n"
        "log.write('up\\n')\n"
        "while True: signal.pause()"
    )
    running = begin(publisher, [], [PYTHON, "-c", script])
    wait_until(log.exists, what="the process is up")
    wait_until(lambda: "up" in log.read_text(), what="the process is up")

    for number in (1, 2, 3, 10, 12, 14, 18, 28, 37):
        running.send(number)
        wait_until(lambda n=number: f"\n{n}\n" in log.read_text(), what=f"{number} arrived")  # type: ignore[misc]
    running.send(15)

    assert running.ended()[0] == 9


def test_a_stop_while_a_check_runs_waits_for_nobody(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    mark = tmp_path / "checking"
    publisher.publish({"MAX": 5})
    check = f"exec:sh -c 'test {{release}} = 1 || {{ : > {mark}; sleep 25; }}'"
    running = begin(publisher, ["--check", check], ["sleep", "60"])
    running.until("confirmed", 1)
    publisher.publish({"MAX": 6})
    wait_until(mark.exists, what="the check runs")

    code, _, _ = running.stop()

    assert code == 128 + 15
    receipt = running.receipt()
    assert receipt is None or receipt.release == 1


def test_a_terminal_is_the_processs_own_and_its_ctrl_c_reaches_it_once(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish({"MAX": 5})
    script = (
        "import os, signal, sys, time\n"
        "count = []\n"
        "signal.signal(2, lambda *_: count.append(1))\n"
        "print('tty', *(os.isatty(n) for n in range(3)), os.tcgetpgrp(0) == os.getpgrp(), flush=True)\n"
        "print('read', sys.stdin.readline().strip(), flush=True)\n"
        "while not count: time.sleep(0.01)\n"
        "time.sleep(0.3); print('times', len(count), flush=True); sys.exit(4)"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        line = command_line([], [PYTHON, "-c", script])
        os.execve(
            PYTHON, line, {**environment_for(publisher, tmp_path / "s"), "LOG_LEVEL": "ERROR"}
        )

    shown = ""

    def shows(word: str) -> None:
        nonlocal shown
        while word not in shown:
            shown += os.read(terminal, 4096).decode()

    shows("tty True True True True")
    os.write(terminal, b"hello\n")
    shows("read hello")
    os.write(terminal, b"\x03")
    shows("times 1")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    os.close(terminal)


def test_its_standard_streams_are_handed_on_as_they_are(publisher: Publisher, begin: Begin) -> None:
    publisher.publish({"MAX": 5})
    running = begin(
        publisher, [], ["sh", "-c", "read word; echo out $word; echo err $word >&2"],
        stdin=subprocess.PIPE,
    )  # fmt: skip

    out, err = running.process.communicate("hello\n", timeout=60)

    assert out == "out hello\n"
    assert "err hello\n" in err


def test_what_nohup_has_ignored_stays_ignored(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    publisher.publish({"MAX": 5})
    below = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    running = begin(publisher, [], ["sleep", "60"], below=below)
    status = running.until("confirmed", 1)
    assert status.pid is not None

    running.send(signal.SIGHUP)
    os.kill(status.pid, signal.SIGHUP)

    assert running.process.poll() is None
    assert running.stop()[0] == 128 + 15


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace of its own takes root")
def test_as_process_1_it_takes_in_orphans_and_keeps_the_exit_code(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish({"MAX": 5})
    # The inner shell leaves a child behind each time, which then belongs to process 1.
    script = (
        "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 0.1 >/dev/null 2>&1 &'; done; sleep 1;"
        "ps=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '); echo zombies $ps; exit 7"
    )
    running = begin(
        publisher, [], ["sh", "-c", script], below=["unshare", "--pid", "--fork", "--mount-proc"]
    )

    code, out, err = running.ended()

    assert (code, out) == (7, "zombies 0\n"), err


def test_without_being_process_1_orphans_are_taken_in_as_well(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    publisher.publish({"MAX": 5})
    found = tmp_path / "found"
    script = f"sh -c 'sleep 60 >/dev/null 2>&1 & echo $! > {found}'; exec sleep 60 >/dev/null 2>&1"
    running = begin(publisher, [], ["sh", "-c", script])
    running.until("confirmed", 1)
    orphan = int(found.read_text())

    assert _parent(orphan) == running.process.pid
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{orphan}").exists(), what="it was reaped")
    assert running.stop()[0] == 128 + 15


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace of its own takes root")
def test_a_thousand_failed_commands_are_all_seen_to_fail_among_orphans() -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", PYTHON, "-m", "tests.watchers.run.reaper"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=150, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)

    assert found["codes"] == {"7": found["commands"]}
    assert found["reaped"] > 0, "there were orphans to reap among them"
    assert found["commands"] == 1000
