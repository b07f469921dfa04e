"""The benchmark's harness works, end to end; what it measures is for `make bench`, not for a test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import editor
from benchmarks.clocked import Figure
from benchmarks.report import table
from tests.parts import docker, postgres
from tests.parts.require import missing
from tests.parts.system import ROOT

MACHINE = {"at": "2026-11-24", "cores": 2, "python": "3.11", "etcd": "3.4", "postgresql": "15"}


def figures(**ms: float) -> dict[str, Figure]:
    named = {name.replace("_", " "): value for name, value in ms.items()}
    return {name: Figure(name, "", [value, value]) for name, value in named.items()}


def test_what_misses_its_aim_is_said_as_plainly_as_what_reaches_it() -> None:
    held = figures(accepted=8, floor_of_accepted=4, in_etcd=5, the_whole_way=20, etcdctl_watch=30)
    held |= {
        name: Figure(name, "", [value, value])
        for name, value in {
            "handled, in the whole way": 3.0, "put to handled, process": 5.0,
            "floor of put to handled": 2.0, "handled, process": 4.0, "floor of handled": 1.0,
            "the whole way, container": 40.0, "confd -watch": 15.0, "accepted, etcd dead": 400.0,
        }.items()
    }  # fmt: skip

    said = table(held, ["confd: not here"], MACHINE, 2)

    assert "| accepted | 8.0 | 8.0 | 8.0 | 2 | 2.0 times |" in said
    assert "process, from the put: 2.50 times its floor at p50 (from the event on, " in said
    assert "4.00 times); the aim is at most 2: **missed**" in said
    assert "container, 40.0 ms from the publish request, beside etcdctl watch, 30.0 ms" in said
    assert "beside etcdctl watch, 30.0 ms from its put: reached" in said
    assert "beside confd -watch, 15.0 ms from its put: **missed**" in said
    assert "accepted, etcd dead: p99 400 ms; the bar is 300 ms: **missed**" in said
    assert "accepted 50 %, in etcd 31 %, handled, in the whole way 19 %" in said
    assert "- Not measured: confd: not here." in said


def test_each_of_the_editors_bars_is_held_to_the_95th_percentile() -> None:
    most = [10.0] * 18
    held = {
        "filter keystroke": editor.Figure([*most, 60.0, 900.0]),  # the 19th of 20 is the bar
        "raw mode open": editor.Figure([*most, 800.4, 800.4]),
    }

    said = editor.words(held)

    assert "at 5,000 keys, 500 of them drafted" in said
    assert "filter keystroke: p50 10 ms, p95 60 ms of 20 (the bar is 60 ms at p95: reached)" in said
    assert "raw mode open: p50 10 ms, p95 800 ms of 20 (the bar is 800 ms" in said
    assert said.count(": reached)") == said.count(": **missed**)") == 1
    assert editor.as_json(held)["figures"]["raw mode open"]["bar_ms"] == 800.0


@pytest.mark.docker
@pytest.mark.postgres
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("browser")  # with the other long ones, so that the workers end together
def test_the_harness_measures_everything_once(tmp_path: Path) -> None:
    if not postgres.is_there():
        missing("postgres", "no initdb and postgres on this machine")
    if docker.why_not():
        missing("docker", docker.why_not())

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "2", "--outage-requests", "2", "--short", "--into", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=230, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    held = json.loads((tmp_path / "results.json").read_text())
    for name in (
        "accepted",
        "in etcd",
        "handled, process",
        "handled, container",
        "the whole way",
        "the whole way, container",
        "engine kill alone",
    ):
        assert held["figures"][name]["n"] >= 1, name
        assert all(ms > 0 for ms in held["figures"][name]["ms"]), name
    assert "the whole way" in (tmp_path / "results.md").read_text()
