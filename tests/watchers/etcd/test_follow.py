"""follow() on a healthy etcd: whole, in order of revisions, without misses, and proven by polls."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parts import etcdctl
from tests.parts.grpc_proxy import GrpcProxy
from tests.parts.servers import EtcdServer, wait_until
from tests.watchers.etcd.conftest import Follower
from watchers.etcd import Etcd, Unreachable, delete, delete_prefix, put

Start = Callable[..., Follower]


def test_the_first_snapshot_is_everything_below_the_prefix(
    store: Etcd, prefix: str, follow: Start
) -> None:
    at = store.transact(success=[put(f"{prefix}/a", b"1"), put(f"{prefix}/b", b"2")]).revision

    follower = follow(store, f"{prefix}/")
    follower.until_values({f"{prefix}/a": b"1", f"{prefix}/b": b"2"})

    first = follower.seen[0]
    assert first.anew
    assert first.changed == {f"{prefix}/a", f"{prefix}/b"}
    assert first.revision >= at


def test_an_empty_prefix_has_a_first_snapshot_too(store: Etcd, prefix: str, follow: Start) -> None:
    follower = follow(store, f"{prefix}/")

    follower.until_values({})
    assert follower.seen[0].anew


def test_a_change_names_its_keys(store: Etcd, prefix: str, follow: Start) -> None:
    store.transact(success=[put(f"{prefix}/a", b"1"), put(f"{prefix}/b", b"2")])
    follower = follow(store, f"{prefix}/")
    follower.until_values({f"{prefix}/a": b"1", f"{prefix}/b": b"2"})

    at = store.transact(success=[delete(f"{prefix}/a"), put(f"{prefix}/c", b"3")]).revision
    follower.until_values({f"{prefix}/b": b"2", f"{prefix}/c": b"3"})

    last = follower.seen[-1]
    assert (last.changed, last.anew) == ({f"{prefix}/a", f"{prefix}/c"}, False)
    assert last.revision == at


def test_other_prefixes_are_not_heard_of(store: Etcd, prefix: str, follow: Start) -> None:
    follower = follow(store, f"{prefix}/a/")
    follower.until_values({})
    store.transact(success=[put(f"{prefix}/a0", b"1")])
    store.transact(success=[put(f"{prefix}/a/x", b"1")])
    follower.until_values({f"{prefix}/a/x": b"1"})

    assert len(follower.seen) == 2


def test_only_wanted_keys_are_held_and_told(store: Etcd, prefix: str, follow: Start) -> None:
    store.transact(success=[put(f"{prefix}/old/keep", b"1"), put(f"{prefix}/old/drop", b"1")])
    follower = follow(store, f"{prefix}/", wanted=lambda key: key.endswith("/keep"), poll_s=0.2)
    follower.until_values({f"{prefix}/old/keep": b"1"})

    store.transact(success=[put(f"{prefix}/new/drop", b"1"), delete(f"{prefix}/old/drop")])
    store.transact(success=[put(f"{prefix}/new/keep", b"2")])
    follower.until_values({f"{prefix}/old/keep": b"1", f"{prefix}/new/keep": b"2"})
    polls = len(follower.seen) + 2
    follower.until(lambda: len(follower.seen) >= polls, what="two polls")

    assert all("drop" not in key for seen in follower.seen for key in seen.changed)
    assert not follower.troubles, "polls count what is not wanted too"
    assert sum(seen.anew for seen in follower.seen) == 1


def test_nothing_is_missed_between_the_read_and_the_watch(
    etcd: EtcdServer, store: Etcd, prefix: str, follow: Start
) -> None:
    """Twenty followers start while somebody writes without a pause; each ends with everything."""
    over = threading.Event()
    written: dict[str, bytes] = {}

    def write() -> None:
        writer = Etcd([etcd.endpoint])
        number = 0
        while not over.is_set():
            key = f"{prefix}/{number % 50}"
            writer.transact(success=[put(key, b"%d" % number)])
            written[key] = b"%d" % number
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    followers = []
    for _ in range(20):
        followers.append(follow(store, f"{prefix}/", poll_s=3600))
        over.wait(0.05)
    over.set()
    writer.join()

    for follower in followers:
        follower.until_values(written)
        revisions = [seen.revision for seen in follower.seen]
        assert revisions == sorted(set(revisions)), "revisions only rise"


def test_a_revision_is_never_split_over_two_snapshots(
    store: Etcd, prefix: str, follow: Start
) -> None:
    names = [f"{prefix}/{number:03d}" for number in range(120)]
    follower = follow(store, f"{prefix}/")
    follower.until_values({})

    for round_ in range(100):
        store.transact(success=[put(name, b"%d" % round_) for name in names])
    follower.until_values(dict.fromkeys(names, b"99"))

    assert len(follower.seen) > 10
    for seen in follower.seen[1:]:
        assert len(seen.values) == len(names)
        assert len(set(seen.values.values())) == 1
        assert seen.changed == set(names)


def test_ten_thousand_changes_during_a_sleep_cost_no_memory_and_end_right(
    etcd: EtcdServer, prefix: str, follow: Start
) -> None:
    """100 MB pass by while the consumer sleeps; it wakes to the newest value of each key."""
    names = [f"{prefix}/{number:03d}" for number in range(100)]
    follower_store, writer = Etcd([etcd.endpoint]), Etcd([etcd.endpoint])
    follower = follow(follower_store, f"{prefix}/", poll_s=3600)
    follower.until_values({})
    follower.busy.clear()
    writer.transact(success=[put(name, b"x" * 10_000) for name in names])
    follower.until(lambda: len(follower.seen) == 2, what="the consumer sleeps over a snapshot")
    before_kib = _resident_kib()

    for round_ in range(100):
        writer.transact(success=[put(name, b"%d" % round_ + b"x" * 10_000) for name in names])
    last = writer.transact(success=[put(f"{prefix}/last", b"1")]).revision
    grown_kib = _resident_kib() - before_kib
    follower.busy.set()
    follower.until(lambda: follower.seen[-1].revision >= last, what="all is told")

    assert grown_kib < 40_000, "one value a key waits, not all 10,000"
    assert len(follower.seen) <= 5
    assert follower.seen[-1].values == {
        **dict.fromkeys(names, b"99" + b"x" * 10_000),
        f"{prefix}/last": b"1",
    }
    writer.transact(success=[delete_prefix(f"{prefix}/")])


def _resident_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_what_came_and_went_during_a_sleep_is_not_told(
    store: Etcd, prefix: str, follow: Start
) -> None:
    follower = follow(store, f"{prefix}/", poll_s=3600)
    follower.until_values({})
    follower.busy.clear()
    store.transact(success=[put(f"{prefix}/stays", b"1")])
    follower.until_values({f"{prefix}/stays": b"1"})

    store.transact(success=[put(f"{prefix}/guest", b"1")])
    store.transact(success=[delete(f"{prefix}/guest")])
    store.transact(success=[put(f"{prefix}/stays", b"2")])
    follower.busy.set()
    follower.until_values({f"{prefix}/stays": b"2"})

    assert all(f"{prefix}/guest" not in seen.changed for seen in follower.seen[-1:])


def test_a_poll_yields_even_when_nothing_changed(store: Etcd, prefix: str, follow: Start) -> None:
    follower = follow(store, f"{prefix}/", poll_s=0.2)
    follower.until(lambda: len(follower.seen) >= 4, what="three polls")
    elsewhere = store.transact(success=[put(f"{prefix}x", b"1")]).revision
    follower.until(
        lambda: follower.seen[-1].revision >= elsewhere, what="a poll proves a later revision"
    )

    assert [seen.anew for seen in follower.seen[:4]] == [True, False, False, False]
    assert all(not seen.changed for seen in follower.seen[1:])


def test_polls_agree_with_a_busy_watch(
    etcd: EtcdServer, store: Etcd, prefix: str, follow: Start
) -> None:
    """Polls race with events that are on their way; that must never look like a deaf watch."""
    writer = Etcd([etcd.endpoint])
    with GrpcProxy(etcd.endpoint) as proxy:
        client = Etcd([proxy.endpoint])
        follower = follow(client, f"{prefix}/", poll_s=0.05)
        for number in range(600):
            key = f"{prefix}/{number % 7}"
            writer.transact(success=[delete(key) if number % 3 == 0 else put(key, b"%d" % number)])
        expected = {key: held.value for key, held in store.read_prefix(f"{prefix}/")[0].items()}
        follower.until_values(expected)

        assert not follower.troubles
        assert sum(seen.anew for seen in follower.seen) == 1
        assert proxy.calls.count("/etcdserverpb.KV/Range") > 5, "it polls though it is never quiet"
        follower.end()
        client.close()


@pytest.mark.parametrize("lost", ["put", "overwrite", "delete"])
def test_a_poll_finds_an_event_that_the_watch_lost(
    etcd: EtcdServer, store: Etcd, prefix: str, follow: Start, lost: str
) -> None:
    """Later events arrive, so only the poll can know; three released etcds have lost some."""
    victim = f"{prefix}/victim"
    if lost != "put":
        store.transact(success=[put(victim, b"0")])
    with GrpcProxy(etcd.endpoint) as proxy:
        proxy.hides_event = lambda event: event.kv.key == victim.encode()
        client = Etcd([proxy.endpoint])
        follower = follow(client, f"{prefix}/", poll_s=0.5)
        follower.until(lambda: bool(follower.seen), what="a first snapshot")

        store.transact(success=[delete(victim) if lost == "delete" else put(victim, b"1")])
        store.transact(success=[put(f"{prefix}/later", b"1")])
        expected = {f"{prefix}/later": b"1", **({} if lost == "delete" else {victim: b"1"})}
        follower.until_values(expected)

        assert isinstance(follower.troubles[0], Unreachable)
        assert "did not tell" in str(follower.troubles[0])
        assert [seen for seen in follower.seen if seen.anew][1].changed >= {victim}
        follower.end()
        client.close()


def test_a_deaf_watch_is_outlived_by_polls(
    etcd: EtcdServer, store: Etcd, prefix: str, follow: Start
) -> None:
    with GrpcProxy(etcd.endpoint) as proxy:
        proxy.hides_event = lambda event: True
        client = Etcd([proxy.endpoint])
        follower = follow(client, f"{prefix}/", poll_s=0.5)
        follower.until_values({})
        for number in range(2):
            store.transact(success=[put(f"{prefix}/a", b"%d" % number)])
            follower.until_values({f"{prefix}/a": b"%d" % number})
        follower.end()
        client.close()


def test_another_epoch_is_read_anew_at_once_where_the_prefix_covers_it(
    store: Etcd, prefix: str, follow: Start
) -> None:
    epoch = f"{prefix}/meta/epoch"
    store.transact(success=[put(epoch, b"red")])
    follower = follow(store, f"{prefix}/", poll_s=3600, epoch_key=epoch)
    follower.until(lambda: bool(follower.seen), what="a first snapshot")

    store.transact(success=[put(epoch, b"blue")])
    follower.until(lambda: follower.seen[-1].epoch == "blue", what="the new epoch")

    assert follower.seen[0].epoch == "red"
    assert follower.seen[-1].anew


def test_another_epoch_elsewhere_is_found_by_a_poll(
    store: Etcd, prefix: str, follow: Start
) -> None:
    epoch = f"{prefix}/meta/epoch"
    follower = follow(store, f"{prefix}/data/", poll_s=0.2, epoch_key=epoch)
    follower.until(lambda: bool(follower.seen), what="a first snapshot")
    store.transact(success=[put(epoch, b"blue")])
    follower.until(lambda: follower.seen[-1].epoch == "blue", what="the new epoch")

    assert follower.seen[0].epoch is None
    assert next(seen.anew for seen in follower.seen if seen.epoch == "blue")
    assert not follower.troubles


def test_stop_ends_it_soon_and_leaves_no_thread(etcd: EtcdServer, follow: Start) -> None:
    client = Etcd([etcd.endpoint])
    follower = follow(client, "/quiet/")
    follower.until_values({})

    follower.stop.set()
    wait_until(lambda: not follower.thread.is_alive(), what="it ends", timeout_s=1)

    client.close()
    wait_until(
        lambda: not any(thread.name == "etcd-watch" for thread in threading.enumerate()),
        what="its watch's thread ends",
    )


def test_a_consumer_that_breaks_off_closes_the_watch(etcd: EtcdServer, prefix: str) -> None:
    client = Etcd([etcd.endpoint])
    snapshots = client.follow(f"{prefix}/", stop=threading.Event())
    next(snapshots)
    snapshots.close()  # type: ignore[attr-defined]  # follow() promises an iterator; it is a generator

    wait_until(
        lambda: not any(thread.name == "etcd-watch" for thread in threading.enumerate()),
        what="its watch's thread ends",
    )
    client.close()


def test_a_watch_that_starts_behind_a_compaction_reads_again(
    own_etcd: EtcdServer, follow: Start
) -> None:
    store = Etcd([own_etcd.endpoint])
    with GrpcProxy(own_etcd.endpoint) as proxy:
        client = Etcd([proxy.endpoint])
        proxy.watches_may_start.clear()
        follower = follow(client, "/p/")
        follower.until_values({})
        for number in range(50):
            at = store.transact(success=[put("/p/a", b"%d" % number)]).revision
        etcdctl.compact(own_etcd.endpoint, at)
        proxy.watches_may_start.set()
        follower.until_values({"/p/a": b"49"})

        assert not follower.troubles, "a compaction is no trouble"
        assert [seen.anew for seen in follower.seen] == [True, True]
        follower.end()
        client.close()
