"""A follower in a thread of its own, whose snapshots a test can wait for."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.parts.servers import EtcdServer, wait_until
from watchers.etcd import Etcd, EtcdError, Snapshot


@dataclass(frozen=True)
class Seen:
    """A snapshot with its keys copied: {key: value}."""

    revision: int
    values: dict[str, bytes]
    changed: frozenset[str]
    anew: bool
    epoch: str | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Seen":
        values = {key: stored.value for key, stored in snapshot.keys.items()}
        return cls(snapshot.revision, values, snapshot.changed, snapshot.anew, snapshot.epoch)


class Follower:
    """Runs follow() until the test is over."""

    def __init__(self, etcd: Etcd, prefix: str, **options: Any) -> None:
        self.seen: list[Seen] = []
        self.troubles: list[EtcdError] = []
        self.busy = threading.Event()  # cleared: the consumer sleeps over its snapshot
        self.busy.set()
        self.stop = threading.Event()
        self.failed: BaseException | None = None
        self._snapshots = etcd.follow(
            prefix, stop=self.stop, on_trouble=self.troubles.append, **options
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for snapshot in self._snapshots:
                self.seen.append(Seen.of(snapshot))
                self.busy.wait()
        except BaseException as error:  # noqa: BLE001  # the test's thread reports it
            self.failed = error

    @property
    def values(self) -> dict[str, bytes] | None:
        return self.seen[-1].values if self.seen else None

    def until(self, holds: Callable[[], bool], *, what: str, timeout_s: float = 10.0) -> None:
        wait_until(lambda: self.failed is not None or holds(), what=what, timeout_s=timeout_s)
        assert self.failed is None, self.failed

    def until_values(self, values: dict[str, bytes], *, timeout_s: float = 10.0) -> None:
        self.until(
            lambda: self.values == values,
            what=f"the follower holds {str(values)[:200]}",
            timeout_s=timeout_s,
        )

    def end(self) -> None:
        self.busy.set()
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive(), "follow() did not end within 10 s of stop"


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    """follow(etcd, prefix, …) → a running Follower; all are ended with the test."""
    started: list[Follower] = []

    def start(etcd: Etcd, prefix: str, **options: Any) -> Follower:
        started.append(Follower(etcd, prefix, **options))
        return started[-1]

    yield start
    for follower in started:
        follower.stop.set()
    for follower in started:
        follower.end()


@pytest.fixture
def store(etcd: EtcdServer) -> Iterator[Etcd]:
    """A client of the shared etcd."""
    client = Etcd([etcd.endpoint])
    yield client
    client.close()


@pytest.fixture
def own_store(own_etcd: EtcdServer) -> Iterator[Etcd]:
    """A client, quick to give up, of the etcd that this test may break."""
    client = Etcd([own_etcd.endpoint], timeout_s=1.0)
    yield client
    client.close()
