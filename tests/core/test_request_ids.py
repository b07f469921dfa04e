"""A request's id on its way out of the process: in rings for workers, in documents, in receipts."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog

from confhub.celery import app
from confhub.core import requests
from tests.core.test_wake import RELAY, RETRY, ringing
from tests.parts.servers import RedisServer, wait_until
from watchers.instance.memory import Memory
from watchers.instance.thread import receipt_of
from watchers.wire.canonical import canonical, checksum
from watchers.wire.documents import ReleaseDocument
from watchers.wire.status import Receipt, Status


def headers_in(server: RedisServer) -> list[tuple[str, str | None]]:
    """(task, the request's id) of each ring in the queue, oldest first."""
    with redis.Redis.from_url(server.url) as client:
        held = [json.loads(raw)["headers"] for raw in reversed(client.lrange("confhub:confhub", 0, -1))]  # fmt: skip
    return [(each["task"], each.get("request_id")) for each in held]


def test_a_ring_carries_the_request_that_rang_first(own_redis: RedisServer, tmp_path: Path) -> None:
    body = f"""
import structlog
def ring(request_id, *names):
    with structlog.contextvars.bound_contextvars(request_id=request_id), transaction.atomic():
        for name in names:
            wake.after_commit({RETRY!r}, instance_id=name)
ring("req-1", "first")
with wake._doorbell._changed:  # its thread sends nothing meanwhile
    ring("req-2", "again")
    ring("req-3", "again")
ring("req-4", "second")
wake.after_commit({RELAY!r})
"""
    with ringing(own_redis, tmp_path, body) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        wait_until(lambda: len(headers_in(own_redis)) == 4, what="four rings")
        process.stdin.close()

    assert headers_in(own_redis) == [
        (RETRY, "req-1"), (RETRY, "req-2"), (RETRY, "req-4"), (RELAY, None),
    ]  # fmt: skip


@app.task(name="tests.core.says", ignore_result=True)
def says(**_: Any) -> None:
    structlog.get_logger("tests").info("said", current=requests.current())


@pytest.mark.parametrize(
    ("sent", "bound"),
    [
        ({"request_id": "req-9"}, "req-9"),
        ({"request_id": "two\nlines"}, ""),
        ({"request_id": 7}, ""),
        ({}, ""),
    ],
    ids=["id", "no-id", "number", "none"],
)
def test_a_task_works_on_behalf_of_the_request_and_the_next_one_does_not(
    caplog: pytest.LogCaptureFixture, sent: dict[str, Any], bound: str
) -> None:
    caplog.set_level(logging.INFO)

    says.apply(headers=sent)
    after = requests.current()
    says.apply()

    first, second = [each.msg for each in caplog.records if each.name == "tests"]
    assert (first["current"], second["current"], after) == (bound, "", "")
    assert first.get("request_id", "") == bound


ENTRIES = {"A": {"value": 1}}


def a_document(**other: Any) -> ReleaseDocument:
    return ReleaseDocument("shop", "dev", 3, checksum(ENTRIES), ENTRIES, author="ann", **other)


def test_a_document_has_it_beside_its_checksum() -> None:
    with_id = a_document(request_id="req-1")

    assert json.loads(with_id.to_bytes())["request_id"] == "req-1"
    assert ReleaseDocument.from_bytes(with_id.to_bytes()) == with_id
    assert with_id.checksum == a_document().checksum


def test_one_without_it_is_written_as_it_always_was() -> None:
    """Documents are never changed, also where one is written once more after years."""
    before = {
        "author": "ann", "checksum": checksum(ENTRIES), "created_at": "", "entries": ENTRIES,
        "environment": "dev", "message": "", "parent": None, "release": 3, "service": "shop",
    }  # fmt: skip

    assert a_document().to_bytes() == canonical(before)
    assert ReleaseDocument.from_bytes(canonical(before)) == a_document()


@pytest.mark.parametrize(
    "held", [7, None, "", "x" * 101, "a b", "a\nb", ["a"]],
    ids=["number", "null", "empty", "long", "blank", "line", "list"],
)  # fmt: skip
def test_what_is_no_id_is_left_out(held: Any) -> None:
    document = json.loads(a_document().to_bytes()) | {"request_id": held}

    assert ReleaseDocument.from_bytes(canonical(document)).request_id == ""


def test_a_receipt_has_it_and_an_older_agents_has_none() -> None:
    memory = Memory(
        stage="confirmed", release=3, request_id="req-1", delivered_at="t", confirmed_at="t"
    )
    receipt = receipt_of(memory)
    status = Status("i", "shop", "dev", "node", "process", "confhub/0.1.0", receipt=receipt)

    read = Status.from_bytes(status.to_bytes())
    assert read == status
    assert read.receipt is not None
    assert read.receipt.request_id == "req-1"
    older = json.loads(status.to_bytes())
    del older["receipt"]["request_id"]
    assert Status.from_bytes(canonical(older)).receipt == Receipt(
        release=3, state="confirmed", at="t", delivered_at="t", confirmed_at="t"
    )


def test_an_agents_journal_of_before_is_read() -> None:
    kept = json.loads(Memory(stage="confirmed", release=3).to_json())
    del kept["request_id"]

    assert Memory.from_json(json.dumps(kept).encode()) == Memory(stage="confirmed", release=3)
