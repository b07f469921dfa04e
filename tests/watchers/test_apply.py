"""What one instance does with what etcd says: the ordinary way, and each way of not taking it."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.parts import etcdctl
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.served import Process, Served, runtime_for, until

Serve = Callable[..., Served]


def test_a_release_reaches_a_running_process_without_a_restart(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()

    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)
    publisher.publish({"MAX": 2})
    status = served.until("confirmed", 2)

    assert [line["release"] for line in process.lines()] == [0, 1, 2]
    assert status.pid == process.process.pid
    assert (status.target, status.running, status.health) == (2, 2, "healthy")
    receipt = status.receipt
    assert receipt is not None
    assert receipt.delivered_at is not None
    assert receipt.applied_at is not None
    assert receipt.confirmed_at is not None
    assert receipt.delivered_at <= receipt.applied_at < receipt.confirmed_at
    assert (process.directory / "release").read_text() == "2\n"


def test_the_last_of_many_publishes_wins_with_two_reloads(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve(soak_s=2.0)
    publisher.publish({"MAX": 0})
    served.until("confirmed", 1)

    began = time.monotonic()
    for number in range(50):
        publisher.publish({"MAX": number, "SAME": number})
    took_s = time.monotonic() - began
    served.until("confirmed", 51)

    told = [line for line in process.lines() if line["why"] == "HUP" and line["release"] > 1]
    assert all(line["values"]["MAX"] == line["values"]["SAME"] for line in told)
    # One is taken at once, and the newest after its soak.
    assert told[-1]["release"] == 51
    assert len(told) <= 2 + took_s // 2.0


def test_a_process_that_dies_of_a_release_gets_the_last_good_one_back(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    publisher.publish({"CRASH": True})
    status = served.until("failed", 2)

    assert status.receipt is not None
    assert status.receipt.stage == "confirm"
    assert "ended" in status.receipt.reason
    assert (process.directory / "current").readlink().name == "gen-1"


def test_a_failed_release_is_not_tried_again_until_it_is_asked_for(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve(reload="signal:USR2")  # which the workload does not handle
    publisher.publish({"MAX": 1})
    status = served.until("failed", 1)
    assert status.receipt is not None
    first_at = status.receipt.at

    served.agent.look_again()
    time.sleep(0.5)  # nothing can be waited for: nothing must happen
    again = served.until("failed", 1)
    assert again.receipt is not None
    assert again.receipt.at == first_at

    assert served.agent.retry("one")
    wait_until(
        lambda: (s := served.status()) is not None and s.receipt is not None and s.receipt.at != first_at,
        what="the retry was made",
    )  # fmt: skip


def test_the_good_release_published_again_after_a_bad_one_is_delivered_and_proven(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve(labels={"files": "json,entry:app.conf"})
    publisher.publish({"app.conf": "good"})
    served.until("confirmed", 1)
    publisher.publish({"other": "the file is missing"})
    served.until("failed", 2)

    publisher.publish({"app.conf": "good"})
    status = served.until("confirmed", 3)

    assert status.running == 3
    assert process.reloads(3) == 1, "what the files say is the same, but the release is another"


def has_looked(served: Served) -> bool:
    agent = served.agent
    return bool(agent._views) and agent._instances["one"]._told is not None


def test_an_agent_that_begins_twenty_times_signals_nobody(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)
    read = process.lines()

    for _ in range(20):
        served.stop()
        served = serve()
        wait_until(partial(has_looked, served), what="it has looked, and said what it found")

    assert process.lines() == read


def test_a_signal_without_a_handler_is_not_sent(
    publisher: Publisher, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("deaf")
    deaf = Process(folder, deaf=True)
    served = Served(publisher.endpoint, publisher.keyspace, folder / "state",
                    runtime_for(deaf.process.pid, deaf.directory))  # fmt: skip
    try:
        publisher.publish({"MAX": 1})
        status = served.until("failed", 1)

        assert status.receipt is not None
        assert status.receipt.stage == "reload"
        assert "no handler for HUP" in status.receipt.reason
        assert deaf.process.poll() is None
        # There was nothing to replace, and an entrypoint may be waiting for its first files.
        assert (deaf.directory / "current").readlink().name == "gen-1"
    finally:
        served.stop()
        deaf.stop()


def odd(value: str) -> bytes:
    """A document with an entry that canonical JSON does not have."""
    return (
        '{"service": "shop", "environment": "dev", "release": 2, "checksum": "sha256:x", '
        f'"entries": {{"A": {{"value": {value}}}}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("bad", "stage", "says"),
    [
        (b"{not json", "fetch", "is not JSON"),
        (b'{"service": "shop"}', "fetch", "no usable"),
        (odd("NaN"), "fetch", "NaN is no number"),
        (odd("1e999"), "fetch", "holds what is no value"),
        (odd('"\\ud800"'), "fetch", "holds what is no value"),
        ("another checksum", "fetch", "but its entries have"),
        ("another service", "fetch", "says that it is release 2 of other"),
        ("another number", "fetch", "says that it is release 7"),
        (None, "fetch", "its document is not in etcd"),
        ("colliding", "render", "would be one environment variable"),
    ],
    ids=str,
)
def test_a_bad_document_keeps_the_old_release(
    serve: Serve, publisher: Publisher, process: Process, bad: bytes | str | None, stage: str, says: str
) -> None:  # fmt: skip
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    document = publisher.document({"MAX": 2}, number=2)
    raw = bad
    if bad == "another checksum":
        raw = document.to_bytes().replace(b'"value":2', b'"value":3')
    elif bad == "another service":
        raw = document.to_bytes().replace(b'"service":"shop"', b'"service":"other"')
    elif bad == "another number":
        raw = document.to_bytes().replace(b'"release":2', b'"release":7')
    elif bad == "colliding":
        document = publisher.document({"a.b": 1, "A_B": 2}, number=2)
        raw = document.to_bytes()
    puts = {publisher.keys.current: publisher.pointer(document)}
    if isinstance(raw, bytes):
        puts[publisher.keys.release(2)] = raw
    publisher.transact(puts)

    status = served.until("failed", 2)
    assert status.receipt is not None
    assert (status.receipt.stage, says in status.receipt.reason) == (stage, True), status.receipt
    assert (status.running, status.target) == (1, 2)
    assert [line["release"] for line in process.lines()] == [0, 1]
    assert (process.directory / "release").read_text() == "1\n"

    publisher.publish({"MAX": 3}, number=3)
    served.until("confirmed", 3)


def test_a_rollout_reaches_those_it_admits_and_its_end_takes_it_back(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)
    document = publisher.document({"MAX": 2}, number=2)
    publisher.transact({publisher.keys.release(2): document.to_bytes()})

    publisher.admit(2, ["another"], baseline=1)
    publisher.admit(2, ["one"], baseline=1)
    served.until("confirmed", 2)
    publisher.transact({}, [publisher.keys.rollout])
    served.until("confirmed", 1)

    assert [line["release"] for line in process.lines()] == [0, 1, 2, 1]


def test_a_wiped_store_takes_nothing_away_and_a_republished_one_reloads_nothing(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    etcdctl.delete_prefix(publisher.endpoint, publisher.keyspace.everything)
    wait_until(
        lambda: (s := served.status()) is None or s.target is None, what="the agent saw the wipe"
    )
    assert (process.directory / "release").read_text() == "1\n"
    publisher.publish({"MAX": 1}, number=1)
    wait_until(
        lambda: (s := served.status()) is not None and (s.target, s.running) == (1, 1),
        what="the instance is where it was",
    )

    assert [line["release"] for line in process.lines()] == [0, 1]


def test_an_older_store_is_not_followed_down_unless_it_is_another_history(
    serve: Serve, publisher: Publisher, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchers.follow.scopes.POLL_S", 1.0)  # the epoch is read with each poll
    served = serve()
    publisher.epoch("first")
    publisher.publish({"MAX": 1})
    publisher.publish({"MAX": 2})
    served.until("confirmed", 2)

    publisher.publish({"MAX": 1}, number=1)  # as from a backup
    wait_until(
        lambda: (s := served.status()) is not None and any("backup" in p for p in s.problems),
        what="the instance says that the store went back",
    )
    assert (process.directory / "release").read_text() == "2\n"

    etcdctl.delete_prefix(publisher.endpoint, publisher.keyspace.everything)
    publisher.epoch("second")
    served.agent.look_again()
    publisher.publish({"MAX": 9}, number=1)
    status = served.until("confirmed", 1)
    assert status.running == 1


def test_files_that_somebody_removed_are_put_right_without_a_reload(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)

    (process.directory / "current").unlink()
    served.agent.look_again()
    wait_until(lambda: (process.directory / "config.json").exists(), what="the files are back")

    assert [line["release"] for line in process.lines()] == [0, 1]


def test_a_process_that_began_after_the_swap_is_confirmed_without_a_reload(
    serve: Serve, publisher: Publisher, process: Process
) -> None:
    served = serve()
    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)
    served.stop()

    process.restart()
    again = serve()
    wait_until(
        lambda: (s := again.status()) is not None and s.pid == process.process.pid
        and s.running == 1 and s.receipt is not None and s.receipt.state == "confirmed",
        what="the new process is confirmed",
    )  # fmt: skip

    assert process.reloads(1) == 1, "only the first process was told"


def test_one_slow_instance_does_not_hold_up_another_service(
    publisher: Publisher, process: Process, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two")
    slow, others = (
        Process(folder),
        Publisher(publisher.endpoint, publisher.keyspace.prefix, service="slow"),
    )
    first = runtime_for(
        slow.process.pid, slow.directory, instance="slow", soak_s=60, service="slow"
    )
    second = runtime_for(process.process.pid, process.directory, instance="quick")
    second.name = "second"
    served = Served(publisher.endpoint, publisher.keyspace, folder / "state", first, second)
    try:
        others.publish({"MAX": 1})
        until(publisher.endpoint, others.keys.instance("slow"), "applied", 1)
        others.publish({"MAX": 2})
        publisher.publish({"MAX": 1})
        served.until("confirmed", 1, instance="quick")

        assert slow.reloads(2) == 0, "a newer release waits for the one in flight"
    finally:
        served.stop()
        slow.stop()


def test_replicas_of_one_service_reload_one_after_another(
    publisher: Publisher, process: Process, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two")
    neighbour = Process(folder)
    first = runtime_for(neighbour.process.pid, neighbour.directory, instance="first", soak_s=1)
    second = runtime_for(process.process.pid, process.directory, instance="second", soak_s=1)
    second.name = "second"
    served = Served(publisher.endpoint, publisher.keyspace, folder / "state", first, second)
    try:
        publisher.publish({"MAX": 1})
        receipts = [
            served.until("confirmed", 1, instance=name).receipt for name in ("first", "second")
        ]
    finally:
        served.stop()
        neighbour.stop()

    earlier, later = sorted(receipts, key=lambda receipt: receipt.applied_at)
    assert later.applied_at >= earlier.confirmed_at


def test_two_wishes_for_one_directory_are_a_problem_and_touch_nothing_more(
    publisher: Publisher, process: Process, tmp_path: Path
) -> None:
    first = runtime_for(process.process.pid, process.directory, instance="first", files="json")
    second = runtime_for(process.process.pid, process.directory, instance="second", files="env")
    second.name = "second"
    served = Served(publisher.endpoint, publisher.keyspace, tmp_path / "state", first, second)
    try:
        publisher.publish({"MAX": 1})
        wait_until(
            lambda: {
                s.receipt.state
                for name in ("first", "second")
                if (s := served.status(name)) and s.receipt
            } == {"confirmed", "failed"},
            what="one has the directory, and the other says so",
        )  # fmt: skip
    finally:
        served.stop()


def test_stopping_takes_no_longer_than_a_call(serve: Serve, publisher: Publisher) -> None:
    others = set(threading.enumerate())
    served = serve(soak_s=60)
    publisher.publish({"MAX": 1})
    served.until("applied", 1)

    begun = time.monotonic()
    served.stop()

    assert time.monotonic() - begun < 5
    left = set(threading.enumerate()) - others
    assert not [t for t in left if t.name.startswith(("instance ", "scope "))]
