"""Restarts by `confhub run`: graceful, within their grace, taken back, and never mistaken for an end."""

import os
import signal
from pathlib import Path

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.run.conftest import PYTHON, Begin, Running

RESTART = ["--reload", "restart"]


def serving(log: Path, *, on_term: str = "exit 0", dies_of: str = "BAD") -> list[str]:
    """A shell that writes down what it began with, and ends by TERM as it is told."""
    script = (
        f'echo "began $MAX" >> {log}; trap \'echo "term $MAX" >> {log}; {on_term}\' TERM; '
        f'test "$MAX" != {dies_of} || exit 3; while :; do sleep 0.05; done'
    )
    return ["sh", "-c", script]


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_each_release_ends_the_process_gracefully_and_begins_it_anew(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, RESTART, serving(log, on_term="exit 5"))
    first = running.until("confirmed", 1)

    publisher.publish({"MAX": 2})
    second = running.until("confirmed", 2)
    publisher.publish({"MAX": 3})
    third = running.until("confirmed", 3)

    assert lines(log) == ["began 1", "term 1", "began 2", "term 2", "began 3"]
    assert len({first.pid, second.pid, third.pid}) == 3
    assert (third.running, third.problems) == (3, ())
    assert running.stop()[0] == 5
    assert running.status() is None


def test_a_process_that_does_not_end_within_its_grace_is_killed(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(
        publisher, [*RESTART, "--stop-grace", "300ms"], serving(log, on_term="echo no > /dev/null")
    )
    running.until("confirmed", 1)

    publisher.publish({"MAX": 2})
    running.until("confirmed", 2)

    assert lines(log) == ["began 1", "term 1", "began 2"]
    code, _, err = running.stop()
    assert code == 128 + signal.SIGKILL, "TERM has its grace too"
    assert err.count("process.killed") == 2


def test_it_is_ended_by_the_signal_that_it_asks_for(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    script = (
        f"trap 'echo usr1 >> {log}; exit 9' USR1; trap '' TERM; echo began >> {log}; "
        "while :; do sleep 0.05; done"
    )
    running = begin(publisher, [*RESTART, "--stop-signal", "USR1"], ["sh", "-c", script])
    running.until("confirmed", 1)

    publisher.publish({"MAX": 2})
    running.until("confirmed", 2)

    code, _, _ = running.stop()
    assert code == 9, "our own TERM is passed on as the signal that ends it"
    assert lines(log) == ["began", "usr1", "began", "usr1"]


@pytest.mark.faults
def test_a_release_that_ends_the_new_process_is_taken_back_and_the_one_before_begun(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, RESTART, serving(log))
    running.until("confirmed", 1)

    publisher.publish({"MAX": "BAD"})
    status = running.until("failed", 2)

    assert status.receipt is not None
    assert status.receipt.stage == "confirm"
    assert "exit code 3" in status.receipt.reason
    wait_until(
        lambda: (s := running.status()) is not None and (s.running, s.health) == (1, "healthy"),
        what="the release before runs again",
    )
    assert lines(log) == ["began 1", "term 1", "began BAD", "began 1"]

    publisher.publish({"MAX": 3})
    running.until("confirmed", 3)
    assert lines(log)[-1] == "began 3"


@pytest.mark.faults
def test_a_proof_that_does_not_hold_restarts_it_with_the_release_before(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, [*RESTART, "--confirm", "report"], reporting(log))
    running.until("confirmed", 1)

    publisher.publish({"MAX": "BAD"})
    status = running.until("failed", 2)

    assert status.receipt is not None
    assert "MAX is BAD" in status.receipt.reason
    wait_until(lambda: lines(log) == ["1", "2", "1"], what="the release before runs again")


def reporting(log: Path) -> list[str]:
    script = (
        "import json, os, socket, time; e = os.environ; release = int(e['CONFHUB_RELEASE'])\n"
        f"open({str(log)!r}, 'a').write(f'{{release}}\\n')\n"
        "said = {'release': release, 'ok': e['MAX'] != 'BAD', 'error': 'MAX is BAD'}\n"
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto("
        "json.dumps(said).encode(), e['CONFHUB_REPORT'])\n"
        "time.sleep(60)"
    )
    return [PYTHON, "-c", script]


@pytest.mark.faults
def test_the_end_of_a_process_that_was_proven_is_the_end_of_all(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, RESTART, [*serving(log)[:2], f"echo $$ > {log}; exec sleep 60"])
    running.until("confirmed", 1)
    status = running.status()
    assert status is not None
    assert status.pid is not None

    os.kill(status.pid, signal.SIGSEGV)

    assert running.ended()[0] == 128 + signal.SIGSEGV


def test_a_rung_below_restart_is_tried_first(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, ["--reload", "signal:USR2 ; restart"], serving(log))
    running.until("confirmed", 1)

    publisher.publish({"MAX": 2})
    running.until("confirmed", 2)

    assert lines(log) == ["began 1", "term 1", "began 2"], "USR2 has no handler, so it is not sent"


# ── a stop that comes in between ──────────────────────────────────────────────────────────────────


def test_a_stop_within_a_restart_is_a_stop(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, RESTART, serving(log, on_term="sleep 1; exit 6"))
    running.until("confirmed", 1)

    publisher.publish({"MAX": 2})
    running.said("process.restarts")
    running.send(signal.SIGTERM)

    assert running.ended()[0] == 6
    assert [line for line in lines(log) if line.startswith("began")] == ["began 1"]


def test_a_stop_within_a_soak_is_not_held_against_the_release(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    publisher.publish({"MAX": 1})
    running = begin(publisher, [*RESTART, "--soak", "30s"], serving(log))
    running.until("applied", 1)

    assert running.stop()[0] == 0

    again: Running = begin(publisher, RESTART, serving(log))
    status = again.until("confirmed", 1)
    assert status.running == 1


def test_a_stop_while_it_starts_reaches_it(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    publisher.publish({"MAX": 1})
    running = begin(publisher, [], ["sleep", "60"])
    running.said("process.started")

    running.send(signal.SIGTERM)

    assert running.ended()[0] == 128 + signal.SIGTERM
