"""The HTTP client against a real server that refuses, stalls and sends away."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from confhub.client.command.calls import Api, Unreachable
from confhub.client.command.failures import Failure, Problem
from confhub.client.command.streams import Event, events
from tests.client.command.conftest import Command
from tests.parts.servers import wait_until

Answer = tuple[int, dict[str, str], bytes]


class Script:
    """Answers each call with the next of `answers`, the last one for ever; notes what came."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.came: list[tuple[str, str, dict[str, str], bytes]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                script.came.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = script.answers[min(len(script.came), len(script.answers)) - 1]  # fmt: skip
                self.send_response(status)
                for name, held in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, held)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815  # http.server's names

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def api(script: Script) -> Iterator[Api]:
    made = Api(script.url, "a-token", patience_s=5.0, notify=lambda _: None)
    yield made
    made.close()


def problem(status: int, code: str, **headers: str) -> Answer:
    body = {"code": code, "detail": "Not now.", "status": status, "request_id": "r1"}
    return status, {"Content-Type": "application/problem+json", **{name.replace("_", "-"): held for name, held in headers.items()}}, json.dumps(body).encode()  # fmt: skip


DONE: Answer = (200, {"Content-Type": "application/json"}, b'{"done": true}')


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("refusal", ["rate.limited", "database.away"])
def test_what_did_nothing_is_called_again(
    script: Script, api: Api, method: str, refusal: str
) -> None:
    status = 429 if refusal == "rate.limited" else 503
    script.answers = [problem(status, refusal, Retry_After="0"), DONE]

    assert api.call(method, "/x", {"a": 1}).document == {"done": True}
    assert len(script.came) == 2
    assert script.came[0] == script.came[1]


def test_retry_after_is_waited_for(
    script: Script, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("confhub.client.command.calls.time.sleep", slept.append)
    script.answers = [problem(429, "rate.limited", Retry_After="40"), DONE]

    api.call("POST", "/x", {})

    assert slept == [40.0]


def test_a_gateway_that_lost_it_is_asked_again_only_where_that_does_nothing_twice(
    script: Script, api: Api
) -> None:
    lost: Answer = (502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>")
    script.answers = [lost, DONE]

    with pytest.raises(Failure, match="502 and no problem document"):
        api.call("POST", "/x", {})
    assert len(script.came) == 1

    script.came.clear()
    assert api.call("POST", "/x", {}, headers={"Idempotency-Key": "k"}).status == 200
    assert [headers["Idempotency-Key"] for _, _, headers, _ in script.came] == ["k", "k"]
    script.came.clear()
    assert api.call("PATCH", "/x", {}, headers={"If-Match": "*"}).status == 200
    script.came.clear()
    assert api.get("/x") == {"done": True}


def test_a_refusal_is_final(script: Script, api: Api) -> None:
    script.answers = [problem(409, "release.stale"), DONE]

    with pytest.raises(Problem) as refused:
        api.call("GET", "/x")
    assert (refused.value.code, refused.value.status) == ("release.stale", 409)
    assert len(script.came) == 1


def test_a_token_is_not_sent_along_a_redirect(script: Script, api: Api) -> None:
    script.answers = [(302, {"Location": f"{script.url}/elsewhere"}, b"")]

    with pytest.raises(Failure, match="answers with a redirect to"):
        api.get("/x")
    assert len(script.came) == 1


def test_another_server_is_not_taken_for_confhub(script: Script, api: Api) -> None:
    script.answers = [(200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>")]

    with pytest.raises(Failure, match="Is CONFHUB_URL the address"):
        api.get("/x")


def test_an_answer_that_never_comes_is_given_up(script: Script) -> None:
    script.answers = [(200, {"Content-Length": "10"}, b"half")]
    api = Api(script.url, "", patience_s=0.0, notify=lambda _: None)

    with pytest.raises(Unreachable, match="broke"):
        api.call("GET", "/x", timeout_s=0.3)
    api.close()


def test_the_pages_of_a_list_are_put_together(script: Script, api: Api) -> None:
    script.answers = [
        (200, {}, b'{"items": [1, 2], "next": "c"}'), (200, {}, b'{"items": [3], "next": null}'),
    ]  # fmt: skip

    assert api.pages("/x", {"all": True}) == {"items": [1, 2, 3], "next": None}
    assert [path for _, path, _, _ in script.came] == ["/api/v1/x?all=1&limit=500", "/api/v1/x?all=1&limit=500&after=c"]  # fmt: skip


# ── streams ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id: 4\nevent: release\ndata: {}\n\n", [Event("release", "{}", "4")]),
        (": beat\n\nid: 4\n\ndata: a\ndata: b\n\n", [Event("message", "a\nb", "4")]),
        ("data:x\n\nevent: other\n\ndata: cut", [Event("message", "x", "")]),
        ("retry: 1500\n\n", [Event(" retry", "1500", "")]),
    ],
    ids=["one", "comment-and-lines", "cut", "retry"],
)
def test_events_are_read_as_the_standard_says(text: str, found: list[Event]) -> None:
    assert list(events(iter(text.split("\n")))) == found


def release(number: int) -> bytes:
    return b'id: %d\nevent: release\ndata: {"release": %d, "author": "mia", "message": "m%d"}\n\n' % ((number,) * 3)  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
def test_watch_goes_on_where_it_was(script: Script, confhub: Command, form: str) -> None:
    stream = {"Content-Type": "text/event-stream", "Connection": "close"}
    script.answers = [
        (200, stream, b"retry: 20\n\n" + release(4)), problem(503, "server.leaves", Retry_After="0"),
        (200, stream, b"retry: 20\n\n" + release(4) + release(5)),
    ]  # fmt: skip

    ran = confhub("watch", "shop@dev", "--count", "2", "--output", form, CONFHUB_URL=script.url)

    lines = {
        "text": "shop@dev r4 by mia: m4\nshop@dev r5 by mia: m5\n",
        "json": '{"release": 4, "author": "mia", "message": "m4"}\n{"release": 5, "author": "mia", "message": "m5"}\n',
    }
    assert ran.out == lines[form]
    assert [headers.get("Last-Event-ID") for _, _, headers, _ in script.came] == [None, "4", "4"]


def test_watch_ends_where_it_is_refused(script: Script, confhub: Command) -> None:
    script.answers = [problem(404, "not_found")]

    assert (
        "(not_found, request r1)"
        in confhub("watch", "shop@dev", code=1, CONFHUB_URL=script.url).err
    )


# ── completion ────────────────────────────────────────────────────────────────────────────────────


def complete(confhub: Command, *words: str, **variables: str) -> list[str]:
    ran = confhub(
        _CONFHUB_COMPLETE="bash_complete", COMP_WORDS=" ".join(["confhub", *words]),
        COMP_CWORD=str(len(words)), **variables,
    )  # fmt: skip
    return [line.removeprefix("plain,") for line in ran.out.splitlines() if line]


def test_words_are_completed_from_the_server(confhub: Command, another: Callable[[], str]) -> None:
    shop = another()
    confhub("publish", f"{shop}@dev", "-m", "x", "--set", "POOL=1", "--set", "HOST=1")

    assert complete(confhub, "pub") == ["publish"]
    assert complete(confhub, "get", f"{shop}@") == [
        f"{shop}@dev",
        f"{shop}@staging",
        f"{shop}@prod",
    ]
    assert "global" in complete(confhub, "diff", "gl")
    assert complete(confhub, "get", f"{shop}@dev", "P") == ["POOL"]
    assert complete(confhub, "services", "show", shop) == [shop]
    assert "--require-instances" in complete(confhub, "publish", f"{shop}@dev", "--req")


def test_a_server_that_says_nothing_completes_nothing_and_prints_nothing(
    confhub: Command, script: Script
) -> None:
    script.answers = [(200, {"Content-Length": "100"}, b"{")]

    assert complete(confhub, "get", "sh", CONFHUB_URL=script.url) == []
    assert complete(confhub, "get", "sh", CONFHUB_URL="http://127.0.0.1:1") == []
    assert complete(confhub, "get", "sh", CONFHUB_URL="") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_names_the_program(confhub: Command, shell: str) -> None:
    ran = confhub("completion", shell)

    assert f"_CONFHUB_COMPLETE={shell}_complete" in ran.out


def test_a_rate_limit_that_is_over_soon_is_waited_out(confhub: Command, script: Script) -> None:
    listed: Answer = (200, {"Content-Type": "application/json"}, b'{"items": [], "next": null}')
    script.answers = [problem(429, "rate.limited", Retry_After="1"), listed]

    ran = confhub("services", CONFHUB_URL=script.url)

    assert ran.err == "confhub: Not now. Trying again.\n"
    wait_until(lambda: len(script.came) == 2, what="it came again")
