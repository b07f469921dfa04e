"""How `confhub run` starts its command: with its files, its environment, and from the last known good."""

import json
import signal
import urllib.request
from typing import Any

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import free_port, wait_until
from tests.watchers.conftest import OwnPublisher
from tests.watchers.run.conftest import PYTHON, Begin


def test_a_process_has_its_files_and_its_environment_from_the_start(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish(
        {"MAX": 5, "db.url": "postgres://x", "PATH": "/evil", "LD_PRELOAD": "/evil.so",
         "NOTIFY_SOCKET": "/evil.sock", "LDAP_URL": "ldap://x"}
    )  # fmt: skip
    script = (
        "import json, os; e = os.environ; d = e['CONFHUB_DIR']; print(json.dumps([e['MAX'], "
        "e['DB_URL'], e['LDAP_URL'], e['CONFHUB_RELEASE'], e['CONFHUB_SERVICE'], 'evil' in "
        "e['PATH'] + e['NOTIFY_SOCKET'], 'LD_PRELOAD' in e, json.load(open(d + "
        "'/config.json'))['MAX'], sorted(os.listdir(d))]))"
    )

    code, out, err = begin(publisher, [], [PYTHON, "-c", script]).ended()

    assert code == 0, err
    found = json.loads(out)
    assert found[:8] == ["5", "postgres://x", "ldap://x", "1", "shop", False, False, 5]
    assert {"config.json", "config.env", "current", "release"} <= set(found[8])
    assert "reserved" in err


def test_it_waits_for_a_first_configuration_and_says_for_what(
    publisher: Publisher, begin: Begin
) -> None:
    running = begin(publisher, [], ["sh", "-c", "echo started with $MAX"])
    waits = running.said("start.waits")
    assert running.process.poll() is None

    publisher.publish({"MAX": 5})
    code, out, _ = running.ended()

    assert (code, out) == (0, "started with 5\n")
    assert "Nothing has been published for shop in dev yet" in waits


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_can_be_ended_while_it_waits(publisher: Publisher, begin: Begin, number: int) -> None:
    running = begin(publisher, [], ["sh", "-c", "echo never"])
    running.said("start.waits")

    running.send(number)

    assert running.ended()[:2] == (128 + number, "")


def test_without_waiting_it_refuses_to_start_with_nothing(
    publisher: Publisher, begin: Begin
) -> None:
    code, out, err = begin(publisher, ["--no-wait"], ["sh", "-c", "echo never"]).ended()

    assert (code, out) == (1, "")
    assert "Nothing has been published for shop in dev yet" in err


@pytest.mark.faults
def test_it_starts_from_the_last_known_good_with_etcd_gone(
    own_publisher: OwnPublisher, begin: Begin
) -> None:
    own_publisher.publish({"MAX": 5})
    first = begin(own_publisher, [], ["sleep", "60"])
    first.until("confirmed", 1)
    first.stop()

    own_publisher.server.kill()
    code, out, err = begin(
        own_publisher, ["--no-wait"], ["sh", "-c", "echo $MAX $CONFHUB_RELEASE"]
    ).ended()

    assert (code, out) == (0, "5 1\n"), err
    assert "start.from_last_known_good" in err


@pytest.mark.faults
def test_what_was_never_proven_is_not_started_from(
    own_publisher: OwnPublisher, begin: Begin
) -> None:
    own_publisher.publish({"MAX": 5})
    first = begin(own_publisher, [], ["sleep", "60"])
    first.until("confirmed", 1)
    first.stop()
    own_publisher.publish({"MAX": 6})
    crash = begin(own_publisher, ["--soak", "5s"], ["sh", "-c", "exit 4"])
    assert crash.ended()[0] == 4

    own_publisher.server.kill()
    code, out, _ = begin(
        own_publisher, ["--no-wait"], ["sh", "-c", "echo $MAX $CONFHUB_RELEASE"]
    ).ended()

    assert (code, out) == (0, "5 1\n")


@pytest.mark.faults
def test_a_process_that_dies_at_its_start_gets_the_release_before(
    publisher: Publisher, begin: Begin
) -> None:
    script = ["sh", "-c", 'test "$MAX" != BAD || exit 3; echo runs $MAX; exec sleep 60']
    publisher.publish({"MAX": "good"})
    first = begin(publisher, [], script)
    first.until("confirmed", 1)
    first.stop()

    publisher.publish({"MAX": "BAD"})
    assert begin(publisher, [], script).ended()[0] == 3
    # As a restart policy would: again, and this time with what is proven.
    again = begin(publisher, [], script)
    status = again.until("failed", 2)
    assert status.receipt is not None
    assert "exit code 3" in status.receipt.reason
    wait_until(
        lambda: (s := again.status()) is not None and s.running == 1 and s.target == 2,
        what="the release before runs",
    )
    assert "runs good" in again.stop()[1]


def test_the_demo_shows_each_release_and_stays_the_same_process(
    publisher: Publisher, begin: Begin
) -> None:
    port = free_port()
    publisher.publish({"GREETING": "<b>one</b>"})
    running = begin(
        publisher, ["--reload", "signal:HUP"], [PYTHON, "-m", "watchers.demo", "--port", str(port)]
    )
    running.until("confirmed", 1)
    wait_until(lambda: listens(port), what="the demo listens")
    before = asked(port)
    publisher.publish({"GREETING": "two"})
    running.until("confirmed", 2)

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
        (["--reload", "HUP"], "--reload='HUP' is no way to reload"),
        (["--confirm", "hope"], "notify, report"),
        (["--soak", "soon"], "write a time"),
        (["--files", "xml"], "no format"),
        (["--instance", "a/b"], "cannot be an instance's id"),
        (["--stop-signal", "CONT"], "a signal that ends the command"),
        (["--stop-grace", "11m"], "up to 10m"),
        (["--deliver", "copy:/x"], "write volume"),
        (["--deliver", "env", "--reload", "signal:HUP"], "no reload changes the environment"),
    ],
)
def test_wrong_usage_is_told_with_2(
    publisher: Publisher, begin: Begin, options: list[str], says: str
) -> None:
    code, _, err = begin(publisher, options, ["true"]).ended()

    assert code == 2
    assert says in " ".join(err.split())


def test_more_than_an_environment_can_hold_is_taken_back(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish({"MAX": 1})
    running = begin(
        publisher, ["--reload", "restart"], ["sh", "-c", "echo runs $MAX; exec sleep 60"],
        below=["prlimit", f"--stack={2 << 20}"],  # execve takes a quarter of it
    )  # fmt: skip
    running.until("confirmed", 1)

    publisher.publish({"MAX": 2, **{f"LONG{n}": "x" * 100_000 for n in range(6)}})
    status = running.until("failed", 2)

    assert status.receipt is not None
    assert "larger than a process's environment may be" in status.receipt.reason
    wait_until(
        lambda: (s := running.status()) is not None and (s.running, s.health) == (1, "healthy"),
        what="the release before runs again",
    )
    assert running.stop()[1] == "runs 1\nruns 1\n"
