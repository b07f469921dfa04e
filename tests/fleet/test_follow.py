"""The follower against a real etcd: statuses become rows, one worker at a time."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from confhub.fleet import follow, queries
from confhub.fleet.models import Instance, View
from tests.fleet.test_take_statuses import status
from tests.parts import etcdctl
from tests.parts.factories import a_scope
from tests.parts.servers import EtcdServer, wait_until
from watchers.etcd import Etcd, Snapshot, Stored, put
from watchers.wire.keyspace import Keyspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keyspace(settings, own_etcd: EtcdServer, prefix: str) -> Iterator[Keyspace]:
    settings.ETCD_ENDPOINTS, settings.ETCD_PREFIX = [own_etcd.endpoint], prefix
    follow.keyspace.cache_clear()
    yield follow.keyspace()
    follow.keyspace.cache_clear()


@pytest.fixture
def follower(keyspace) -> Iterator[threading.Thread]:
    stop = threading.Event()

    def run() -> None:
        try:
            follow.follow_forever(stop)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread
    stop.set()
    thread.join(15)
    assert not thread.is_alive()


def pids() -> list[int | None]:
    return [row.pid for row in Instance.objects.filter(gone_at=None).order_by("instance_id")]


def test_statuses_follow_through_a_restart_and_a_wipe_of_etcd(own_etcd, keyspace, follower) -> None:
    scope = a_scope()
    key = keyspace.scope("billing", "prod").instance("web-1")
    etcdctl.put(own_etcd.endpoint, key, status(pid=1))
    wait_until(lambda: pids() == [1], what="the first status")

    own_etcd.kill()
    own_etcd.start()
    etcdctl.put(own_etcd.endpoint, key, status(pid=2))
    wait_until(lambda: pids() == [2], what="a status after a restart", timeout_s=30)

    own_etcd.wipe()
    own_etcd.start()
    etcdctl.put(
        own_etcd.endpoint,
        keyspace.scope("billing", "prod").instance("web-2"),
        status("web-2", pid=3),
    )
    wait_until(lambda: pids() == [3], what="what stands in the wiped store", timeout_s=40)
    assert {tile["id"]: tile["state"] for tile in queries.instances_of(scope)}["web-1"] == "gone"
    wait_until(lambda: View.objects.filter(follower__gt="").exists(), what="freshness")


def a_snapshot(
    revision: int, *, anew: bool = False, epoch: str = "one", **statuses: int
) -> Snapshot:
    """What follow() yields: for each instance of billing@prod its status, with its revision as pid."""
    keys = {
        follow.keyspace().scope("billing", "prod").instance(name): Stored(
            status(name, pid=at), at, at, 1
        )
        for name, at in statuses.items()
    }
    return Snapshot(revision, keys, frozenset() if anew else frozenset(keys), anew, epoch)


def test_a_wiped_store_makes_nobody_gone_who_comes_back(keyspace) -> None:
    scope = a_scope()
    rows = follow.Rows("me")
    rows.take(a_snapshot(500, anew=True, back=400, dead=450))
    proven = View.objects.get().confirmed_at

    rows.take(a_snapshot(3, anew=True, epoch="two"))

    assert {tile["state"] for tile in queries.instances_of(scope)} == {"waiting"}
    rows.take(a_snapshot(4, epoch="two", back=4))
    assert pids() == [4, 450]
    assert View.objects.get().confirmed_at == proven  # nothing says yet that the rows are right
    rows.whole_at = time.monotonic()  # the time to come back is over
    rows.take(a_snapshot(5, epoch="two", back=4))
    assert pids() == [4]
    assert View.objects.get().revision == 5


def test_an_instance_that_was_there_before_its_service_is_shown_once_that_is_made(
    keyspace,
) -> None:
    rows = follow.Rows("me")
    first = a_snapshot(5, anew=True, web=5)
    rows.take(first)

    a_scope()
    rows.whole_at = time.monotonic()
    rows.take(Snapshot(6, first.keys, frozenset(), False, "one"))

    assert pids() == [5]


def test_what_a_slower_follower_wrote_late_is_put_right(keyspace) -> None:
    a_scope()
    slow, quick = follow.Rows("slow"), follow.Rows("quick")
    quick.take(a_snapshot(7, anew=True, web=7, new=6))
    slow.take(a_snapshot(5, anew=True, web=5))  # read before it was paused, written after

    quick.whole_at = time.monotonic()
    quick.take(Snapshot(8, a_snapshot(8, web=7, new=6).keys, frozenset(), False, "one"))

    assert pids() == [6, 7]


def test_a_second_follower_stands_by_and_takes_over(own_etcd, keyspace, request) -> None:
    a_scope()
    other = Etcd([own_etcd.endpoint])
    lease_id = other.grant(60)
    other.transact(success=[put(keyspace.follower, b"somebody-else", lease_id)])
    etcdctl.put(
        own_etcd.endpoint, keyspace.scope("billing", "prod").instance("web-1"), status(pid=1)
    )

    request.getfixturevalue("follower")
    for _ in range(15):  # the other is alive, so nothing is followed here
        assert pids() == []
        time.sleep(0.1)
    other.revoke(lease_id)

    wait_until(lambda: pids() == [1], what="the rows, once the other is gone")
    other.close()
