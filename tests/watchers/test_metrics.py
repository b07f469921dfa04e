"""What the agent says of itself over HTTP: alive, ready, and its numbers."""

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.conftest import OwnPublisher
from tests.watchers.served import Process, Served, runtime_for
from watchers import agent as agents
from watchers.health import HealthServer
from watchers.runtimes.process import ProcessRuntime


def ask(server: HealthServer, path: str) -> tuple[int, str]:
    """(status, body)."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def over_http() -> Iterator[Callable[[Served], HealthServer]]:
    begun: list[HealthServer] = []

    def begin(served: Served) -> HealthServer:
        begun.append(HealthServer(("127.0.0.1", 0), served.agent))
        return begun[-1]

    yield begin
    for server in begun:
        server.close()


def numbers(text: str) -> dict[str, float]:
    """{sample with its labels: value}; every line must be one that Prometheus reads."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP \w+ .+|TYPE \w+ (gauge|counter|histogram))", line)
            continue
        sample = re.fullmatch(r'(\w+(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)', line)
        assert sample is not None, line
        assert sample[1] not in found, "one sample twice"
        found[sample[1]] = float(sample[2])
    return found


def value(found: dict[str, float], name: str, *labels: str) -> float:
    """The one sample of that name with all of these labels."""
    fits = [
        held for sample, held in found.items()
        if sample.split("{")[0] == name and all(label in sample for label in labels)
    ]  # fmt: skip
    assert len(fits) == 1, (name, labels, [s for s in found if s.startswith(name)])
    return fits[0]


def test_the_metrics_follow_a_release(
    publisher: Publisher,
    serve: Callable[..., Served],
    over_http: Callable[[Served], HealthServer],
) -> None:
    publisher.publish({"MAX": 1})
    served = serve()
    server = over_http(served)
    served.until("confirmed", 1)
    publisher.publish({"MAX": 2})
    served.until("confirmed", 2)

    status, body = ask(server, "/metrics")
    found = numbers(body)

    assert status == 200
    one = ('instance="one"', 'service="shop"', 'environment="dev"', 'container="workload"')
    assert value(found, "confhub_instance_target_release", *one) == 2
    assert value(found, "confhub_instance_running_release", *one) == 2
    assert value(found, "confhub_instance_lag_seconds", *one) == 0
    assert value(found, "confhub_agent_etcd_up") == 1
    assert value(found, "confhub_agent_instances", 'health="healthy"') == 1
    assert value(found, "confhub_agent_stage_seconds_count", 'stage="confirm"') >= 2
    assert value(found, "confhub_agent_stage_seconds_bucket", 'stage="confirm"', '"+Inf"') >= 2
    assert value(found, "confhub_agent_stale_mounts") == 0


def test_a_release_that_is_not_taken_is_counted_and_lags(
    publisher: Publisher,
    process: Process,
    tmp_path: Path,
    over_http: Callable[[Served], HealthServer],
) -> None:
    runtime = runtime_for(process.process.pid, process.directory, reload="signal:USR1")
    served = Served(publisher.endpoint, publisher.keyspace, tmp_path / "state", runtime)
    try:
        server = over_http(served)
        before = numbers(ask(server, "/metrics")[1])
        publisher.publish({"MAX": 1})
        served.until("failed", 1)
        wait_until(
            lambda: value(numbers(ask(server, "/metrics")[1]), "confhub_instance_lag_seconds") > 0,
            what="it lags",
        )
        found = numbers(ask(server, "/metrics")[1])
    finally:
        served.stop()

    failures = 'confhub_agent_failures_total{stage="reload"}'
    assert found[failures] > before.get(failures, 0)
    vetoes = "confhub_agent_vetoed_signals_total"
    assert found[vetoes] > before[vetoes]


def test_a_watch_that_had_to_begin_anew_is_counted_and_an_etcd_that_is_away_shows(
    own_publisher: OwnPublisher,
    process: Process,
    tmp_path: Path,
    over_http: Callable[[Served], HealthServer],
) -> None:
    own_publisher.publish({"MAX": 1})
    runtime = runtime_for(process.process.pid, process.directory)
    served = Served(own_publisher.endpoint, own_publisher.keyspace, tmp_path / "state", runtime)
    try:
        server = over_http(served)
        served.until("confirmed", 1)
        restarts = "confhub_agent_watch_restarts_total"
        before = numbers(ask(server, "/metrics")[1])[restarts]
        own_publisher.server.kill()
        wait_until(
            lambda: value(numbers(ask(server, "/metrics")[1]), "confhub_agent_etcd_up") == 0,
            what="etcd is missed",
        )
        assert ask(server, "/healthz")[0] == 200, "an etcd that is away is not the agent's illness"
        own_publisher.server.start()
        wait_until(
            lambda: numbers(ask(server, "/metrics")[1])[restarts] > before,
            what="the scope was read anew",
        )
    finally:
        served.stop()


def test_it_is_ready_once_everything_was_looked_at(
    own_publisher: OwnPublisher,
    process: Process,
    tmp_path: Path,
    over_http: Callable[[Served], HealthServer],
) -> None:
    own_publisher.publish({"MAX": 1})
    own_publisher.server.kill()
    runtime = runtime_for(process.process.pid, process.directory)
    served = Served(own_publisher.endpoint, own_publisher.keyspace, tmp_path / "state", runtime)
    try:
        server = over_http(served)
        wait_until(
            lambda: "dev/shop" in json.loads(ask(server, "/readyz")[1])["waits_for"],
            what="it waits for its scope",
        )
        assert ask(server, "/readyz")[0] == 503
        own_publisher.server.start()
        wait_until(lambda: ask(server, "/readyz")[0] == 200, what="it is ready")
    finally:
        served.stop()

    assert json.loads((process.directory / "config.json").read_text()) == {"MAX": 1}


def test_an_empty_scope_makes_nobody_wait(
    serve: Callable[..., Served], over_http: Callable[[Served], HealthServer]
) -> None:
    server = over_http(serve())

    wait_until(lambda: ask(server, "/readyz")[0] == 200, what="nothing published is an answer, too")
    assert ask(server, "/elsewhere")[0] == 404


class FrozenRuntime(ProcessRuntime):
    """One whose thread stands still when the test says so."""

    def __init__(self, like: ProcessRuntime) -> None:
        self.__dict__.update(like.__dict__)
        self.thaw = threading.Event()
        self.freeze = threading.Event()

    def run(self, stop: threading.Event, report: object, beat: Callable[[], None]) -> None:
        beat()
        report([self._workload])  # type: ignore[operator]
        self.freeze.wait(60)
        self.thaw.wait(60)


def test_a_frozen_thread_makes_it_ill_within_its_bound(
    publisher: Publisher,
    process: Process,
    tmp_path: Path,
    over_http: Callable[[Served], HealthServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agents, "RUNTIME_ALIVE_S", 0.3)
    publisher.publish({"MAX": 1})
    runtime = FrozenRuntime(runtime_for(process.process.pid, process.directory))
    served = Served(publisher.endpoint, publisher.keyspace, tmp_path / "state", runtime)
    try:
        server = over_http(served)
        served.until("confirmed", 1)
        wait_until(lambda: ask(server, "/healthz")[0] == 503, what="the frozen thread is missed")
        assert list(json.loads(ask(server, "/healthz")[1])["stale"]) == ["process"]
    finally:
        runtime.freeze.set()
        runtime.thaw.set()
        served.stop()
