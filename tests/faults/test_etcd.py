"""etcd killed, frozen, compacted and wiped under the whole system: nothing lost, nothing twice."""

import time

import pytest

from tests.faults.conftest import Loop
from tests.parts import etcdctl
from tests.parts.servers import wait_until
from watchers.wire.documents import Pointer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.xdist_group("faults-etcd")]

ANSWERS_S = (
    3.0  # far below every limit that waits for etcd or Redis; the figures are in the benchmark
)


def answered_quickly(loop: Loop, values: list[object]) -> int:
    """Publish each value and return the last number; a publish that waits for etcd is too slow."""
    number = 0
    for value in values:
        begun = time.monotonic()
        number = loop.publish(value)
        assert time.monotonic() - begun < ANSWERS_S
    return number


def points_at(loop: Loop) -> int | None:
    """The release that the pointer in etcd says; None where there is none."""
    raw = etcdctl.get(loop.system.etcd.endpoint, loop.keys.current)
    return Pointer.from_bytes(raw).release if raw is not None else None


def test_killed_and_restarted(loop: Loop, undisturbed) -> None:
    loop.system.etcd.kill()
    number = answered_quickly(loop, ["down 1", "down 2"])
    assert loop.workload()["release"] < number

    loop.system.etcd.start()

    loop.settles_on(number, after="etcd was killed")


def test_frozen_for_30_s(loop: Loop, undisturbed) -> None:
    loop.system.etcd.freeze()
    begun = time.monotonic()
    number = answered_quickly(loop, ["frozen 1", "frozen 2"])
    wait_until(lambda: time.monotonic() - begun > 30, what="half a minute", timeout_s=40)
    assert loop.workload()["release"] < number

    loop.system.etcd.thaw()

    loop.settles_on(number, after="etcd was frozen")


def test_compacted_while_the_watchers_are_away(loop: Loop, undisturbed) -> None:
    loop.process.freeze()  # agent and follower miss every event
    loop.system.worker.freeze()
    loop.system.etcd.kill()
    loop.system.etcd.start()  # and their connections are gone
    loop.system.worker.thaw()
    number = answered_quickly(loop, [f"compacted {at}" for at in range(5)])
    wait_until(lambda: points_at(loop) == number, what="the pointer", timeout_s=60)
    revision = etcdctl.put(loop.system.etcd.endpoint, "/elsewhere", "x")
    etcdctl.compact(loop.system.etcd.endpoint, revision)

    loop.process.thaw()

    loop.settles_on(number, after="the log was compacted")


def test_wiped_and_nobody_drops_its_configuration(loop: Loop, undisturbed) -> None:
    number = loop.publish("before the wipe")
    loop.settles_on(number, after="before the wipe")
    before = loop.workload()

    loop.system.etcd.wipe()
    loop.system.etcd.start()

    wait_until(
        lambda: points_at(loop) == number,
        what="the pointer, written again from the database",
        timeout_s=90,
    )
    loop.settles_on(number, after="the wipe")
    assert loop.workload() == before, "a release that runs already was applied again"
    after = loop.publish("after the wipe")
    loop.settles_on(after, after="the wipe, a newer one")


def test_every_key_below_the_prefix_deleted(loop: Loop, undisturbed) -> None:
    number = loop.publish("before the deletion")
    loop.settles_on(number, after="before the deletion")
    before = loop.workload()

    etcdctl.delete_prefix(loop.system.etcd.endpoint, f"{loop.system.prefix}/")

    wait_until(lambda: points_at(loop) == number, what="the pointer, written again", timeout_s=90)
    loop.settles_on(number, after="the deletion")
    assert loop.workload() == before
