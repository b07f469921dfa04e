"""`confhub agent once`, `diff` and `explain`, as processes of their own against a real engine."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.parts import docker
from tests.parts.docker import DockerEngine, started_at
from tests.parts.publisher import Publisher
from tests.parts.require import missing
from tests.watchers.hosts import Host, id_of, reads

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    """One of its own, because these commands look at every container that there is."""
    if reason := docker.why_not():
        missing("docker", reason)
    own = DockerEngine(Path(f"/tmp/confhub-own-{uuid4().hex[:6]}"))  # noqa: S108  # a socket's path is short
    own.start()
    try:
        yield own
    finally:
        own.close()
        own.stop()


@pytest.fixture
def host(engine: DockerEngine, publisher: Publisher, tmp_path: Path) -> Iterator[Host]:
    publisher = Publisher(publisher.endpoint, publisher.keyspace.prefix, f"s{uuid4().hex[:8]}")
    held = Host(engine, publisher, tmp_path)
    yield held
    held.close()


def said(ran: subprocess.CompletedProcess[str]) -> Any:
    assert ran.stdout, f"exit {ran.returncode}: {ran.stderr}"
    return json.loads(ran.stdout)


# ── once ──────────────────────────────────────────────────────────────────────────────────────────


def test_once_brings_every_container_to_its_release_and_ends(host: Host) -> None:
    running, stopped = host.start(), host.start()
    stopped.stop(timeout=1)
    host.publisher.publish({"MAX": 1})

    ran = host.command("agent", "once", "--output", "json")

    rows = {row["instance"]: row for row in said(ran)["instances"]}
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {name: row["outcome"] for name, row in rows.items()} == {
        id_of(running): "confirmed",
        id_of(stopped): "written",
    }
    assert reads(running)[-1] == 'reloads=1 {"MAX":1}'
    # Again: nothing is told twice.
    assert host.command("agent", "once").returncode == 0
    assert len(reads(running)) == 2


def test_once_says_what_refuses_a_release(host: Host) -> None:
    host.start(labels={"confhub.files": "json,entry:app.conf"})
    host.publisher.publish({"MAX": 1})

    ran = host.command("agent", "once")

    assert ran.returncode == 1
    assert "has no entry app.conf" in ran.stdout


def test_once_gives_up_where_nothing_is_published(host: Host) -> None:
    host.start()

    ran = host.command("agent", "once", "--timeout", "1.5", "--output", "json")

    assert ran.returncode == 3
    assert said(ran)["instances"][0]["outcome"] == "waits"


def test_once_leaves_the_containers_to_the_agent_that_serves_them(host: Host) -> None:
    host.start()
    host.publisher.publish({"MAX": 1})
    served = host.serve()
    served.until("confirmed", 1, instance=id_of(host.begun[0]))

    ran = host.command("agent", "once")

    assert ran.returncode == 1
    assert "serves this host's containers already" in ran.stderr


def test_once_writes_the_files_of_one_scope_without_an_engine(host: Host, tmp_path: Path) -> None:
    scope = ["--service", host.publisher.service, "--environment", "dev"]
    where = tmp_path / "files"
    words = ["agent", "once", *scope, "--dir", str(where), "--timeout", "1.5"]
    nothing = host.command(*words, DOCKER_HOST="unix:///nowhere")
    host.publisher.publish({"MAX": 1})

    ran = host.command(*words, DOCKER_HOST="unix:///nowhere")

    assert nothing.returncode == 3
    assert "Nothing is published" in nothing.stdout
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads((where / "config.json").read_text()) == {"MAX": 1}
    assert (where / "current").readlink() == Path("gen-1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--service", "shop"], "needed together"),
        (["--service", "Shop!", "--environment", "dev"], "not a name for a service"),
        (["--service", "shop", "--environment", "dev", "--files", "xml"], "no format"),
    ],
    ids=["half a scope", "no slug", "no format"],
)
def test_once_names_what_is_wrong_with_its_words(host: Host, words: list[str], says: str) -> None:
    ran = host.command("agent", "once", *words)

    assert ran.returncode == 2
    assert says in ran.stderr


def test_an_engine_that_is_not_there_is_named(host: Host) -> None:
    for command in ("diff", "explain"):
        words = ["agent", command, *(["web"] if command == "explain" else [])]
        ran = host.command(*words, DOCKER_HOST="unix:///nowhere")
        assert ran.returncode == 1
        assert "unix:///nowhere" in ran.stderr
        assert "DOCKER_HOST" in ran.stderr


# ── diff ──────────────────────────────────────────────────────────────────────────────────────────


def test_diff_shows_what_would_be_done_and_does_not_do_it(host: Host) -> None:
    check = "exec:/bin/grep -q MAX {dir}/config.json"
    container = host.start(labels={"confhub.check": check})
    host.publisher.publish({"MAX": 1})
    assert host.command("agent", "once").returncode == 0
    before, said_before = started_at(container), reads(container)
    host.publisher.publish({"MAX": 2})

    ran = host.command("agent", "diff", "--output", "json")

    found = said(ran)["containers"][0]
    assert ran.returncode == 0, found
    assert (found["shown"], found["release"], found["outcome"]) == (1, 2, "swap")
    assert '-  "MAX": 1' in found["files"]["config.json"]
    assert '+  "MAX": 2' in found["files"]["config.json"]
    assert found["check"] == "passed"
    assert found["action"] == f"signal:HUP to process {before[1]}"
    # Nothing of it was done.
    files = host.files(container)
    assert (files / "current").readlink() == Path("gen-1")
    assert not (files / "gen-2").exists()
    assert (started_at(container), reads(container)) == (before, said_before)
    assert host.command("agent", "once").returncode == 0
    again = said(host.command("agent", "diff", str(container.name), "--output", "json"))
    assert again["containers"][0]["outcome"] == "nothing"


def test_diff_says_that_a_check_refuses(host: Host) -> None:
    check = "exec:/bin/sh -c 'echo MAX is missing; exit 7'"
    container = host.start(labels={"confhub.check": check})
    host.publisher.publish({"MIN": 1})

    ran = host.command("agent", "diff")

    assert ran.returncode == 1
    assert "MAX is missing" in ran.stdout
    assert list(host.files(container).glob("gen-*")) == []


def test_diff_names_a_container_that_is_none_of_ours(host: Host) -> None:
    plain = host.start(without="confhub.service", labels={"confhub.environment": ""})

    unlabelled = host.command("agent", "diff", str(plain.name))
    unknown = host.command("agent", "diff", "nobody")

    assert (unlabelled.returncode, unknown.returncode) == (1, 1)
    assert "never touches it" in unlabelled.stderr
    assert "no container nobody" in unknown.stderr


# ── explain ───────────────────────────────────────────────────────────────────────────────────────


def test_explain_says_everything_of_a_container(host: Host) -> None:
    container = host.start()
    host.publisher.publish({"MAX": 1})
    assert host.command("agent", "once").returncode == 0
    host.publisher.publish({"MAX": 2})

    ran = host.command("agent", "explain", str(container.name), "--output", "json")
    told = said(ran)

    assert ran.returncode == 0, told["in_the_way"]
    assert told["labels"]["confhub.reload"] == "signal:HUP"
    assert told["directory"]["mount"]["source"] == str(host.files(container))
    assert all(told["directory"]["reached_through"].values())
    assert told["directory"]["shows"] == "gen-1"
    assert told["process"]["pid"] == started_at(container)[1]
    assert told["process"]["signals"] == {"signal:HUP": "has a handler (SigCgt)"}
    assert (told["target"], told["receipt"]["release"]) == (2, 1)
    assert "told by signal:HUP" in told["next"]
    words = host.command("agent", "explain", str(container.id)[:12]).stdout
    assert "receipt: release 1 confirmed" in words


def test_explain_says_what_is_in_the_way(host: Host) -> None:
    deaf = host.start(command=["/bin/sleep", "1000"], labels={"confhub.reloads": "signal:HUP"})

    ran = host.command("agent", "explain", str(deaf.name))

    assert ran.returncode == 1
    assert "confhub.reloads is no label that ConfHub knows" in ran.stdout
