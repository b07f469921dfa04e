"""Forked processes: each is a client of its own, reads at once, and hears of each release."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.conftest import Place, Program
from tests.parts.servers import free_port, wait_until
from tests.watchers.served import ROOT

Run = Callable[[str], Program]
APP = """
from confhub.client import Config
config = Config(service="shop", environment="dev", soak_s=0.2, wait_s=30)
{first}

def app(environ, start_response):
    import os
    body = f"{{os.getpid()}} {{config.release}} {{config['MAX']}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_children_of_os_fork_are_clients_of_their_own(place: Place, run: Run) -> None:
    place.publisher.publish({"MAX": 5})
    program = run("forks")
    program.until(1, why="parent", release=1)
    children = program.until(3, why="child", release=1)
    wait_until(
        lambda: place.until("confirmed", 1).container["processes"] == 4, what="all are counted"
    )

    place.publisher.publish({"MAX": 6})

    assert program.until(4, why="changed", release=2) > children
    place.until("confirmed", 2)
    assert len(place.followers()) == 1
    assert program.end() == b""


def test_forks_in_the_middle_of_everything_find_whole_releases(place: Place, run: Run) -> None:
    place.publisher.publish({"MAX": 1, "COPY": 1})
    program = run("forks_while_read")
    program.until(1, why="parent")
    for number in range(2, 12):
        place.publisher.publish({"MAX": number, "COPY": number})

    program.until(1, why="codes [0]")
    program.until(1, why="changed", release=11)
    place.until("confirmed", 11)
    assert program.end() == b""


def test_a_multiprocessing_pool_hears_of_releases(place: Place, run: Run) -> None:
    place.publisher.publish({"MAX": 5})
    program = run("pool")
    parent = program.until(1, why="forked")

    place.publisher.publish({"MAX": 6})

    assert len(program.until(2, why="pool", release=2) - parent) == 2
    program.until(1, why="done [2]")
    assert program.end() == b""


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
def test_workers_of_gunicorn(place: Place, tmp_path: Path, preload: bool) -> None:
    place.publisher.publish({"MAX": 5})
    # Without preload it is never read before a request; the hooks make its workers count all the same.
    (tmp_path / "app.py").write_text(APP.format(first="config.start()" if preload else ""))
    (tmp_path / "conf.py").write_text(
        "from confhub.client.gunicorn import post_fork, post_worker_init, worker_exit\n"
        f"workers = 3\npreload_app = {preload}\n"
    )
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", str(tmp_path / "conf.py"), "--chdir", str(tmp_path),
             "--bind", f"127.0.0.1:{port}", "app:app"],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        said = tmp_path / "log"
        wait_until(lambda: said.read_text().count("release 1 is loaded") == 3, what="3 workers")
        expected = 3 + preload  # with it, the master reads, too
        wait_until(
            lambda: place.until("confirmed", 1).container["processes"] == expected,
            what="each worker is counted",
        )
        place.publisher.publish({"MAX": 6})
        assert place.until("confirmed", 2).container["name"] == "gunicorn"

        workers = set(re.findall(r"Booting worker with pid: (\d+)", said.read_text()))
        assert len(workers) == 3
        for _ in range(6):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                pid, release, value = answer.read().decode().split()
            assert (release, value) == ("2", "6")
            assert pid in workers

        os.kill(int(pid), signal.SIGKILL)  # one of them; its successor begins with 2
        wait_until(lambda: "release 2 is loaded" in said.read_text(), what="its successor")
        wait_until(
            lambda: place.until("confirmed", 2).container["processes"] == expected,
            what="the dead one is not waited for",
        )
    finally:
        server.terminate()
        server.wait(30)
    place.until_nobody_follows()
