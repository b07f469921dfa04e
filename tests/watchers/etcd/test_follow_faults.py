"""follow() on a broken etcd: it never ends, never goes deaf, and is right again when etcd is."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.parts import etcdctl
from tests.parts.grpc_proxy import GrpcProxy
from tests.parts.proxy import TcpProxy
from tests.parts.servers import EtcdCluster, EtcdServer, wait_until
from tests.watchers.etcd.conftest import Follower
from watchers.etcd import Etcd, Unreachable, put

Start = Callable[..., Follower]

pytestmark = pytest.mark.faults


def until_told(follower: Follower, *, timeout_s: float) -> None:
    """Return once the follower has told somebody that etcd is out of reach."""
    before = len(follower.troubles)
    follower.until(
        lambda: len(follower.troubles) > before, what="trouble is told", timeout_s=timeout_s
    )
    assert isinstance(follower.troubles[-1], Unreachable)


def write(endpoint: str, key: str, value: str) -> None:
    """By another client than the one under test, so that only the follower has to find its way."""
    etcdctl.put(endpoint, key, value)


def test_a_killed_etcd_is_found_again(own_etcd: EtcdServer, own_store: Etcd, follow: Start) -> None:
    follower = follow(own_store, "/p/", poll_s=3600)
    write(own_etcd.endpoint, "/p/a", "1")
    follower.until_values({"/p/a": b"1"})

    before = len(follower.seen)
    own_etcd.kill()
    until_told(follower, timeout_s=5)
    own_etcd.start()
    write(own_etcd.endpoint, "/p/a", "2")

    follower.until_values({"/p/a": b"2"}, timeout_s=6)
    # Anew is the first sight after the kill; the write may have come before it or just after.
    assert follower.seen[before].anew
    write(own_etcd.endpoint, "/p/a", "3")
    follower.until_values({"/p/a": b"3"}, timeout_s=2)
    assert not follower.seen[-1].anew, "it watches again"


def test_it_may_start_before_etcd_does(own_etcd: EtcdServer, follow: Start) -> None:
    own_etcd.kill()
    follower = follow(Etcd([own_etcd.endpoint]), "/p/")
    until_told(follower, timeout_s=5)

    own_etcd.start()
    follower.until_values({}, timeout_s=6)


def test_a_closed_stream_is_opened_again_without_a_miss(etcd: EtcdServer, follow: Start) -> None:
    with TcpProxy(etcd.port) as proxy:
        client = Etcd([proxy.endpoint])
        follower = follow(client, "/closed/", poll_s=3600)
        follower.until_values({})
        for number in range(5):
            proxy.cut()
            write(etcd.endpoint, "/closed/a", str(number))
            follower.until_values({"/closed/a": b"%d" % number}, timeout_s=6)
        follower.end()
        client.close()


def test_a_black_hole_is_noticed_and_survived(etcd: EtcdServer, follow: Start) -> None:
    """Nothing comes back and nothing is closed: the poll goes unanswered."""
    with TcpProxy(etcd.port) as proxy:
        client = Etcd([proxy.endpoint], timeout_s=1.0)
        follower = follow(client, "/hole/", poll_s=1.0)
        write(etcd.endpoint, "/hole/a", "1")
        follower.until_values({"/hole/a": b"1"})

        proxy.swallows_answers = True
        write(etcd.endpoint, "/hole/a", "2")
        until_told(follower, timeout_s=5)
        assert follower.values == {"/hole/a": b"1"}
        proxy.heal()

        follower.until_values({"/hole/a": b"2"}, timeout_s=6)
        follower.end()
        client.close()


def test_a_black_hole_is_noticed_by_the_connection_alone(etcd: EtcdServer, follow: Start) -> None:
    """No poll is due for an hour; keepalive and its ping timeout find the dead path in about 15 s."""
    with TcpProxy(etcd.port) as proxy:
        client = Etcd([proxy.endpoint], timeout_s=1.0)
        follower = follow(client, "/hole2/", poll_s=3600)
        follower.until_values({})
        proxy.swallows_answers = True

        until_told(follower, timeout_s=20)

        proxy.heal()
        write(etcd.endpoint, "/hole2/a", "1")
        follower.until_values({"/hole2/a": b"1"}, timeout_s=6)
        follower.end()
        client.close()


def test_thirty_seconds_of_frost_are_survived(
    own_etcd: EtcdServer, own_store: Etcd, follow: Start
) -> None:
    follower = follow(own_store, "/p/")
    write(own_etcd.endpoint, "/p/a", "1")
    follower.until_values({"/p/a": b"1"})

    own_etcd.freeze()
    thaw_at = time.monotonic() + 30
    until_told(follower, timeout_s=25)
    with pytest.raises(Unreachable, match="failed to connect"):  # known dead, so surely not sent
        own_store.transact(success=[put("/p/during", b"1")])
    wait_until(lambda: time.monotonic() > thaw_at, what="30 s have passed", timeout_s=31)
    assert follower.values == {"/p/a": b"1"}, "nobody is told to drop anything"
    own_etcd.thaw()
    wait_until(own_etcd.answers, what="etcd answers again")
    write(own_etcd.endpoint, "/p/a", "2")

    follower.until(
        lambda: (follower.values or {}).get("/p/a") == b"2", what="it caught up", timeout_s=6
    )
    expected = etcdctl.get_prefix(own_etcd.endpoint, "/p/")
    follower.until_values(expected, timeout_s=2)


def test_what_was_compacted_while_it_was_away_is_read_anew(
    own_etcd: EtcdServer, follow: Start
) -> None:
    with TcpProxy(own_etcd.port) as proxy:
        client = Etcd([proxy.endpoint])
        write(own_etcd.endpoint, "/p/gone", "1")
        follower = follow(client, "/p/", poll_s=3600)
        follower.until_values({"/p/gone": b"1"})

        proxy.refuses = True
        proxy.cut()
        until_told(follower, timeout_s=5)
        etcdctl.delete_prefix(own_etcd.endpoint, "/p/")
        for number in range(50):
            revision = etcdctl.put(own_etcd.endpoint, "/p/a", str(number))
        etcdctl.compact(own_etcd.endpoint, revision)
        proxy.heal()

        follower.until_values({"/p/a": b"49"}, timeout_s=6)
        assert [seen.anew for seen in follower.seen] == [True, True], "one snapshot for all of it"
        assert follower.seen[-1].changed == {"/p/gone", "/p/a"}
        follower.end()
        client.close()


def test_a_wiped_etcd_is_told_by_its_epoch_and_watched_from_its_low_revision(
    own_etcd: EtcdServer, own_store: Etcd, follow: Start
) -> None:
    write(own_etcd.endpoint, "/p/meta/epoch", "red")
    for number in range(20):
        write(own_etcd.endpoint, "/p/a", str(number))
    follower = follow(own_store, "/p/", poll_s=3600, epoch_key="/p/meta/epoch")
    follower.until(lambda: bool(follower.seen), what="a first snapshot")
    before = follower.seen[-1]

    own_etcd.wipe()
    own_etcd.start()
    follower.until_values({}, timeout_s=6)
    after = follower.seen[-1]
    write(own_etcd.endpoint, "/p/meta/epoch", "blue")
    write(own_etcd.endpoint, "/p/a", "again")
    follower.until_values({"/p/meta/epoch": b"blue", "/p/a": b"again"}, timeout_s=3)

    assert (before.epoch, after.epoch, follower.seen[-1].epoch) == ("red", None, "blue")
    assert after.anew
    assert after.revision < before.revision


def test_a_wipe_behind_an_open_watch_is_found_by_the_poll(
    own_etcd: EtcdServer, follow: Start
) -> None:
    """The store passes the old revision again with no event: only epoch or revision can tell."""
    store = Etcd([own_etcd.endpoint])
    write(own_etcd.endpoint, "/meta/epoch", "red")
    write(own_etcd.endpoint, "/p/a", "old")
    with GrpcProxy(own_etcd.endpoint) as proxy:
        client = Etcd([proxy.endpoint])
        follower = follow(client, "/p/", poll_s=4, epoch_key="/meta/epoch")
        follower.until_values({"/p/a": b"old"})

        proxy.keeps_dead_watches = True
        own_etcd.wipe()
        own_etcd.start()
        write(own_etcd.endpoint, "/meta/epoch", "blue")
        write(own_etcd.endpoint, "/p/a", "new")
        for _ in range(20):
            write(own_etcd.endpoint, "/elsewhere", "1")
        assert store.get("/p/a")[1] > follower.seen[-1].revision

        follower.until_values({"/p/a": b"new"}, timeout_s=10)
        assert follower.seen[-1].anew
        assert follower.seen[-1].epoch == "blue"
        follower.end()
        client.close()


def test_a_restored_snapshot_is_told_by_its_lower_revision(
    own_etcd: EtcdServer, own_store: Etcd, follow: Start, tmp_path: Path
) -> None:
    write(own_etcd.endpoint, "/p/a", "old")
    own_etcd.save_snapshot(tmp_path / "snapshot")
    for number in range(20):
        write(own_etcd.endpoint, "/p/a", str(number))
    follower = follow(own_store, "/p/", poll_s=3600)
    follower.until_values({"/p/a": b"19"})
    before = follower.seen[-1]

    own_etcd.restore(tmp_path / "snapshot")
    own_etcd.start()

    follower.until_values({"/p/a": b"old"}, timeout_s=6)
    assert follower.seen[-1].anew
    assert follower.seen[-1].revision < before.revision


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    started = EtcdCluster(tmp_path)
    started.start()
    yield started
    started.stop()


def test_a_lost_leader_is_told_and_a_new_one_is_found(cluster: EtcdCluster, follow: Start) -> None:
    kept, *others = cluster.servers
    client = Etcd([kept.endpoint], timeout_s=1.0)
    follower = follow(client, "/p/", poll_s=3600)
    write(kept.endpoint, "/p/a", "1")
    follower.until_values({"/p/a": b"1"})

    for server in others:
        server.kill()
    until_told(follower, timeout_s=15)
    assert follower.values == {"/p/a": b"1"}
    cluster.restart(*others)
    write(kept.endpoint, "/p/a", "2")

    follower.until_values({"/p/a": b"2"}, timeout_s=8)
    client.close()


def test_with_one_member_dead_or_frozen_the_others_serve(
    cluster: EtcdCluster, follow: Start
) -> None:
    client = Etcd(cluster.endpoints, timeout_s=1.0)
    follower = follow(client, "/p/", poll_s=2)
    for number, server in enumerate(cluster.servers):
        break_it, mend_it = (server.freeze, server.thaw) if number == 0 else (server.kill, None)
        break_it()
        alive = cluster.servers[(number + 1) % 3].endpoint
        wait_until(lambda at=alive: etcdctl.health(at), what="the others have a leader")  # type: ignore[misc]
        write(alive, "/p/a", str(number))
        follower.until_values({"/p/a": b"%d" % number}, timeout_s=12)
        if mend_it is None:
            cluster.restart(server)
        else:
            mend_it()
        wait_until(server.answers, what="the member is back")
    client.close()
