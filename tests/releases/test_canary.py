"""A canary secret on its whole way: where its value is found (one answer), and where not (everywhere else)."""

import base64
import json
import re
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from django.urls import URLPattern, get_resolver
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.parts import etcdctl
from tests.parts.servers import wait_until
from tests.parts.system import PASSWORD, System

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("canary")]
CANARY = "canary-7f3a9e41c0d25b68-value"
SERVICE, ENVIRONMENT = "shop", "dev"
SCOPE = f"/services/{SERVICE}/environments/{ENVIRONMENT}"
SLEEPS = "import signal\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile True: signal.pause()"


def forms() -> list[bytes]:
    """The canary as it is, and as a part of anything in BASE64."""
    raw = CANARY.encode()
    shifted = [base64.b64encode(b"\0" * skip + raw) for skip in range(3)]
    return [raw, *(each[4:-4] for each in shifted)]


FORMS = forms()


def holds(content: bytes) -> bool:
    return any(form in content for form in FORMS)


@dataclass
class Ears:
    """Everything that Redis was told, and every frame of a socket."""

    redis: bytearray = field(default_factory=bytearray)
    frames: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(
        tmp_path_factory.mktemp("canary"), settings={"LOG_LEVEL": "DEBUG", "LOG_JSON": "true"}
    ) as system:
        yield system


@contextmanager
def signed_in(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.url, follow_redirects=True, timeout=30) as client:
        client.get("/sign-in/")
        form = {
            "username": "admin", "password": PASSWORD,
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }  # fmt: skip
        client.post("/sign-in/", data=form, headers={"Referer": f"{system.url}/sign-in/"})
        yield client


@contextmanager
def listening(system: System, client: httpx.Client) -> Iterator[Ears]:
    """A MONITOR on Redis, and a live socket that follows the scope, the layer and the catalog."""
    ears = Ears()
    page = client.get(f"/services/{SERVICE}/{ENVIRONMENT}/").text
    layer = client.get("/layers/global/").text
    streams = [str(each.split('data-streams="')[1].split('"')[0]) for each in (page, layer)]
    monitor = socket.create_connection(("127.0.0.1", system.redis.port), timeout=10)
    monitor.sendall(b"MONITOR\r\n")
    monitor.settimeout(0.5)
    stop = threading.Event()

    def hear_redis() -> None:
        while not stop.is_set():
            try:
                ears.redis.extend(monitor.recv(65536))
            except TimeoutError:
                continue

    def hear_socket(live: ClientConnection) -> None:
        while not stop.is_set():
            try:
                ears.frames.append(str(live.recv(timeout=0.5)))
            except TimeoutError:
                continue
            except ConnectionClosed:
                return

    with (
        connect(
            system.url.replace("http", "ws") + "/ws/live/",
            origin=system.url,  # type: ignore[arg-type]  # a plain text is one
            additional_headers={"Cookie": f"sessionid={client.cookies['sessionid']}"},
        ) as live,
        monitor,
    ):
        live.send(json.dumps({"subscribe": [*streams, "catalog"], "position": 0}))
        threads = [
            threading.Thread(target=hear_redis), threading.Thread(target=hear_socket, args=(live,))
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        yield ears
        stop.set()
        for thread in threads:
            thread.join(10)


def found_in_files(system: System) -> list[str]:
    """Files with the canary in them: the database, etcd's and Redis' data, every log, the agent's
    cache. What is delivered to the workload is left out, because it is for its eyes."""
    return [
        str(path.relative_to(system.directory))
        for path in system.directory.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith("gen-") for part in path.parts)
        and holds(path.read_bytes())
    ]


def found_in_stores(system: System, ears: Ears) -> list[str]:
    """The same in what each store says itself."""
    found = []
    with closing(sqlite3.connect(system.directory / "confhub.sqlite3")) as database:
        found += [line[:60] for line in database.iterdump() if holds(line.encode())]
    held = etcdctl.get_prefix(system.etcd.endpoint, "/")
    assert any("/releases/" in key for key in held)
    found += [key for key, raw in held.items() if holds(raw)]
    with redis.Redis.from_url(system.redis.url) as client:
        for key in client.scan_iter():
            if holds(client.dump(key) or b""):
                found.append(str(key))
    found += [line[:60] for line in ears.frames if holds(line.encode())]
    found += ["what Redis was told"] if holds(bytes(ears.redis)) else []
    return found


# ── every page and every call ─────────────────────────────────────────────────────────────────────

PARTS = {
    "service": SERVICE, "environment": ENVIRONMENT, "number": "1", "release": "1", "name": "admin",
    "grant": "1", "slug": SERVICE, "request": "1", "request_id": "1", "window": "1", "freeze": "1",
    "set": "common", "message_id": "msg_1", "delivery": "1", "key": "PW",
}  # fmt: skip
# Named as PARTS has it, so that their pages and calls are among those that are looked at.
MADE = {
    "/tokens": {"name": "admin", "unlimited": True},
    "/deploy-hooks": {
        "name": "admin", "kind": "confhub", "service": SERVICE, "environment": ENVIRONMENT,
        "mapping": {"set": {"TAG": {"pointer": "/tag"}}},
    },
    "/webhooks": {"name": "admin", "to": "https://hooks.example.invalid/confhub", "kinds": []},
    "/publish-hooks": {
        "name": "admin", "when": "after", "url": "https://hooks.example.invalid/told",
    },
}  # fmt: skip


NAMED_LAYER = "(?P<kind>environment|set|service)/(?P<slug>[a-z0-9-]{1,63})"
LAYERS = (f"environment/{ENVIRONMENT}", "set/common", f"service/{SERVICE}")


def pages(instance: str) -> list[str]:
    """Every address of the pages, filled in; a part that PARTS does not know fails."""
    known = PARTS | {"instance_id": instance}
    found = []
    for pattern in get_resolver("dashboard.urls").url_patterns:
        assert isinstance(pattern, URLPattern)
        text = str(pattern.pattern).removeprefix("^").removesuffix("$").replace("\\.", ".")
        text = text.replace("(?P<kind>global)", "global").replace("(?P<format>csv|jsonl)", "jsonl")
        for layer in LAYERS if NAMED_LAYER in text else [""]:
            filled = text.replace(NAMED_LAYER, layer)
            filled = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: known[match[1]], filled)
            assert not re.search(r"[<>()]", filled), f"{filled}: teach this test its parts"
            found.append(f"/{filled}")
    return found


def calls(document: dict[str, Any], instance: str) -> list[str]:
    """Every GET of REST, filled in."""
    known = PARTS | {"instance_id": instance, "instance": instance, "kind": "services"}
    found = []
    for path, methods in document["paths"].items():
        if "get" in methods and "watch" not in path:
            filled = re.sub(r"\{(\w+)\}", lambda match: known[match[1]], path)
            found.append(filled)
    formats = [f"/api/v1{SCOPE}/config?format={name}" for name in ("yaml", "env", "toml")]
    return [*found, *formats, f"/api/v1{SCOPE}/config?provenance=1"]


def answers(client: httpx.Client, instance: str) -> dict[str, tuple[int, bytes]]:
    """{address: (status, body)} of all that anybody can look at; nothing of it changes a thing."""
    document = client.get("/api/v1/openapi.json").json()
    paths = [*pages(instance), *calls(document, instance)]
    found = {}
    for path in paths:
        if path in ("/sign-out/", "/theme/"):
            continue
        asked = path if "?" in path else f"{path}?key=PW&q=canary"
        answer = client.get(asked)
        found[path] = (answer.status_code, answer.content)
    return found


def test_its_value_is_in_one_answer_and_nowhere_else(system: System) -> None:
    system.call("POST", "/services", {"slug": SERVICE})
    system.call("POST", "/layers/sets", {"slug": "common"})
    for path, body in MADE.items():
        status, said = system.call("POST", path, body)
        assert status in (201, 409), (path, said)  # the first start has made a token of this name
    keys = system.manage("secrets_key", SERVICE, ENVIRONMENT).strip()
    with signed_in(system) as client, listening(system, client) as ears:
        every = {"If_Match": "*"}
        for path, body in (
            (f"{SCOPE}/draft", {"A": 1, "PW": {"$secret": CANARY}}),
            ("/layers/global/draft", {"SHARED": {"$secret": f"shared {CANARY}"}}),
            ("/layers/sets/common/draft", {"PW": {"$secret": f"set {CANARY}"}}),
        ):
            status, _ = system.call("PATCH", path, {"set": body}, **every)
            assert status == 200
        published = {"message": "m", "targets": "all"}
        assert system.call("POST", "/layers/global/releases", published)[0] == 201
        assert system.call("POST", f"{SCOPE}/releases", {"message": "m"})[0] == 201
        part = system.run(
            SERVICE, ENVIRONMENT, sys.executable, "-c", SLEEPS, soak="200ms",
            settings={"CONFHUB_SECRETS_KEY": keys, "CONFHUB_SECRETS_ON_DISK": "true"},
        )  # fmt: skip
        instance = confirmed(system, 1)
        system.call(
            "PATCH", f"{SCOPE}/draft", {"set": {"PW": {"$secret": f"new {CANARY}"}}}, **every
        )
        for broken in ({"PW": {"a": {"$secret": CANARY}}}, {"PW": {"$secret": [CANARY, "•••"]}}):
            status, said = system.call("PATCH", f"{SCOPE}/draft", {"set": broken}, **every)
            assert (status, holds(json.dumps(said).encode())) == (422, False)

        delivered = [
            path for path in part.directory.parent.rglob("gen-1/config.json") if path.is_file()
        ]
        assert [json.loads(path.read_text())["PW"] for path in delivered] == [CANARY]
        seen = answers(client, instance)
        for path, (status, body) in seen.items():
            assert status < 500, (path, body[-500:])
            assert not holds(body), path
        drawn = {path for path, (status, _) in seen.items() if status == 200}
        assert {
            f"/services/{SERVICE}/{ENVIRONMENT}/config/", "/layers/global/", "/layers/set/common/",
            "/layers/set/common/key/", "/audit/",
            f"/services/{SERVICE}/{ENVIRONMENT}/config/key/",
            f"/services/{SERVICE}/{ENVIRONMENT}/review/", f"/api/v1{SCOPE}/draft",
            f"/api/v1{SCOPE}/releases/1", f"/api/v1{SCOPE}/config", "/tokens/", "/webhooks/admin/",
            "/deploy-hooks/admin/", "/publish-hooks/admin/", "/api/v1/webhooks/admin/deliveries",
        } <= drawn  # fmt: skip
        assert any("draft.changed" in frame for frame in ears.frames)
        assert any("release.published" in frame for frame in ears.frames)
        assert reveals(system) == []
        assert found_in_files(system) == []
        assert found_in_stores(system, ears) == []

        status, answer = system.call(
            "POST", f"{SCOPE}/reveal", {"key": "PW", "reason": "to test it", "release": 1}
        )  # fmt: skip

        assert (status, answer["value"]) == (200, CANARY)
        after = answers(client, instance)
        assert [path for path, (_, body) in after.items() if holds(body)] == []
        wait_until(
            lambda: "secret.revealed" in client.get("/audit/").text, what="the audit shows it"
        )
        assert b"confhub" in ears.redis, "Redis was listened to"
        assert found_in_files(system) == []
        assert found_in_stores(system, ears) == []
    assert reveals(system) == [{"key": "PW", "reason": "to test it", "of": 1, "version": 1}]


def confirmed(system: System, release: int) -> str:
    """The id of the one instance, once it has confirmed `release`."""
    seen: list[dict[str, Any]] = []

    def is_so() -> bool:
        seen[:] = system.call("GET", f"{SCOPE}/instances")[1]["items"]
        return [(tile["state"], tile["running"]) for tile in seen] == [("confirmed", release)]

    wait_until(is_so, what=f"r{release} confirmed, not {seen}", timeout_s=60)
    return str(seen[0]["id"])


def reveals(system: System) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(system.directory / "confhub.sqlite3")) as database:
        rows = database.execute("SELECT data FROM events_auditentry WHERE action='secret.revealed'")
        return [json.loads(data) for (data,) in rows]


def test_what_is_searched_for_would_be_found(tmp_path: Path) -> None:
    """The search itself: in clear, and at each place within BASE64."""
    wrap: Callable[[str], bytes] = lambda text: base64.b64encode(text.encode())  # noqa: E731  # short
    samples = [CANARY.encode(), *(wrap("x" * skip + CANARY + "tail") for skip in range(6))]

    assert all(map(holds, samples))
    assert not holds(b"canary-of-another-kind")
