"""One id through everything: `X-Request-Id` of a publish, in each log, in the audit, in etcd, in the
receipt of the process that runs the release, and back in REST."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.parts.etcdctl import b64, call
from tests.parts.servers import EtcdServer, RedisServer, wait_until
from tests.parts.system import Part, System

JOB = "deploy-1842:try.2"
SLEEPS = (
    "import signal, time\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile True: time.sleep(1)"
)
SCOPE = "/services/shop/environments/dev"


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, etcd: EtcdServer, redis_server: RedisServer
) -> Iterator[System]:
    made = System(
        tmp_path_factory.mktemp("one-id"), etcd=etcd, redis=redis_server,
        settings={"LOG_LEVEL": "DEBUG", "LOG_JSON": "true"},
    )  # fmt: skip
    with made as running:
        running.call("POST", "/environments", {"slug": "dev"})
        running.call("POST", "/services", {"slug": "shop"})
        yield running


def lines(part: Part, request_id: str) -> list[dict[str, Any]]:
    """The log lines of `part` that carry the id."""
    text = (part.directory / "log").read_text(errors="replace")
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if line.get("request_id") == request_id]


def events(part: Part, request_id: str) -> set[str]:
    return {str(line.get("event")) for line in lines(part, request_id)}


def in_etcd(system: System, key: str) -> Any:
    """The JSON at a key below the system's prefix; None where nothing stands there."""
    answer = call(system.etcd.endpoint, "/v3/kv/range", {"key": b64(f"{system.prefix}/{key}")})
    import base64

    held = answer.get("kvs") or []
    return json.loads(base64.b64decode(held[0]["value"])) if held else None


def receipt(system: System) -> dict[str, Any]:
    items = system.call("GET", f"{SCOPE}/instances")[1]["items"]
    return (items[0]["receipt"] or {}) if items else {}


def test_one_id_is_found_everywhere(system: System) -> None:
    status, published = system.call(
        "POST", f"{SCOPE}/releases", {"message": "m", "set": {"A": 1}}, X_Request_Id=JOB
    )
    assert status == 201
    assert published["release"] == 1
    run = system.run("shop", "dev", sys.executable, "-c", SLEEPS, soak="0s")
    wait_until(lambda: receipt(system).get("state") == "confirmed", what="a receipt", timeout_s=60)

    # the web process and the audit
    assert "release.published" in events(system.web, JOB)
    audited = system.call("GET", "/audit?action=release.published")[1]["items"]
    assert [each["request_id"] for each in audited] == [JOB]
    # the worker: the task that the request rang for, and what the relay says of the release
    wait_until(lambda: "task.begun" in events(system.worker, JOB), what="the ring at the worker")
    written = [each for each in lines(system.worker, JOB) if each["event"] == "publication.written"]
    assert [(each["scope"], each["release"]) for each in written] == [("shop@dev", 1)]
    # etcd
    document = in_etcd(system, "dev/shop/releases/00000001")
    assert document["request_id"] == JOB
    # the container side, and what it told etcd
    assert {"release.confirmed"} <= events(run, JOB)
    [item] = system.call("GET", f"{SCOPE}/instances")[1]["items"]
    told = in_etcd(system, f"dev/shop/instances/{item['id']}")
    assert told["receipt"]["request_id"] == JOB
    # and back
    assert item["receipt"]["request_id"] == JOB


def test_the_next_release_has_its_own_and_a_refused_one_as_well(system: System) -> None:
    run = system.services[0]

    system.call("POST", f"{SCOPE}/releases", {"message": "m", "set": {"A": 2}}, X_Request_Id="req-2")  # fmt: skip
    wait_until(
        lambda: receipt(system).get("state") == "confirmed" and receipt(system)["release"] == 2,
        what="the receipt of release 2", timeout_s=60,
    )  # fmt: skip

    assert receipt(system)["request_id"] == "req-2"
    assert {"release.delivered", "release.confirmed"} <= events(run, "req-2")
    assert in_etcd(system, "dev/shop/releases/00000001")["request_id"] == JOB
    assert all(each.get("release") in (1, None) for each in lines(run, JOB))


def test_an_id_that_is_none_is_replaced_before_it_gets_anywhere(system: System) -> None:
    system.call("POST", f"{SCOPE}/releases", {"message": "m", "set": {"A": 3}}, X_Request_Id="a b")

    wait_until(lambda: in_etcd(system, "dev/shop/releases/00000003"), what="release 3")
    assert re.fullmatch("[0-9a-f]{32}", in_etcd(system, "dev/shop/releases/00000003")["request_id"])
