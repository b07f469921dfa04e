"""Redis and the workers killed, frozen and flushed: a bell is lost, a release never."""

import time

import pytest
import redis

from tests.faults.conftest import Loop
from tests.faults.test_etcd import answered_quickly
from tests.parts import etcdctl
from tests.parts.servers import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.xdist_group("faults-redis")]


def pointer_writes(loop: Loop) -> int:
    """How often the pointer was ever written, by etcd's own count."""
    answer = etcdctl.call(
        loop.system.etcd.endpoint, "/v3/kv/range", {"key": etcdctl.b64(loop.keys.current)}
    )
    return int(answer["kvs"][0]["version"])


def test_killed_and_restarted(loop: Loop, undisturbed) -> None:
    loop.system.redis.kill()
    number = answered_quickly(loop, ["without Redis 1", "without Redis 2"])
    loop.settles_on(number, after="while Redis was away: the worker sweeps by itself")

    loop.system.redis.start()

    loop.settles_on(loop.publish("with Redis again"), after="Redis was killed")


def test_frozen(loop: Loop, undisturbed) -> None:
    loop.system.redis.freeze()
    begun = time.monotonic()
    number = answered_quickly(loop, [f"frozen Redis {at}" for at in range(10)])
    wait_until(
        lambda: time.monotonic() - begun > 12,
        what="longer than every limit on its sockets",
        timeout_s=30,
    )

    loop.system.redis.thaw()

    loop.settles_on(number, after="Redis was frozen")


def test_flushed_in_the_middle_of_many_publishes(loop: Loop, undisturbed) -> None:
    number = 0
    with redis.Redis.from_url(loop.system.redis.url) as client:
        for at in range(20):
            number = loop.publish(f"flushed {at}")
            client.flushall()

    loop.settles_on(number, after="Redis was flushed")


def test_a_worker_killed_in_mid_publish_writes_it_once(loop: Loop, undisturbed) -> None:
    loop.settles_on(loop.publish("before the kill"), after="before the kill")
    writes = pointer_writes(loop)
    loop.system.etcd.freeze()  # the relay has it in hand, and its answer never comes
    number = loop.publish("in mid-publish")
    wait_until(lambda: _in_hand(loop), what="the relay's claim", timeout_s=30)

    loop.system.worker.kill()
    loop.system.etcd.thaw()
    loop.system.worker.start()

    loop.settles_on(number, after="the worker was killed")
    assert pointer_writes(loop) == writes + 1


def test_a_web_process_killed_right_after_its_answer_loses_nothing(loop: Loop, undisturbed) -> None:
    number = loop.publish("and then it was killed")
    loop.system.web.kill()
    loop.system.web.start()

    loop.settles_on(number, after="web was killed")


def test_without_any_worker_the_publish_waits_and_then_goes(loop: Loop, undisturbed) -> None:
    loop.system.worker.kill()
    number = answered_quickly(loop, ["no worker 1", "no worker 2"])

    loop.system.worker.start()

    loop.settles_on(number, after="the worker came back")


def test_without_beat_nothing_is_missed(loop: Loop, undisturbed) -> None:
    loop.system.beat.kill()

    loop.settles_on(loop.publish("without beat"), after="beat was killed")

    loop.system.beat.start()


def _in_hand(loop: Loop) -> bool:
    said = loop.system.manage(
        "shell", "-v", "0", "-c",
        "from confhub.publishing.models import Publication as P;"
        "print(P.objects.filter(state='waiting').exclude(held_by='').count())",
    )  # fmt: skip
    return said.strip().endswith("1")
