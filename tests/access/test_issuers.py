"""Keys as issuers publish them: fetched when needed, kept for minutes, and never from anybody else."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from confhub.access import issuers as module
from confhub.access.issuers import IssuerAway, Issuers, Source
from tests.parts.issuer import DISCOVERY, KEYS, Issuer, jwk, private_key
from tests.parts.servers import wait_until


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def issuer(settings: Any) -> Iterator[Issuer]:
    server = Issuer()
    settings.CONFHUB_OUTGOING_ALLOW = [server.host]
    yield server
    server.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> Issuers:
    return Issuers(clock=clock)


def test_they_are_found_by_discovery_and_asked_for_once(issuer: Issuer, keys: Issuers) -> None:
    source = Source(issuer.url, "")

    found = [keys.key(source, "key-1") for _ in range(5)]

    assert found == [issuer.keys[0]] * 5
    assert issuer.asked == [DISCOVERY, KEYS]


def test_a_written_address_needs_no_discovery(issuer: Issuer, keys: Issuers) -> None:
    assert keys.key(Source("https://forge.example", issuer.url + KEYS), "key-1") is not None
    assert issuer.asked == [KEYS]


def test_a_new_key_is_found_and_made_up_ones_do_not_hammer(
    issuer: Issuer, keys: Issuers, clock: Clock
) -> None:
    source = Source(issuer.url, issuer.url + KEYS)
    assert keys.key(source, "key-1") is not None
    issuer.keys.append(jwk(private_key("p256"), "key-2"))

    assert [keys.key(source, "key-2"), keys.key(source, "made-up")] == [None, None]
    assert len(issuer.asked) == 1  # it was asked a moment ago

    clock.now_s += 30
    assert keys.key(source, "key-2") == issuer.keys[1]
    assert [keys.key(source, f"made-up-{n}") for n in range(20)] == [None] * 20
    assert len(issuer.asked) == 2


def test_a_key_that_was_taken_back_is_good_for_ten_minutes_at_most(
    issuer: Issuer, keys: Issuers, clock: Clock
) -> None:
    source = Source(issuer.url, "")
    assert keys.key(source, "key-1") is not None
    issuer.keys[:] = [jwk(private_key("p256"), "key-2")]

    clock.now_s += 599
    assert keys.key(source, "key-1") is not None
    clock.now_s += 1
    assert keys.key(source, "key-1") is None
    assert keys.key(source, "key-2") is not None


def test_while_it_does_not_answer_its_keys_are_good_for_an_hour(
    issuer: Issuer, keys: Issuers, clock: Clock
) -> None:
    source = Source(issuer.url, "")
    assert keys.key(source, "key-1") is not None
    issuer.answers[DISCOVERY] = (500, b"")

    clock.now_s += 3600
    assert keys.key(source, "key-1") is not None
    clock.now_s += 1
    with pytest.raises(IssuerAway, match=r"openid-configuration answered 500\.") as refusal:
        keys.key(source, "key-1")
    assert refusal.value.extra["retry_after_s"] == 5

    asked = len(issuer.asked)
    with pytest.raises(IssuerAway):
        keys.key(source, "key-1")
    assert len(issuer.asked) == asked  # not again within five seconds
    del issuer.answers[DISCOVERY]
    clock.now_s += 5
    assert keys.key(source, "key-1") is not None


def test_an_unknown_key_of_an_issuer_that_is_away_is_not_called_unknown(
    issuer: Issuer, keys: Issuers, clock: Clock
) -> None:
    source = Source(issuer.url, "")
    assert keys.key(source, "key-1") is not None
    issuer.answers[KEYS] = (503, b"")
    clock.now_s += 30

    with pytest.raises(IssuerAway):
        keys.key(source, "key-2")
    assert keys.key(source, "key-1") is not None


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        (DISCOVERY, (404, b"{}"), "answered 404"),
        (DISCOVERY, (302, b""), "answered 302"),
        (DISCOVERY, (200, b"<html>"), "no JSON"),
        (DISCOVERY, (200, b"[]"), "no JSON object"),
        (DISCOVERY, (200, b'{"issuer": "https://evil.example", "jwks_uri": "x"}'), "another issuer"),
        (DISCOVERY, (200, b"[" * 100_000), "no JSON"),
        (KEYS, (200, b'{"keys": 7}'), "no key set"),
        (KEYS, (200, b'{"keys": "' + b"x" * 300_000 + b'"}'), "more than 262,144 bytes"),
    ],
    ids=["missing", "redirect", "html", "list", "another", "deep", "number", "large"],
)  # fmt: skip
def test_what_is_no_answer_is_named(
    issuer: Issuer, keys: Issuers, path: str, answer: tuple[int, bytes], says: str
) -> None:
    issuer.answers[path] = answer

    with pytest.raises(IssuerAway, match=says):
        keys.key(Source(issuer.url, ""), "key-1")


@pytest.mark.parametrize("where", ["http://keys.example/k", "http://127.0.0.1:1/k", "ftp://x/k"])
def test_discovery_does_not_lead_elsewhere_in_clear(
    issuer: Issuer, keys: Issuers, where: str
) -> None:
    told = {"issuer": issuer.url, "jwks_uri": where}
    issuer.answers[DISCOVERY] = (200, json.dumps(told).encode())

    with pytest.raises(IssuerAway, match="cannot be asked"):
        keys.key(Source(issuer.url, ""), "key-1")


def test_a_private_address_is_refused_unless_an_operator_allows_it(
    issuer: Issuer, keys: Issuers, settings: Any
) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = []

    with pytest.raises(IssuerAway, match="CONFHUB_OUTGOING_ALLOW"):
        keys.key(Source("https://forge.example", f"https://{issuer.host}/keys"), "key-1")
    assert issuer.asked == []


def test_many_at_once_ask_once(issuer: Issuer) -> None:
    keys = Issuers()
    source = Source(issuer.url, issuer.url + KEYS)
    issuer.held.clear()

    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(keys.key, source, "key-1") for _ in range(12)]
        wait_until(lambda: issuer.asked, what="the question")
        issuer.held.set()
        assert [each.result() for each in asked] == [issuer.keys[0]] * 12
    assert issuer.asked == [KEYS]


def test_whoever_has_the_key_does_not_wait_while_another_asks(issuer: Issuer, clock: Clock) -> None:
    keys = Issuers(clock=clock)
    source = Source(issuer.url, issuer.url + KEYS)
    keys.key(source, "key-1")
    clock.now_s += 600
    issuer.held.clear()

    asking = threading.Thread(target=keys.key, args=(source, "key-1"))
    asking.start()
    wait_until(lambda: len(issuer.asked) == 2, what="the question")
    assert keys.key(source, "key-1") is not None  # would hang here
    issuer.held.set()
    asking.join(10)
    assert not asking.is_alive()


def test_only_so_many_are_kept(issuer: Issuer, clock: Clock) -> None:
    keys = Issuers(clock=clock, most=2)
    for name in ("a", "b", "c", "a"):
        keys.key(Source(f"https://{name}.example", issuer.url + KEYS), "key-1")

    assert len(issuer.asked) == 4
    assert len(keys._held) == 2


def test_no_connection_is_held_while_it_is_asked(
    issuer: Issuer, keys: Issuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go: list[int] = []
    monkeypatch.setattr(module, "_let_go_of_the_database", lambda: let_go.append(len(issuer.asked)))

    keys.key(Source(issuer.url, ""), "key-1")
    keys.key(Source(issuer.url, ""), "key-1")

    assert let_go == [0]  # before anything was asked, and only then
