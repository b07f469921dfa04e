"""What a container says by labels, said to `confhub run` by options: check, process, exec, http."""

from pathlib import Path

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.run.conftest import PYTHON, Begin
from watchers.labels import read_labels

CHECK = "exec:sh -c 'grep -q good {dir}/config.json || {{ echo not good; exit 2; }}'"


def test_a_release_that_its_check_refuses_changes_nothing(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    publisher.publish({"MAX": "good"})
    files = tmp_path / "files"
    running = begin(
        publisher, ["--check", CHECK.replace("{{", "{").replace("}}", "}"), "--dir", str(files)],
        ["sleep", "60"],
    )  # fmt: skip
    running.until("confirmed", 1)

    publisher.publish({"MAX": "bad"})
    receipt = running.until("failed", 2).receipt

    assert receipt is not None
    assert receipt.stage == "check"
    assert "not good" in receipt.reason
    assert (files / "release").read_text() == "1\n"


def test_the_named_program_below_a_wrapper_is_told_and_the_wrapper_is_not(
    publisher: Publisher, begin: Begin, tmp_path: Path
) -> None:
    program = Path(PYTHON).resolve().name
    publisher.publish({"MAX": 1})
    wrapper = (
        f"{PYTHON} -m tests.parts.workload $CONFHUB_DIR {tmp_path / 'log'} & "
        "trap 'kill $!; exit 8' TERM; wait $!; wait"
    )
    running = begin(
        publisher,
        ["--process", f"exe={program}", "--reload", "signal:HUP"],
        ["sh", "-c", wrapper],
    )
    first = running.until("confirmed", 1)
    publisher.publish({"MAX": 2})
    second = running.until("confirmed", 2)

    assert first.pid == second.pid
    told = (tmp_path / "log").read_text()
    assert f'"pid": {second.pid}, "release": 2' in told
    assert '"why": "HUP"' in told
    assert running.stop()[0] == 8


def test_a_program_that_is_not_there_is_told_of_in_words(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish({"MAX": 1})
    running = begin(publisher, ["--process", "exe=no-such"], ["sleep", "60"])

    wait_until(
        lambda: (s := running.status()) is not None and "no processes" in " ".join(s.problems),
        what="the instance says that none runs it",
    )
    assert running.process.poll() is None


@pytest.mark.parametrize("word", ["notify", "report"])
def test_a_container_is_told_that_nobody_would_hear_it(word: str) -> None:
    found = read_labels(
        {"confhub.service": "shop", "confhub.environment": "dev", "confhub.reload": "none",
         "confhub.confirm": word}
    )  # fmt: skip

    assert found is not None
    assert found.wishes is None
    assert "confhub run" in found.problems[0]
