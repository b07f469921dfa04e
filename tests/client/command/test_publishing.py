"""publish and rollback: once however the connection breaks, rehearsed, refused, waited for."""

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.client.command.conftest import PROGRAM, Command
from tests.parts.proxy import TcpProxy
from tests.parts.servers import free_port, wait_until
from tests.parts.system import System


def releases(server: System, place: str) -> list[int]:
    service, _, environment = place.partition("@")
    _, found = server.call("GET", f"/services/{service}/environments/{environment}/releases")
    return [each["release"] for each in found["items"]]


def test_a_connection_that_breaks_behind_the_publish_publishes_once(
    confhub: Command, server: System, shop: str
) -> None:
    place = f"{shop}@dev"
    with TcpProxy(server.web.port) as proxy:
        proxy.swallows_answers = True
        process = confhub.start("publish", place, "-m", "once", "--set", "A=1", CONFHUB_URL=f"http://{proxy.endpoint}", CONFHUB_RETRY_S="60")  # fmt: skip
        wait_until(lambda: releases(server, place) == [1], what="it is published")
        proxy.heal()
        out, err = process.communicate(timeout=90)

    assert process.returncode == 0, err
    assert out == f"{place} r1 is published (1 key).\n"
    assert "broke" in err
    assert "Trying again." in err
    assert releases(server, place) == [1]


def test_where_nobody_answers_it_says_so_and_that_the_key_makes_it_once(
    confhub: Command, server: System, shop: str
) -> None:
    place = f"{shop}@dev"
    with TcpProxy(server.web.port) as proxy:
        proxy.swallows_answers = True
        process = confhub.start("publish", place, "-m", "once", "--set", "A=1", "--key", "deploy-7", CONFHUB_URL=f"http://{proxy.endpoint}", CONFHUB_RETRY_S="0")  # fmt: skip
        wait_until(lambda: releases(server, place) == [1], what="it is published")
        proxy.cut()
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert "Whether it was published is not known" in err
    assert "--key deploy-7" in err
    again = confhub("publish", place, "-m", "once", "--set", "A=1", "--key", "deploy-7")
    assert again.out == f"{place} r1 is published (1 key).\n"
    assert releases(server, place) == [1]


def test_a_server_that_is_not_there_is_named(confhub: Command, shop: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    ran = confhub("get", f"{shop}@dev", code=1, CONFHUB_URL=url, CONFHUB_RETRY_S="0")

    assert ran.err.startswith(f"confhub: {url} does not answer (")


def test_publish_says_what_would_happen_and_does_nothing(
    confhub: Command, server: System, shop: str
) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "first", "--set", "A=1", "--set", "B=1")

    text = confhub("publish", place, "-m", "x", "--set", "A=2", "--unset", "B", "--dry-run")
    markdown = confhub("publish", place, "-m", "x", "--set", "A=2", "--dry-run", "--markdown")
    document = confhub("publish", place, "-m", "x", "--set", "A=2", "--dry-run", "--output", "json")

    assert text.out == f'{place} r2 would be published:\n  ~ A  "1" → "2"\n  - B  "1"\n'
    assert "| `A` | changed |" in markdown.out
    assert document.document["answer"]["release"] == 2
    same = confhub("publish", place, "-m", "x", "--set", "A=1", "--dry-run")
    assert same.out == f"{place}: nothing would be published.\n"
    assert releases(server, place) == [1]


def test_nothing_new_is_no_new_release(confhub: Command, server: System, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "first", "--set", "A=1")

    ran = confhub("publish", place, "-m", "again", "--set", "A=1")

    assert ran.out == f"{place} r1 is what it would be, so nothing was published.\n"
    assert releases(server, place) == [1]


def test_a_stale_expectation_a_guard_and_a_missing_reason_are_1(
    confhub: Command, server: System, shop: str
) -> None:
    place = f"{shop}@prod"
    assert (
        "(release.reason_missing" in confhub("publish", place, "-m", "", "--set", "A=1", code=1).err
    )
    confhub(
        "publish", place, "-m", "many", *(word for n in range(12) for word in ("--set", f"K{n}=1"))
    )

    stale = confhub("publish", place, "-m", "x", "--set", "A=1", "--expected-release", "7", code=1)
    lost = [word for n in range(11) for word in ("--unset", f"K{n}")]
    guarded = confhub("publish", place, "-m", "fewer", *lost, code=1)

    assert "(release.stale" in stale.err
    assert "  count_halved: " in guarded.err
    assert "add --confirm CODE" in guarded.err
    assert releases(server, place) == [1]
    confhub("publish", place, "-m", "fewer", *lost, "--confirm", "count_halved")
    assert releases(server, place) == [2, 1]


def test_a_rollback_is_a_new_release(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "one", "--set", "A=1")
    confhub("publish", place, "-m", "two", "--set", "A=2")

    ran = confhub("rollback", place, "1", "--output", "json").document

    assert (ran["release"], ran["restores"]) == (3, 1)
    assert confhub("get", place, "A").out == "1\n"


def test_a_layer_is_published_for_chosen_scopes(confhub: Command, shop: str) -> None:
    layer = f"service/{shop}"
    for environment in ("dev", "prod"):
        confhub("publish", f"{shop}@{environment}", "-m", "own", "--set", "A=1")
    confhub("set", layer, "SHARED=1")

    ran = confhub("publish", layer, "-m", "only dev", "--target", f"{shop}@dev", "--wait", "10")

    assert ran.out.splitlines()[0] == f"{layer} r1 is published (1 key). Releases: {shop}@dev r2."
    assert "Nobody runs it now" in ran.out
    assert (
        confhub("history", f"{shop}@prod", "--output", "json").document["items"][0]["release"] == 1
    )


def test_where_nobody_runs_it_the_wait_is_short(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"

    ran = confhub("publish", place, "-m", "x", "--set", "A=1", "--wait", "1")
    wanted = confhub("publish", place, "-m", "y", "--set", "A=2", "--wait=1", "--require-instances", code=1)  # fmt: skip
    document = confhub(
        "publish", place, "-m", "z", "--set", "A=3", "--wait", "1", "--output", "json"
    )

    assert ran.out == (
        f"{place} r1 is published (1 key).\n{place} r1: nobody runs it\n"
        f"{place} r1 is published. Nobody runs it now, so nobody had to confirm it.\n"
    )
    assert f"{place} r2 is run by nobody" in wanted.err
    assert document.document["convergence"]["state"] == "nobody"


def test_a_terminal_sees_the_wait_drawn_anew(confhub: Command, shop: str) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "publish", f"{shop}@dev", "-m", "x", "--set", "A=1", "--wait", "1"], stdout=slave,
        stderr=slave, cwd=confhub.folder, env={**confhub.environment, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    said = b""
    try:
        while chunk := os.read(master, 10_000):
            said += chunk
    except OSError:  # the other side is closed
        pass
    os.close(master)

    assert process.wait(60) == 0, said
    assert b"\x1b[?25l" in said  # the cursor is hidden, and shown again
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")
    assert b"Nobody runs it now" in said


class Pending:
    """A server whose release is never confirmed: answers the calls of a wait, and counts them."""

    def __init__(self) -> None:
        self.looks = 0
        pending = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pending.looks += 1
                self._answer(200, b'{"service":"shop","environment":"dev","release":1,"state":"pending",'
                             b'"counts":{"waiting":1},"behind":[{"id":"i-1","host":"h","state":"waiting",'
                             b'"running":null,"stage":"","reason":"","problems":[]}]}')  # fmt: skip

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def pending() -> Iterator[Pending]:
    made = Pending()
    threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def test_ctrl_c_is_130_and_says_that_the_release_goes_on(confhub: Command) -> None:
    with pending() as server:
        process = confhub.start("status", "shop@dev", "--release", "1", "--wait", CONFHUB_URL=server.url)  # fmt: skip
        wait_until(lambda: server.looks > 1, what="it has shown a look, and looks again")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert out == "shop@dev r1: 1 waiting\n"
    assert (
        "shop@dev r1 goes on by itself; look with: confhub status shop@dev --release 1 --wait"
        in err
    )


def test_a_wait_that_is_over_is_3_and_names_who_is_behind(confhub: Command) -> None:
    with pending() as server:
        ran = confhub("status", "shop@dev", "--release", "1", "--wait", "0", code=3, CONFHUB_URL=server.url)  # fmt: skip
        document = confhub("status", "shop@dev", "--release", "1", "--wait", "0.2", "--output", "json", code=3, CONFHUB_URL=server.url)  # fmt: skip
        looks = server.looks

    assert ran.out == "shop@dev r1: 1 waiting\n"
    assert "Behind: i-1 on h: waiting." in ran.err
    assert document.problem["code"] == "command.timed_out"
    assert document.problem["convergence"]["behind"][0]["id"] == "i-1"
    assert looks < 12  # a server that does not hold the look is not asked without a pause


def test_a_broken_pipe_is_no_traceback(confhub: Command, shop: str) -> None:
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; confhub history {shop}@dev | true"],
        env=confhub.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "Traceback" not in process.stderr
