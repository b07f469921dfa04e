"""A ladder of ways: the next rung when one fails, the last good files when the last one did."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.served import Process, Served, runtime_for
from watchers import moments, processes
from watchers.attempt import Attempt
from watchers.confirm.base import Disproved, Proven
from watchers.wire.canonical import Json

Serve = Callable[..., Served]


class Admin:
    """The port on which a workload takes a reload and says what it runs, as the test wants it."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, "", [""][:0]
        admin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                admin.asked.append(f"{self.command} {self.path}")
                self.send_response(admin.status)
                self.end_headers()
                self.wfile.write(admin.body.encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def admin() -> Iterator[Admin]:
    held = Admin()
    yield held
    held.close()


def test_a_rung_that_is_refused_is_followed_by_the_next(
    serve: Serve, publisher: Publisher, process: Process, admin: Admin
) -> None:
    admin.status, admin.body = 500, "not today"
    served = serve(reload=f"http:POST :{admin.port}/reload ; signal:HUP")

    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    assert admin.asked == ["POST /reload"]
    assert process.reloads(1) == 1


def test_a_rung_that_may_not_be_used_is_passed_over(
    publisher: Publisher, serve: Serve, process: Process, admin: Admin
) -> None:
    served = serve(reload=f"signal:USR1 ; http:POST :{admin.port}/release/{{release}}")

    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    assert admin.asked == ["POST /release/1"]
    assert process.process.poll() is None, "a signal without a handler would have ended it"


def test_refused_by_the_last_rung_the_release_goes_and_the_files_come_back(
    serve: Serve, publisher: Publisher, process: Process, admin: Admin
) -> None:
    served = serve(reload=f"http:POST :{admin.port}/reload")
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)
    admin.status, admin.body = 400, "line 3: no such thing"

    publisher.publish({"MAX": 2})
    status = served.until("failed", 2)

    assert status.receipt is not None
    assert status.receipt.stage == "reload"
    assert "answered 400: line 3: no such thing" in status.receipt.reason
    assert (process.directory / "release").read_text() == "1\n"
    assert admin.asked == ["POST /reload"] * 3, "told again of the release before"


def test_an_answer_of_the_workload_confirms(
    serve: Serve, publisher: Publisher, admin: Admin
) -> None:
    served = serve(labels={"confirm": f"http:GET :{admin.port}/version contains r{{release}};"})
    admin.body = "r0;"

    publisher.publish({"MAX": 1})
    served.until("applied", 1)
    wait_until(lambda: len(admin.asked) > 3, what="the proof is looked at again and again")
    admin.body = "r1;"

    served.until("confirmed", 1)


@dataclass(frozen=True)
class Says:
    """A proof that says what the test wants: breaks or holds on purpose."""

    words: Callable[[Attempt], tuple[str, ...] | str]
    wait_s: float = 5.0

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {"noted": attempt.release}

    def look(self, attempt: Attempt) -> Proven:
        said = self.words(attempt)
        if isinstance(said, str):
            raise Disproved(said)
        return Proven(said)


@pytest.fixture
def serve_with(
    publisher: Publisher, process: Process, tmp_path: Any
) -> Iterator[Callable[..., Served]]:
    """`serve_with(proof=…, reload=…)`: an agent whose one workload has that proof."""
    begun: list[Served] = []

    def begin(*, proof: Any, **wishes: Any) -> Served:
        runtime = runtime_for(process.process.pid, process.directory, **wishes)
        workload = runtime._workload
        assert workload.wishes is not None
        runtime._workload = replace(workload, wishes=replace(workload.wishes, proof=proof))
        held = Served(publisher.endpoint, publisher.keyspace, tmp_path / "state", runtime)
        held.began = lambda pid: runtime.started(  # type: ignore[attr-defined]
            processes.identify(pid), generation="gen-1", started_at=moments.stamp()
        )
        begun.append(held)
        return held

    yield begin
    for held in begun:
        held.stop()


def test_what_is_disproved_is_told_by_the_next_rung(
    serve_with: Serve, publisher: Publisher, process: Process, admin: Admin
) -> None:
    seen: list[Attempt] = []

    def only_after_http(attempt: Attempt) -> tuple[str, ...] | str:
        seen.append(attempt)
        return () if admin.asked else "the workers are the old ones"

    served = serve_with(
        proof=Says(only_after_http), reload=f"signal:HUP ; http:POST :{admin.port}/harder"
    )

    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    assert process.reloads(1) == 1
    assert admin.asked == ["POST /harder"]
    assert all(each.told_at_ns for each in seen)
    assert all(each.noted == {"noted": 1} for each in seen)


def test_disproved_after_the_last_rung_the_last_good_one_comes_back(
    serve_with: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve_with(proof=Says(lambda at: () if at.release == 1 else "no new worker came"))
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    publisher.publish({"MAX": 2})
    status = served.until("failed", 2)

    assert status.receipt is not None
    assert (status.receipt.stage, status.running) == ("confirm", 1)
    assert status.receipt.reason.startswith("no new worker came")
    wait_until(
        lambda: [line["release"] for line in process.lines()] == [0, 1, 2, 1],
        what="the process has read the last good release again",
    )


def test_what_waits_for_a_restart_is_not_called_applied_until_there_was_one(
    serve_with: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve_with(proof=Says(lambda at: ("max_connections",) if at.told_at_ns else ()))

    publisher.publish({"max_connections": 200})
    status = served.until("delivered", 1)
    wait_until(
        lambda: (
            (s := served.status()) is not None
            and s.receipt is not None
            and s.receipt.pending_restart == ("max_connections",)
        ),
        what="the receipt names what waits",
    )

    status = served.status()
    assert status is not None
    assert status.receipt is not None
    assert (status.receipt.applied_at, status.running) == (None, None)
    assert status.problems == ("Release 1 waits for a restart: max_connections.",)

    process.restart()
    served.began(process.process.pid)
    status = served.until("confirmed", 1)
    assert (status.running, status.problems) == (1, ())
    assert status.receipt is not None
    assert status.receipt.pending_restart == ()
