"""Does a publish request wait for Redis or etcd? Each is frozen and killed while requests are timed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.clocked import Figure
from benchmarks.variants import ENVIRONMENT, SERVICE, WholeWay
from tests.parts import etcdctl
from tests.parts.servers import wait_until
from tests.parts.system import System
from watchers.wire.documents import Pointer
from watchers.wire.keyspace import Keyspace

LIMIT_MS = 300.0  # at the 99th percentile


@dataclass
class Outage:
    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


def measured(system: System, whole: WholeWay, requests: int) -> Iterator[Figure]:
    """One figure for each outage; the releases are on their way as soon as it is over."""
    for outage in (
        Outage("Redis frozen", system.redis.freeze, system.redis.thaw),
        Outage("Redis dead", system.redis.kill, system.redis.start),
        Outage("etcd frozen", system.etcd.freeze, system.etcd.thaw),
        Outage("etcd dead", system.etcd.kill, system.etcd.start),
    ):
        figure = Figure(f"accepted, {outage.name}", "publish request sent → answered")
        outage.begin()
        for _ in range(requests):
            figure.add(*whole.publish())
        outage.end()
        _arrives(system)
        yield figure


def _arrives(system: System) -> None:
    path = f"/services/{SERVICE}/environments/{ENVIRONMENT}/releases?limit=1"
    newest = system.call("GET", path)[1]["items"][0]["release"]
    key = Keyspace(system.prefix).scope(SERVICE, ENVIRONMENT).current

    def there() -> bool:
        raw = etcdctl.get(system.etcd.endpoint, key)
        return raw is not None and Pointer.from_bytes(raw).release == newest

    wait_until(there, what=f"r{newest} in etcd after the outage", timeout_s=90)
