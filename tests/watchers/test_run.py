"""`confhub run`, as its users start it: one process, its files, its environment, its exit code."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import free_port, wait_until
from tests.watchers.conftest import OwnPublisher
from tests.watchers.served import ROOT, status_of, until

PYTHON = sys.executable
Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """`begin(publisher, [options], [command])` starts it; whatever still runs is ended."""
    begun: list[subprocess.Popen[str]] = []

    def start(
        publisher: Publisher, options: list[str], command: list[str]
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [PYTHON, "-m", "watchers.cli", "run", "--service", "shop", "--environment", "dev",
             "--instance", "one", "--soak", "200ms", *options, "--", *command],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "ETCD_ENDPOINTS": publisher.endpoint,
                 "ETCD_PREFIX": publisher.keyspace.prefix,
                 "CONFHUB_STATE_DIR": str(tmp_path / "state"), "CONFHUB_HOST": "here"},
        )  # fmt: skip
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=40)
    return process.returncode, out, err


def test_a_process_has_its_files_and_its_environment_from_the_start(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish(
        {"MAX": 5, "db.url": "postgres://x", "PATH": "/evil", "LD_PRELOAD": "/evil.so"}
    )
    script = (
        "import json, os; d = os.environ['CONFHUB_DIR']; print(json.dumps([os.environ['MAX'], "
        "os.environ['DB_URL'], os.environ['CONFHUB_RELEASE'], 'evil' in os.environ['PATH'], "
        "'LD_PRELOAD' in os.environ, json.load(open(d + '/config.json'))['MAX'], sorted(os.listdir(d))]))"
    )

    code, out, err = ended(begin(publisher, [], [PYTHON, "-c", script]))

    assert code == 0, err
    found = json.loads(out)
    assert found[:6] == ["5", "postgres://x", "1", False, False, 5]
    assert {"config.json", "config.env", "current", "release"} <= set(found[6])
    assert "reserved" in err


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 0"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 128 + 9),
        (["sh", "-c", "kill -15 $$"], 128 + 15),
        (["no-such-program-here"], 127),
        (["/etc/passwd"], 126),
    ],
    ids=["0", "7", "KILL", "TERM", "absent", "not a program"],
)
def test_it_exits_as_its_process_does(
    publisher: Publisher, begin: Begin, command: list[str], code: int
) -> None:
    publisher.publish({"MAX": 5})

    assert ended(begin(publisher, [], command))[0] == code


def test_signals_are_passed_on(publisher: Publisher, begin: Begin, tmp_path: Path) -> None:
    publisher.publish({"MAX": 5})
    log = tmp_path / "signals"
    script = f"trap 'echo usr1 >> {log}' USR1; trap 'echo term >> {log}; exit 9' TERM; echo up >> {log}; while :; do sleep 9 >/dev/null 2>&1 & wait $!; done"
    process = begin(publisher, [], ["sh", "-c", script])
    wait_until(log.exists, what="the process is up")

    process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "usr1" in log.read_text(), what="USR1 arrived")
    process.send_signal(signal.SIGTERM)

    assert ended(process)[0] == 9
    assert log.read_text().split() == ["up", "usr1", "term"]
    assert status_of(publisher.endpoint, publisher.keys.instance("one")) is None, "gone at once"


def test_it_waits_for_a_first_configuration_and_says_for_what(
    publisher: Publisher, begin: Begin
) -> None:
    process = begin(publisher, [], ["sh", "-c", "echo started with $MAX"])
    time.sleep(1.5)
    assert process.poll() is None

    publisher.publish({"MAX": 5})
    code, out, err = ended(process)

    assert (code, out) == (0, "started with 5\n")
    assert "Nothing has been published for shop in dev yet" in err


def test_it_can_be_ended_while_it_waits(publisher: Publisher, begin: Begin) -> None:
    process = begin(publisher, [], ["sh", "-c", "echo never"])
    assert process.stderr is not None
    for line in process.stderr:
        if "start.waits" in line:
            break

    process.send_signal(signal.SIGTERM)

    code, out, _ = ended(process)
    assert (code, out) == (128 + 15, "")


def test_without_waiting_it_refuses_to_start_with_nothing(
    publisher: Publisher, begin: Begin
) -> None:
    code, out, err = ended(begin(publisher, ["--no-wait"], ["sh", "-c", "echo never"]))

    assert (code, out) == (1, "")
    assert "Nothing has been published for shop in dev yet" in err


@pytest.mark.faults
def test_it_starts_from_the_last_known_good_with_etcd_gone(
    own_publisher: OwnPublisher, begin: Begin
) -> None:
    own_publisher.publish({"MAX": 5})
    first = begin(own_publisher, [], ["sleep", "60"])
    until(own_publisher.endpoint, own_publisher.keys.instance("one"), "confirmed", 1)
    first.terminate()
    ended(first)

    own_publisher.server.kill()
    code, out, err = ended(
        begin(own_publisher, ["--no-wait"], ["sh", "-c", "echo $MAX $CONFHUB_RELEASE"])
    )

    assert (code, out) == (0, "5 1\n"), err
    assert "start.from_last_known_good" in err


@pytest.mark.faults
def test_what_was_never_proven_is_not_started_from(
    own_publisher: OwnPublisher, begin: Begin
) -> None:
    own_publisher.publish({"MAX": 5})
    first = begin(own_publisher, [], ["sleep", "60"])
    until(own_publisher.endpoint, own_publisher.keys.instance("one"), "confirmed", 1)
    first.terminate()
    ended(first)
    own_publisher.publish({"MAX": 6})
    crash = ended(begin(own_publisher, ["--soak", "5s"], ["sh", "-c", "exit 4"]))
    assert crash[0] == 4

    own_publisher.server.kill()
    code, out, _ = ended(
        begin(own_publisher, ["--no-wait"], ["sh", "-c", "echo $MAX $CONFHUB_RELEASE"])
    )

    assert (code, out) == (0, "5 1\n")


@pytest.mark.faults
def test_a_process_that_dies_at_its_start_gets_the_release_before(
    publisher: Publisher, begin: Begin
) -> None:
    script = ["sh", "-c", 'test "$MAX" != BAD || exit 3; echo runs $MAX; exec sleep 60']
    publisher.publish({"MAX": "good"})
    first = begin(publisher, [], script)
    until(publisher.endpoint, publisher.keys.instance("one"), "confirmed", 1)
    first.terminate()
    ended(first)

    publisher.publish({"MAX": "BAD"})
    assert ended(begin(publisher, [], script))[0] == 3
    # As a restart policy would: again, and this time with what is proven.
    again = begin(publisher, [], script)
    status = until(publisher.endpoint, publisher.keys.instance("one"), "failed", 2)
    assert status.receipt is not None
    assert "exit code 3" in status.receipt.reason
    wait_until(
        lambda: (s := status_of(publisher.endpoint, publisher.keys.instance("one"))) is not None
        and s.running == 1 and s.target == 2,
        what="the release before runs",
    )  # fmt: skip
    again.terminate()
    assert "runs good" in ended(again)[1]


def test_the_demo_shows_each_release_and_stays_the_same_process(
    publisher: Publisher, begin: Begin
) -> None:
    port = free_port()
    publisher.publish({"GREETING": "<b>one</b>"})
    begin(
        publisher, ["--reload", "signal:HUP"], [PYTHON, "-m", "watchers.demo", "--port", str(port)]
    )
    until(publisher.endpoint, publisher.keys.instance("one"), "confirmed", 1)
    wait_until(lambda: listens(port), what="the demo listens")
    before = asked(port)
    publisher.publish({"GREETING": "two"})
    until(publisher.endpoint, publisher.keys.instance("one"), "confirmed", 2)

    after = asked(port)
    assert after["values"] == {"GREETING": "two"}
    assert (before["reloads"], after["reloads"]) == (0, 1)
    assert (before["pid"], before["started_at"]) == (after["pid"], after["started_at"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
        text = page.read().decode()
    assert "two" in text
    assert f"process <b>{after['pid']}</b>" in text


def listens(port: int) -> bool:
    try:
        return bool(asked(port))
    except OSError:
        return False


def asked(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/config.json", timeout=5) as answer:
        held: dict[str, Any] = json.load(answer)
    return held


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--service", "No Good"], "is not a name for a service"),
        (["--reload", "exec:x"], "not offered by this version"),
        (["--soak", "soon"], "write a time"),
        (["--files", "xml"], "no format"),
        (["--instance", "a/b"], "cannot be an instance's id"),
    ],
)
def test_wrong_usage_is_told_with_2(
    publisher: Publisher, begin: Begin, options: list[str], says: str
) -> None:
    code, _, err = ended(begin(publisher, options, ["true"]))

    assert code == 2
    assert says in err


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace of its own takes root")
def test_as_process_1_it_takes_in_orphans_and_keeps_the_exit_code(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    publisher.publish({"MAX": 5})
    # The inner shell leaves a child behind each time, which then belongs to process 1.
    script = (
        "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 0.1 &'; done; sleep 1;"
        "ps=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '); echo zombies $ps; exit 7"
    )
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", PYTHON, "-m", "watchers.cli", "run",
         "--service", "shop", "--environment", "dev", "--", "sh", "-c", script],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "ETCD_ENDPOINTS": publisher.endpoint,
             "ETCD_PREFIX": publisher.keyspace.prefix, "CONFHUB_STATE_DIR": str(tmp_path / "pid1")},
    )  # fmt: skip

    code, out, err = ended(process)

    assert (code, out) == (7, "zombies 0\n"), err
