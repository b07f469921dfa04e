"""Alive, and what does not answer."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from confhub.api import health
from confhub.core import clock
from confhub.fleet import actions as fleet
from tests.parts.servers import EtcdServer, RedisServer, wait_until


@pytest.fixture(autouse=True)
def fresh_probes() -> Iterator[None]:
    """No probe of an earlier test is still on its way, and none outlives the test."""
    yield
    wait_until(
        lambda: not any(probe.is_asking for probe in health.PROBES.values()), what="idle probes"
    )


@pytest.fixture
def house(
    transactional_db: None, own_etcd: EtcdServer, own_redis: RedisServer, settings: Any
) -> None:
    """Everything there, and just followed."""
    settings.ETCD_ENDPOINTS = [own_etcd.endpoint]
    settings.REDIS_URL = own_redis.url
    fleet.mark_fresh(revision=1, follower="worker-1", now=clock.now())


def ready(client: Client, status: int = 200) -> dict[str, Any]:
    answer = client.get("/readyz")
    assert answer.status_code == status, answer.content
    assert answer["Cache-Control"] == "no-store"
    document: dict[str, Any] = answer.json()
    return document


def not_ok(document: dict[str, Any]) -> set[str]:
    return {name for name, found in document["dependencies"].items() if not found["ok"]}


def test_alive_asks_nothing(client: Client) -> None:
    answer = client.get("/healthz")  # no database is allowed in this test

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def test_all_is_there(client: Client, house: None) -> None:
    document = ready(client)

    assert document["status"] == "ready", document
    assert document["dependencies"].keys() == {"database", "etcd", "redis", "follower", "outbox"}
    assert document["dependencies"]["follower"]["age_s"] < 60
    assert all(found["why"] == "" for found in document["dependencies"].values())


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_without_etcd_and_redis_it_is_degraded_within_bounds(
    client: Client, house: None, own_etcd: EtcdServer, own_redis: RedisServer, how: str
) -> None:
    getattr(own_etcd, how)()
    getattr(own_redis, how)()

    started = time.monotonic()
    document = ready(client)

    assert document["status"] == "degraded"
    assert not_ok(document) == {"etcd", "redis"}
    for name in ("etcd", "redis"):
        assert document["dependencies"][name]["why"].endswith(".")
    assert time.monotonic() - started < 2.5
    own_etcd.thaw()
    own_redis.thaw()


def test_a_view_that_is_old_is_named(client: Client, house: None) -> None:
    fleet.mark_fresh(revision=2, follower="w", now=clock.now() - timedelta(minutes=5))

    document = ready(client)

    assert (document["status"], not_ok(document)) == ("degraded", {"follower"})
    assert 299 < document["dependencies"]["follower"]["age_s"] < 330


def test_a_release_that_waits_too_long_is_named(
    client: Client, house: None, publish: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(A=1)
    monkeypatch.setattr(health, "OUTBOX_STALE_S", 0.0)

    document = ready(client)

    assert not_ok(document) == {"outbox"}
    assert "1 release waits" in document["dependencies"]["outbox"]["why"]


def test_only_without_the_database_it_is_down(
    client: Client, house: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> health.Finding:
        raise OperationalError("could not connect to 10.0.0.7")

    monkeypatch.setattr(health.PROBES["database"], "look", away)

    document = ready(client, status=503)

    assert document["status"] == "down"
    assert "10.0.0.7" not in str(document)


def test_a_probe_that_hangs_is_waited_for_and_not_asked_again() -> None:
    asked = []

    def hang() -> health.Finding:
        asked.append(1)
        time.sleep(0.5)
        return "", None

    probe = health.Probe("thing", hang)

    first, second = probe.ask(), probe.ask()

    assert first is second
    with pytest.raises(TimeoutError):
        first.result(timeout=0.1)
    assert first.result(timeout=10) == ("", None)
    assert len(asked) == 1
    assert probe.ask() is not first
    probe.ask().result(timeout=10)
