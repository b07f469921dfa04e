"""docs/command.md promises what really happens: every example is run, and every command has one."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from confhub.client.command.main import ENTRIES, commands
from tests.client.command.conftest import Command
from tests.parts.servers import wait_until
from tests.parts.system import TOKEN, System
from tests.watchers.served import ROOT

PAGE = ROOT / "docs" / "command.md"
WAITS_FOR_HUP = (
    "import signal, time\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile True: time.sleep(60)"
)
FILES = {
    "token.txt": f"{TOKEN}\n",
    "note.txt": "for the night shift\n",
    "old.env": "LEGACY=1\n",
    "hook.yaml": "mapping:\n  set: {TAG: {pointer: /release/tag_name}}\nfilters:\n  events: [release]\n",
    "payload.json": json.dumps({"action": "published", "release": {"tag_name": "1.9"}}),
}


def examples() -> list[tuple[str, int | None]]:
    """(command, exit code) in order; None for a line that only prepares."""
    found: list[tuple[str, int | None]] = []
    for block in re.findall(
        r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        lines = block.replace("\\\n", " ").splitlines()
        for at, line in enumerate(lines):
            if not line.startswith("#"):
                code = re.fullmatch(r"# (\d+)", lines[at + 1]) if at + 1 < len(lines) else None
                found.append((line, int(code[1]) if code else None))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything, with demo@dev that confirms what it gets."""
    with System(tmp_path_factory.mktemp("whole")) as system:
        for path, body in (("/environments", {"slug": "dev"}), ("/services", {"slug": "demo"})):
            status, answer = system.call("POST", path, body)
            assert status in (201, 409), answer
        system.run("demo", "dev", sys.executable, "-c", WAITS_FOR_HUP, soak="200ms")
        number = system.publish("demo", "dev", {"TAG": "1.8"})
        wait_until(
            lambda: _converged(system, "demo", number), what="demo confirmed its first release"
        )
        yield system


def _converged(system: System, service: str, number: int) -> bool:
    _, found = system.call(
        "GET", f"/services/{service}/environments/dev/convergence?release={number}"
    )
    return bool(found["state"] == "confirmed")


def test_every_example_ends_as_it_says(whole: System, tmp_path: Path) -> None:
    confhub = Command(tmp_path, whole.url)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    for line, code in examples():
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"], cwd=tmp_path, env=confhub.environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == (code or 0), (line, done.stdout, done.stderr)
        assert TOKEN not in done.stdout + done.stderr, line
        assert "Traceback" not in done.stderr, line


def test_every_command_has_an_example() -> None:
    shown = " ; ".join(line for line, _ in examples())
    context = click.Context(commands)
    ours = [name for name, entry in ENTRIES.items() if entry.module != "watchers.cli"]
    for name in ours:
        found = commands.get_command(context, name)
        words = [f"confhub {name}"]
        if isinstance(found, click.Group):
            words = [f"confhub {name} {sub}" for sub in found.commands if sub != "list"]
        for each in words:
            assert re.search(rf"{re.escape(each)}\b", shown), each


# ── the one line of a pipeline, with everything real ────────────────────────────────────────────


def test_publish_and_wait_ends_with_0_once_the_instance_confirmed(
    whole: System, tmp_path: Path
) -> None:
    confhub = Command(tmp_path, whole.url)

    ran = confhub("publish", "demo@dev", "-m", "deploy", "--set", "TAG=from-ci", "--wait", "60")

    lines = ran.out.splitlines()
    number = re.match(r"demo@dev r(\d+) is published \(\d+ keys?\)\.", lines[0])
    assert number is not None
    assert lines[-2] == f"demo@dev r{number[1]}: 1 confirmed"
    assert lines[-1] == f"demo@dev r{number[1]} is confirmed by its only instance."
    assert len(lines) == len(set(lines))
    document = confhub("status", "demo@dev", "--wait", "0", "--output", "json").document
    assert document["state"] == "confirmed"


def test_where_an_instance_refuses_it_ends_with_1_and_names_it(
    whole: System, tmp_path: Path
) -> None:
    confhub = Command(tmp_path, whole.url)
    confhub("services", "create", "refuses")
    whole.run("refuses", "dev", sys.executable, "-c", WAITS_FOR_HUP, reload="exec:/bin/false", soak="100ms", name="refuses")  # fmt: skip
    confhub("publish", "refuses@dev", "-m", "first", "--set", "A=1", "--wait", "60")
    wait_until(lambda: _runs(whole, "refuses"), what="it runs the first release")

    ran = confhub("publish", "refuses@dev", "-m", "second", "--set", "A=2", "--wait", "60", code=1)

    assert "refuses@dev r2 failed: testhost-refuses-dev on testhost: failed" in ran.err
    assert "at reload" in ran.err


def _runs(system: System, service: str) -> bool:
    return _converged(system, service, 1)


def test_where_the_proof_takes_longer_it_ends_with_3(whole: System, tmp_path: Path) -> None:
    confhub = Command(tmp_path, whole.url)
    confhub("services", "create", "slow")
    whole.run("slow", "dev", sys.executable, "-c", WAITS_FOR_HUP, soak="60s", name="slow")
    confhub("publish", "slow@dev", "-m", "first", "--set", "A=1")
    wait_until(lambda: bool(whole.call("GET", "/services/slow/environments/dev/instances")[1]["items"]), what="the instance is seen")  # fmt: skip

    ran = confhub("publish", "slow@dev", "-m", "second", "--set", "A=2", "--wait", "2", code=3)

    assert "slow@dev r2 is not confirmed yet" in ran.err
    assert "testhost-slow-dev on testhost" in ran.err
    assert "confhub status slow@dev --release 2 --wait" in ran.err
