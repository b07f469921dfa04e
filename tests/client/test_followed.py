"""The client with an etcd of its own: what it reads, what it reports, and whom it leaves behind."""

import asyncio
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from confhub.client import BadValue, Change, Config, NoConfiguration, Snapshot
from tests.client.conftest import INSTANCE, SOAK_S, Place, Program
from tests.parts import etcdctl
from tests.parts.servers import EtcdServer, wait_until
from tests.watchers.served import status_of
from tests.watchers.test_secrets import CANARY, KEY, publish, sealed_document

Make = Callable[..., Config]
Run = Callable[[str], Program]


@dataclass(frozen=True)
class Settings:
    max: int


# ── a release on its way ──────────────────────────────────────────────────────────────────────────


def test_a_release_is_read_confirmed_and_replaced_by_the_next(place: Place, make: Make) -> None:
    place.publisher.publish({"MAX": 5, "db.url": "postgres://x"})
    config = make()

    assert (config["MAX"], config["DB_URL"], config.release) == (5, "postgres://x", 1)
    first = place.until("confirmed", 1)
    assert (first.runtime, first.running, first.health) == ("process", 1, "healthy")
    wait_until(
        lambda: place.until("confirmed", 1).container["processes"] == 1,
        what="the process that reads it is counted",
    )

    seen = config.current
    place.publisher.publish({"MAX": 6})
    assert config.wait(30, after=seen)
    assert (config["MAX"], config.release) == (6, 2)
    place.until("confirmed", 2)
    assert seen["MAX"] == 5, "what was taken before stays as it was"


def test_callbacks_see_the_new_release_before_everybody_else(place: Place, make: Make) -> None:
    place.publisher.publish({"MAX": 5, "SAME": True})
    config = make()
    inside: list[tuple[object, ...]] = []

    @config.on_change
    def changed(new: Snapshot, old: Snapshot, keys: frozenset[str]) -> None:
        others = []
        thread = threading.Thread(target=lambda: others.append(config["MAX"]))
        thread.start()
        thread.join()
        inside.append((new["MAX"], old["MAX"], sorted(keys), config["MAX"], others[0]))

    place.publisher.publish({"MAX": 6, "SAME": True, "NEW": None})
    place.until("confirmed", 2)

    assert inside == [(6, 5, ["MAX", "NEW"], 6, 5)]


def test_a_model_that_does_not_fit_keeps_the_old_values_and_fails_the_receipt(
    place: Place, make: Make
) -> None:
    place.publisher.publish({"MAX": 5})
    config = make()
    live = config.live(Settings)
    assert config.load(Settings) == Settings(5)
    place.until("confirmed", 1)

    place.publisher.publish({"MAX": "a secret that is no number"})
    status = place.until("failed", 2)

    assert status.receipt is not None
    assert status.receipt.stage == "confirm"
    assert "MAX: wanted a whole number, found a text of 26 characters" in status.receipt.reason
    assert "a secret" not in status.receipt.reason
    assert live.max == 5
    wait_until(
        lambda: (place.folder / "files" / "current").readlink().name == "gen-1",
        what="the directory shows the last good release",
    )
    assert config.trouble.startswith("Release 2 is refused: MAX: wanted a whole number")

    place.publisher.publish({"MAX": 7})
    place.until("confirmed", 3)
    assert (live.max, config.trouble) == (7, "")


def test_a_callback_that_raises_refuses_and_the_others_are_told_back(
    place: Place, make: Make
) -> None:
    place.publisher.publish({"MAX": 5, "TOKEN": "hunter2hunter2"})
    config = make()
    calls: list[tuple[int, int]] = []

    @config.on_change
    def first(new: Snapshot, old: Snapshot, keys: frozenset[str]) -> None:
        calls.append((new.release, old.release))

    @config.on_change
    def second(new: Snapshot, old: Snapshot, keys: frozenset[str]) -> None:
        if new["MAX"] == 6:
            raise RuntimeError(f"no pool of 6 with {new['TOKEN']}")

    place.until("confirmed", 1)
    place.publisher.publish({"MAX": 6, "TOKEN": "hunter2hunter2"})
    status = place.until("failed", 2)

    assert calls == [(2, 1), (1, 2)]
    assert (config.release, config["MAX"]) == (1, 5)
    assert status.receipt is not None
    assert "RuntimeError: no pool of 6 with [TOKEN]" in status.receipt.reason
    assert "hunter2" not in status.receipt.reason


def test_a_program_that_starts_with_a_bad_release_gets_the_last_good_one(
    place: Place, make: Make
) -> None:
    place.publisher.publish({"MAX": 5})
    first = make()
    first.load(Settings)
    place.until("confirmed", 1)
    first.close()
    place.until_nobody_follows()

    place.publisher.publish({"MAX": "many"})
    again = make()

    assert again.load(Settings) == Settings(5)
    assert again.release == 1
    status = place.until("failed", 2)
    assert status.receipt is not None
    assert "MAX: wanted a whole number" in status.receipt.reason


def test_with_no_good_release_a_bad_one_is_an_error_that_names_the_entry(
    place: Place, make: Make
) -> None:
    place.publisher.publish({"MAX": "many"})
    config = make()

    with pytest.raises(BadValue, match="MAX: wanted a whole number, found a text of 4 characters"):
        config.load(Settings)
    place.until("failed", 1)


def test_what_is_read_once_waits_for_a_restart_and_says_so(place: Place, make: Make) -> None:
    place.publisher.publish({"HOSTS": ["a"], "MAX": 5})
    config = make()
    assert config.at_start("HOSTS", type=list[str]) == ["a"]
    place.until("confirmed", 1)

    place.publisher.publish({"HOSTS": ["b"], "MAX": 5})
    place.until("delivered", 2)
    wait_until(
        lambda: (
            (r := place.until("delivered", 2).receipt) is not None
            and r.pending_restart == ("HOSTS",)
        ),
        what="the receipt names what waits",
    )

    other = make()  # its successor comes before it goes, as in a rolling restart
    other.at_start("HOSTS", type=list[str])
    config.close()
    status = place.until("confirmed", 2)
    assert status.receipt is not None
    assert status.receipt.pending_restart == ()


def test_async_code_gets_each_change(place: Place, make: Make) -> None:
    place.publisher.publish({"MAX": 1})
    config = make()

    async def collect() -> list[tuple[int, object]]:
        found: list[tuple[int, object]] = []
        changes = config.changes()
        task: asyncio.Task[Change] = asyncio.ensure_future(anext(changes))  # type: ignore[arg-type]
        for number in (2, 3):
            await asyncio.sleep(0)
            if number == 2:
                await asyncio.to_thread(place.until, "confirmed", 1)
            await asyncio.to_thread(place.publisher.publish, {"MAX": number})
            change = await asyncio.wait_for(task, 30)
            found.append((change.new.release, change.new["MAX"]))
            task = asyncio.ensure_future(anext(changes))  # type: ignore[arg-type]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await changes.aclose()  # type: ignore[attr-defined]
        return found

    assert asyncio.run(collect()) == [(2, 2), (3, 3)]


# ── beginning without etcd ────────────────────────────────────────────────────────────────────────


def test_without_anything_it_says_what_is_missing(place: Place, make: Make) -> None:
    config = make(wait_s=4)

    with pytest.raises(NoConfiguration, match="nothing has been published for shop in dev yet"):
        config.start()


def test_it_waits_for_a_first_release(place: Place, make: Make) -> None:
    config = make(wait_s=60)
    timer = threading.Timer(1.0, place.publisher.publish, [{"MAX": 5}])
    timer.start()

    assert config["MAX"] == 5
    timer.join()


@pytest.mark.faults
def test_with_etcd_gone_it_starts_from_the_last_known_good_and_follows_once_it_is_back(
    own_place: Place, own_etcd: EtcdServer, own_make: Make
) -> None:
    own_place.publisher.publish({"MAX": 5})
    first = own_make()
    first.start()
    own_place.until("confirmed", 1)
    first.close()
    own_place.until_nobody_follows()
    own_etcd.kill()

    config = own_make()
    assert (config["MAX"], config.release) == (5, 1)

    own_etcd.start()
    own_place.publisher.publish({"MAX": 6})
    own_place.until("confirmed", 2)
    assert config["MAX"] == 6


@pytest.mark.faults
def test_with_etcd_gone_and_nothing_on_disk_it_says_so(
    own_place: Place, own_etcd: EtcdServer, own_make: Make
) -> None:
    own_etcd.kill()
    config = own_make(wait_s=4)

    with pytest.raises(NoConfiguration, match="There is no configuration of shop in dev") as told:
        config.start()
    assert own_place.publisher.endpoint in str(told.value)


# ── one follower for all, and none afterwards ─────────────────────────────────────────────────────


def test_programs_share_one_follower_and_it_ends_with_the_last(place: Place, run: Run) -> None:
    place.publisher.publish({"MAX": 5})
    programs = [run("plain") for _ in range(3)]
    for program in programs:
        program.until(1, why="began", release=1)
    wait_until(lambda: len(place.followers()) == 1, what="there is one follower")

    wait_until(
        lambda: place.until("confirmed", 1).container["processes"] == 3, what="all are counted"
    )
    for program in programs:
        assert program.end() == b""
    place.until_nobody_follows()
    key = place.publisher.keys.instance(INSTANCE)
    assert etcdctl.get(place.publisher.endpoint, key) is None, "gone at once, not by its lease"


@pytest.mark.faults
def test_a_killed_follower_is_taken_over_and_a_killed_program_leaves_none(
    place: Place, run: Run
) -> None:
    place.publisher.publish({"MAX": 5})
    program, other = run("plain"), run("plain")
    program.until(1, why="began")
    other.until(1, why="began")
    [follower] = place.followers()

    os.kill(follower, signal.SIGKILL)
    place.publisher.publish({"MAX": 6})
    program.until(1, why="changed", release=2)
    other.until(1, why="changed", release=2)
    place.until("confirmed", 2)
    assert follower not in place.followers()
    assert len(place.followers()) == 1

    for one in (program, other):
        one.process.kill()
        one.end()
    place.until_nobody_follows()


@pytest.mark.faults
def test_a_release_is_confirmed_only_once_every_process_has_it(place: Place, run: Run) -> None:
    place.publisher.publish({"MAX": 5})
    one, frozen = run("plain"), run("plain")
    one.until(1, why="began")
    frozen.until(1, why="began")
    place.until("confirmed", 1)

    frozen.process.send_signal(signal.SIGSTOP)
    try:
        place.publisher.publish({"MAX": 6})
        one.until(1, why="changed", release=2)
        threading.Event().wait(
            5 * SOAK_S
        )  # in which it would be confirmed, were that one not there
        key = place.publisher.keys.instance(INSTANCE)
        status = status_of(place.publisher.endpoint, key)
        assert status is not None
        assert status.receipt is not None
        assert (status.receipt.state, status.receipt.release) != ("confirmed", 2)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    place.until("confirmed", 2)


def test_one_with_another_etcd_waits_until_the_first_ones_have_ended(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place.publisher.publish({"MAX": 5})
    first = make()
    first.start()
    place.until("confirmed", 1)
    host, port = place.publisher.endpoint.split(":")
    monkeypatch.setenv("ETCD_ENDPOINTS", f"localhost:{port}")
    assert host == "127.0.0.1"

    other = make()
    assert other["MAX"] == 5, "what is delivered is read meanwhile"
    assert "is followed after that" in caplog.text

    first.close()
    wait_until(
        lambda: any(
            b"localhost" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in place.followers()
        ),
        what="its own settings are followed",
    )
    place.publisher.publish({"MAX": 6})
    assert other.wait(30)


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_is_read_in_clear_and_said_nowhere(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    publish(place.publisher, sealed_document(place.publisher, 1))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        place.state = Path(memory)
        config = make(state_dir=memory)
        assert config["PW"] == CANARY
        place.until("confirmed", 1)

        @config.on_change
        def refuse(new: Snapshot, old: Snapshot, keys: frozenset[str]) -> None:
            raise ValueError(f"cannot log in with {new['PW']}")

        publish(place.publisher, sealed_document(place.publisher, 2))
        status = place.until("failed", 2)
        assert status.receipt is not None
        assert "cannot log in with" in status.receipt.reason
        assert CANARY not in status.receipt.reason
        assert CANARY not in (place.folder / "follower.log").read_text()
        config.close()
        place.until_nobody_follows()


def test_a_secret_is_not_kept_on_a_disk_unless_that_is_wanted(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    publish(place.publisher, sealed_document(place.publisher, 1))
    config = make(wait_s=4)

    with pytest.raises(NoConfiguration, match=r"holds secrets, and .* is on a disk"):
        config.start()
