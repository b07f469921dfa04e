"""The whole system with a real service under `confhub run`, for tests that break parts of it."""

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.history import History
from tests.parts.servers import free_port, wait_until
from tests.parts.system import Part, System
from watchers.wire.keyspace import Keyspace

SERVICE, ENVIRONMENT = "checkout", "dev"
STEADY_S = 60.0  # what a part may need to come back on two busy cores


@dataclass
class Loop:
    """A system, and one process that takes its releases by SIGHUP."""

    system: System
    process: Part
    port: int
    history: History
    published: list[int] = field(default_factory=list)

    @property
    def keys(self) -> Any:
        return Keyspace(self.system.prefix).scope(SERVICE, ENVIRONMENT)

    def publish(self, value: object) -> int:
        number = self.system.publish(SERVICE, ENVIRONMENT, {"VALUE": value})
        self.published.append(number)
        return number

    def workload(self) -> dict[str, Any]:
        """What the process itself says: {"release", "pid", "reloads", "values", …}."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/config.json", timeout=5
        ) as answer:
            held: dict[str, Any] = json.load(answer)
        return held

    def runs(self, number: int) -> bool:
        try:
            return bool(self.workload().get("release") == number)
        except OSError:
            return False

    def tile(self) -> dict[str, Any]:
        """The one living instance as REST tells it; {} where there is none."""
        _, answer = self.system.call(
            "GET", f"/services/{SERVICE}/environments/{ENVIRONMENT}/instances"
        )
        alive = [tile for tile in answer["items"] if tile["gone_at"] is None]
        return alive[0] if len(alive) == 1 else {}

    def confirmed(self, number: int) -> bool:
        tile = self.tile()
        return bool(tile.get("state") == "confirmed" and tile.get("running") == number)

    def settles_on(self, number: int, *, after: str) -> None:
        """The process runs it, and the page's data says so."""
        wait_until(
            lambda: self.runs(number), what=f"the process on r{number} {after}", timeout_s=STEADY_S
        )
        wait_until(
            lambda: self.confirmed(number),
            what=f"r{number} confirmed {after}; it says {self.tile()}", timeout_s=STEADY_S,
        )  # fmt: skip


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Shared by a file's tests; each leaves every part running."""
    system = System(tmp_path_factory.mktemp("whole"))
    with system:
        system.call("POST", "/services", {"slug": SERVICE})
        first = system.publish(SERVICE, ENVIRONMENT, {"VALUE": 0})
        port = free_port()
        process = system.run(
            SERVICE, ENVIRONMENT, sys.executable, "-m", "watchers.demo", "--port", str(port)
        )
        with History(
            system.etcd.endpoint, Keyspace(system.prefix).scope(SERVICE, ENVIRONMENT)
        ) as history:
            held = Loop(system, process, port, history, [first])
            held.settles_on(first, after="at the start")
            yield held


@pytest.fixture
def undisturbed(loop: Loop) -> Iterator[Callable[[], None]]:
    """After the test: the same process, one reload for each release that it took, none twice."""
    before = loop.workload()
    taken = len(loop.published)
    yield lambda: None
    after = loop.workload()
    assert after["pid"] == before["pid"]
    assert after["started_at"] == before["started_at"]
    reloads = after["reloads"] - before["reloads"]
    assert reloads <= len(loop.published) - taken, "a release was applied twice"
    loop.history.check(loop.published)
