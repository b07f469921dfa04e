"""etcd killed, frozen and wiped while an agent is at work: nothing lost, nothing applied twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import etcdctl
from tests.parts.servers import wait_until
from tests.watchers.conftest import OwnPublisher
from tests.watchers.served import Process, Served, runtime_for
from watchers.follow.statuses import TTL_S

pytestmark = pytest.mark.faults


@pytest.fixture
def served(own_publisher: OwnPublisher, process: Process, tmp_path: Path) -> Iterator[Served]:
    held = Served(own_publisher.endpoint, own_publisher.keyspace, tmp_path / "state",
                  runtime_for(process.process.pid, process.directory))  # fmt: skip
    own_publisher.publish({"MAX": 1})
    held.until("confirmed", 1)
    yield held
    held.stop()


def test_etcd_killed_and_restarted(
    served: Served, own_publisher: OwnPublisher, process: Process
) -> None:
    own_publisher.server.kill()
    wait_until(lambda: served.agent.silence() is not None, what="the agent noticed")
    assert (process.directory / "release").read_text() == "1\n"
    own_publisher.server.start()
    own_publisher.publish({"MAX": 2})
    served.until("confirmed", 2, timeout_s=30)

    assert [line["release"] for line in process.lines()] == [0, 1, 2]
    wait_until(lambda: served.agent.silence() is None, what="the agent says that it hears")


def test_etcd_frozen_for_longer_than_the_lease(
    served: Served, own_publisher: OwnPublisher, process: Process
) -> None:
    own_publisher.server.freeze()
    wait_until(lambda: served.agent.silence() is not None, what="the agent noticed", timeout_s=30)
    own_publisher.server.thaw()
    own_publisher.publish({"MAX": 2})
    status = served.until("confirmed", 2, timeout_s=30)

    assert status.running == 2
    assert [line["release"] for line in process.lines()] == [0, 1, 2]
    assert served.agent.pulse.stale() == {}


def test_etcd_wiped_and_republished(
    served: Served, own_publisher: OwnPublisher, process: Process
) -> None:
    own_publisher.server.wipe()
    own_publisher.server.start()
    # The store is empty now, and says so; that takes nothing away.
    wait_until(
        lambda: (s := served.status()) is not None and s.target is None and s.running == 1,
        what="the status stands again, in an empty store", timeout_s=30,
    )  # fmt: skip
    own_publisher.publish({"MAX": 1}, number=1)
    wait_until(
        lambda: (s := served.status()) is not None and s.target == 1, what="the target is known"
    )
    own_publisher.publish({"MAX": 2}, number=2)
    served.until("confirmed", 2)

    assert [line["release"] for line in process.lines()] == [0, 1, 2]


def test_a_status_that_somebody_deleted_comes_back(
    served: Served, own_publisher: OwnPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchers.follow.statuses.CHECK_S", 0.5)
    monkeypatch.setattr("watchers.follow.statuses.REFRESH_S", 0.5)
    served.agent._statuses.doubt()  # so that the shorter times hold from now on

    etcdctl.delete_prefix(own_publisher.endpoint, own_publisher.keys.instances)

    wait_until(lambda: served.status() is not None, what="the status is back")


def test_the_status_goes_with_its_agent(served: Served, own_publisher: OwnPublisher) -> None:
    key = own_publisher.keys.instance("one")
    held = etcdctl.call(
        own_publisher.endpoint, "/v3/kv/range", {"key": etcdctl.b64(key)}
    )["kvs"][0]  # fmt: skip

    lease = etcdctl.call(
        own_publisher.endpoint, "/v3/lease/timetolive", {"ID": held["lease"], "keys": True}
    )

    assert int(lease["grantedTTL"]) == TTL_S
    assert len(lease["keys"]) == 1
