"""Too many calls are refused with the seconds to wait, each caller for itself, and come back evenly."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from confhub.access import actions as access
from confhub.access.models import Token
from confhub.api import limits
from confhub.api.limits import Buckets, Key
from confhub.core import clock
from tests.api.conftest import TOKEN, Caller, problem, untouched
from tests.parts.servers import EtcdServer, RedisServer
from tests.parts.system import TOKEN as ADMINS
from tests.parts.system import System

MIA, BOT = Key("token", "mia"), Key("token", "bot")


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    limits.buckets.clear()
    yield
    limits.buckets.clear()


class Clock:
    """A monotonic clock that goes on only when it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits.time, "monotonic", clock)
    return clock


# --- the buckets ----------------------------------------------------------------------------------


def test_a_minutes_calls_may_be_made_at_once_and_no_more() -> None:
    buckets = Buckets()

    taken = [buckets.take(MIA, 5.0, per_minute=60) for _ in range(61)]

    assert taken[:60] == [None] * 60
    assert taken[60] == pytest.approx(1.0)


def test_they_come_back_evenly() -> None:
    buckets = Buckets()
    for _ in range(60):
        buckets.take(MIA, 0.0, per_minute=60)

    assert buckets.take(MIA, 0.75, per_minute=60) == pytest.approx(0.25)
    assert buckets.take(MIA, 1.0, per_minute=60) is None
    assert buckets.take(MIA, 1.0, per_minute=60) == pytest.approx(1.0)
    assert [buckets.take(MIA, 31.0, per_minute=60) for _ in range(30)] == [None] * 30
    assert buckets.take(MIA, 31.0, per_minute=60) == pytest.approx(1.0)


def test_asking_in_vain_takes_nothing_out() -> None:
    buckets = Buckets()
    for _ in range(60):
        buckets.take(MIA, 0.0, per_minute=60)

    waits = [buckets.take(MIA, 0.5, per_minute=60) for _ in range(1000)]

    assert waits == [pytest.approx(0.5)] * 1000
    assert buckets.take(MIA, 1.0, per_minute=60) is None


def test_nobody_takes_from_anothers_bucket() -> None:
    buckets = Buckets()
    for _ in range(61):
        buckets.take(MIA, 0.0, per_minute=60)

    assert buckets.take(BOT, 0.0, per_minute=60) is None
    assert buckets.take(Key("person", "mia"), 0.0, per_minute=60) is None


def test_a_day_of_calls_at_the_limit_is_never_refused() -> None:
    buckets = Buckets()

    refused = [n for n in range(100_000) if buckets.take(MIA, n * 60 / 3000, per_minute=3000)]

    assert refused == []


def test_whoever_was_silent_longest_is_forgotten() -> None:
    buckets = Buckets(most=3)
    for who in ("a", "b", "c", "a", "d"):
        assert buckets.take(Key("address", who), 0.0, per_minute=2) is None

    assert len(buckets) == 3
    assert buckets.take(Key("address", "a"), 0.0, per_minute=2) is not None  # still remembered
    assert buckets.take(Key("address", "b"), 0.0, per_minute=1) is None  # anew


def test_threads_together_get_exactly_the_limit() -> None:
    buckets = Buckets()
    start = threading.Barrier(8)

    def hammer(_: int) -> int:
        start.wait()
        return sum(buckets.take(MIA, 0.0, per_minute=1000) is None for _ in range(500))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(hammer, range(8))) == 1000


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_a_client_is_its_address_and_a_network_of_ipv6_is_one(address: str, who: str) -> None:
    assert limits.of_client(address) == Key("address", who)


# --- over REST ------------------------------------------------------------------------------------


@pytest.fixture
def twice_a_minute(settings: Any) -> None:
    settings.CONFHUB_CALLS_PER_MINUTE = 2


def test_a_token_is_told_when_to_come_again(
    api: Caller, stopped: Clock, twice_a_minute: None
) -> None:
    assert [api.get("/services").status_code for _ in range(2)] == [200, 200]

    with untouched():
        refused = api.post("/services", {"slug": "new"})
    document = problem(refused, 429, "rate.limited")
    assert refused["Retry-After"] == "30"
    assert document["retry_after_s"] == 30

    stopped.now_s += 29.9
    assert api.get("/services")["Retry-After"] == "1"
    stopped.now_s += 0.1
    assert api.get("/services").status_code == 200


def test_two_tokens_of_one_person_have_a_bucket_each(
    api: Caller, ann: User, stopped: Clock, twice_a_minute: None
) -> None:
    access.set_token("second", token="another-token-of-ann-0123456789", user=ann, now=clock.now())
    other = Caller(token="another-token-of-ann-0123456789")

    assert [api.get("/services").status_code for _ in range(3)] == [200, 200, 429]
    assert other.get("/services").status_code == 200


def test_a_token_over_its_limit_is_not_even_looked_for(
    api: Caller, stopped: Clock, twice_a_minute: None, django_assert_num_queries: Any
) -> None:
    for _ in range(2):
        api.get("/services")

    with django_assert_num_queries(0):
        assert api.get("/services").status_code == 429


def test_all_sessions_of_a_person_have_one(
    anonymous: Caller, ann: User, stopped: Clock, twice_a_minute: None
) -> None:
    second = Caller(token=None)
    for caller in (anonymous, second):
        caller.client.force_login(ann)
        assert caller.get("/services").status_code == 200

    assert anonymous.get("/services").status_code == 429
    assert second.get("/services").status_code == 429
    assert Caller(token=None).get("/services").status_code == 401  # somebody who is nobody


def test_whoever_guesses_tokens_is_slowed_down_and_nobody_else(
    api: Caller, stopped: Clock, settings: Any
) -> None:
    settings.CONFHUB_CALLS_PER_MINUTE = 30  # three for an address

    def guess(n: int) -> int:
        return int(Caller(token=f"a-guess-{n}").get("/services").status_code)

    assert [guess(n) for n in range(5)] == [401, 401, 401, 429, 429]
    assert Caller(token=None).get("/services").status_code == 429  # without any token as well
    assert api.get("/services").status_code == 200  # from the same address, with a good one
    elsewhere = Caller(token="a-guess").client.get(
        "/api/v1/services", headers={"Authorization": "Bearer a-guess"}, REMOTE_ADDR="192.0.2.7"
    )
    assert elsewhere.status_code == 401


def test_health_is_never_refused(api: Caller, stopped: Clock, twice_a_minute: None) -> None:
    for _ in range(5):
        api.get("/services")

    assert [api.client.get("/healthz").status_code for _ in range(20)] == [200] * 20


def test_zero_is_no_limit(api: Caller, stopped: Clock, settings: Any) -> None:
    settings.CONFHUB_CALLS_PER_MINUTE = 0

    assert {api.get("/services").status_code for _ in range(50)} == {200}
    assert len(limits.buckets) == 0


def test_no_token_is_kept_in_a_key(api: Caller, stopped: Clock, twice_a_minute: None) -> None:
    api.get("/services")

    [key] = limits.buckets._full_at
    assert key == Key("token", Token.objects.get(name="ann").digest)
    assert TOKEN not in repr(key)


def test_a_real_server_lets_exactly_so_many_through(
    tmp_path: Path, etcd: EtcdServer, redis_server: RedisServer
) -> None:
    settings = {"CONFHUB_CALLS_PER_MINUTE": "40"}
    system = System(tmp_path / "system", etcd=etcd, redis=redis_server, settings=settings)
    system.directory.mkdir()
    (system.directory / "var").mkdir()
    system.manage("bootstrap", "--migrate")
    system.web.start()
    try:
        with httpx.Client(
            base_url=f"{system.url}/api/v1", headers={"Authorization": f"Bearer {ADMINS}"}
        ) as client, ThreadPoolExecutor(8) as pool:  # fmt: skip
            begun = time.monotonic()
            answers = list(pool.map(lambda _: client.get("/services"), range(120)))
            took_s = time.monotonic() - begun
            alive = client.get(f"{system.url}/healthz")
    finally:
        system.web.stop()

    through = [each for each in answers if each.status_code == 200]
    refused = [each for each in answers if each.status_code == 429]
    assert len(through) + len(refused) == 120
    assert 40 <= len(through) <= min(120, 41 + took_s * 40 / 60)  # however slow this machine is
    assert {each.headers["Retry-After"] for each in refused} <= {"1", "2"}
    assert alive.status_code == 200
