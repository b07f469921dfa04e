"""Events only make the agent look sooner: lost, late, too many or none, it ends with what is there."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from docker.models.containers import Container

from tests.parts import docker
from tests.parts.docker import DockerEngine
from tests.parts.engine_proxy import GetOnly
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.hosts import Host, id_of, reads
from tests.watchers.served import Served
from watchers.runtimes.docker import MAX_DIRTY, DockerRuntime

pytestmark = pytest.mark.docker
MANY = 40
CUT_EVERY_S = 0.3


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with docker.shared_engine(docker.run_directory(tmp_path_factory)) as held:
        yield held


@pytest.fixture
def host(engine: DockerEngine, publisher: Publisher, tmp_path: Path) -> Iterator[Host]:
    publisher = Publisher(publisher.endpoint, publisher.keyspace.prefix, f"s{uuid4().hex[:8]}")
    held = Host(engine, publisher, tmp_path)
    yield held
    held.close()


@pytest.fixture
def proxy(engine: DockerEngine) -> Iterator[GetOnly]:
    path = Path(f"/tmp/confhub-proxy-{uuid4().hex[:8]}.sock")  # noqa: S108  # a socket's path is short
    with GetOnly(engine.address.removeprefix("unix://"), path) as held:
        yield held


def test_many_that_come_and_go_while_the_events_flap_end_as_the_engine_lists_them(
    host: Host, proxy: GetOnly
) -> None:
    host.publisher.publish({"MAX": 1})
    served = host.serve(proxy.address)
    over, cuts = threading.Event(), [0]

    def flap() -> None:
        while not over.wait(CUT_EVERY_S):
            cuts[0] += proxy.cut_events()

    flapping = threading.Thread(target=flap)
    flapping.start()
    chance = random.Random(20261124)  # noqa: S311  # the same each time
    try:
        with ThreadPoolExecutor(4) as pool:
            begun = list(pool.map(lambda _: host.start(), range(MANY)))
            gone = chance.sample(begun, MANY * 3 // 4)
            list(pool.map(lambda one: one.remove(force=True), gone))
    finally:
        over.set()
        flapping.join()

    label = f"confhub.service={host.publisher.service}"
    listed = host.engine.client.containers.list(all=True, filters={"label": label})
    wait_until(
        lambda: served.instances() == {id_of(one) for one in listed},
        what="the instances are those that the engine lists", timeout_s=60,
    )  # fmt: skip
    assert len(listed) == MANY // 4
    assert cuts[0] > 1
    for one in listed:
        served.until("confirmed", 1, instance=id_of(one), timeout_s=60)


def test_exec_and_health_probes_cost_no_look_at_the_container(host: Host, proxy: GetOnly) -> None:
    probe = {"test": ["CMD", "/bin/true"], "interval": 100_000_000, "timeout": 5_000_000_000}
    container = host.start(healthcheck=probe)
    host.publisher.publish({"MAX": 1})
    served = host.serve(proxy.address)
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.health == "healthy",
        what="its change of health was heard",
    )
    served.until("confirmed", 1, instance=id_of(container))
    before = proxy.inspections(str(container.id))

    for _ in range(40):
        container.exec_run(["/bin/true"])

    assert proxy.inspections(str(container.id)) - before <= 1


def test_more_events_than_anybody_reads_become_one_look_at_everything() -> None:
    runtime = DockerRuntime("unix:///nowhere")
    runtime._everything = False

    for number in range(10 * MAX_DIRTY):
        runtime._take({"Action": "start", "id": f"{number:064x}", "Actor": {}})

    assert len(runtime._dirty) <= MAX_DIRTY
    assert runtime._everything


# ── in the middle of a rollout ────────────────────────────────────────────────────────────────────


def begin_rollout(host: Host, admitted: list[str] | str) -> None:
    """Release 1 stands; release 2 is on its way to `admitted`."""
    document = host.publisher.document({"MAX": 2}, number=2)
    host.publisher.transact({host.publisher.keys.release(2): document.to_bytes()})
    host.publisher.admit(2, admitted, baseline=1)


def abort_rollout(host: Host) -> None:
    host.publisher.transact({}, [host.publisher.keys.rollout])


def confirmed_with_one(host: Host, **more: str) -> tuple[Container, Served]:
    container = host.start(**more)  # type: ignore[arg-type]  # restart="always"
    host.publisher.publish({"MAX": 1})
    served = host.serve()
    served.until("confirmed", 1, instance=id_of(container))
    return container, served


def pause(served: Served, container: Container) -> None:
    """Pause it, and return once its agent knows."""
    container.pause()
    wait_until(
        lambda: (s := served.status(id_of(container))) is not None and s.health == "unknown",
        what="the agent saw the pause",
    )


def test_one_that_is_paused_in_its_soak_is_not_confirmed_before_it_goes_on(host: Host) -> None:
    container = host.start(labels={"confhub.soak": "3s"})
    host.publisher.publish({"MAX": 1})
    served = host.serve()
    served.until("applied", 1, instance=id_of(container))

    pause(served, container)
    status = served.status(id_of(container))
    threading.Event().wait(3.5)  # longer than the soak
    later = served.status(id_of(container))
    container.unpause()
    served.until("confirmed", 1, instance=id_of(container))

    for each in (status, later):
        assert each is not None
        assert each.receipt is not None
        assert each.receipt.state == "applied"


def test_one_that_is_paused_when_it_is_admitted_is_told_once_it_goes_on(host: Host) -> None:
    container, served = confirmed_with_one(host)
    pause(served, container)
    begin_rollout(host, [id_of(container)])
    served.until("delivered", 2, instance=id_of(container))
    assert reads(container)[-1] == 'reloads=1 {"MAX":1}'

    container.unpause()
    served.until("confirmed", 2, instance=id_of(container))

    assert reads(container)[-1] == 'reloads=2 {"MAX":2}'


def test_one_whose_rollout_ends_while_it_is_paused_hears_nothing_of_it(host: Host) -> None:
    container, served = confirmed_with_one(host)
    pause(served, container)
    begin_rollout(host, [id_of(container)])
    served.until("delivered", 2, instance=id_of(container))
    abort_rollout(host)
    wait_until(
        lambda: (host.files(container) / "release").read_text() == "1\n", what="its files are back"
    )
    container.unpause()
    served.until("confirmed", 1, instance=id_of(container))

    assert not [line for line in reads(container) if '"MAX":2' in line]


def test_one_that_is_stopped_and_started_in_a_rollout_begins_with_the_release(host: Host) -> None:
    container, served = confirmed_with_one(host)
    container.stop(timeout=2)
    begin_rollout(host, [id_of(container)])
    served.until("delivered", 2, instance=id_of(container))

    container.start()
    served.until("confirmed", 2, instance=id_of(container))

    assert reads(container)[-1] == 'reloads=0 {"MAX":2}'


def test_one_that_began_after_the_swap_is_proven_and_not_told(host: Host) -> None:
    first, served = confirmed_with_one(host)
    begin_rollout(host, "all")
    served.until("confirmed", 2, instance=id_of(first))
    labels = dict(first.labels)
    folder = host.files(first)
    first.remove(force=True)

    # Made anew with the same volume, as `docker compose up` does.
    second = host.engine.run(
        docker.BUSYBOX, ["/bin/handler"], name=f"t{uuid4().hex[:8]}", labels=labels, folder=folder
    )
    host.begun.append(second)
    served.until("confirmed", 2, instance=id_of(second))

    assert reads(second) == ['reloads=0 {"MAX":2}']


def test_one_made_anew_that_is_not_admitted_gets_the_release_before(host: Host) -> None:
    first, served = confirmed_with_one(host)
    begin_rollout(host, [id_of(first)])
    served.until("confirmed", 2, instance=id_of(first))
    labels, folder = dict(first.labels), host.files(first)
    first.remove(force=True)

    second = host.engine.run(
        docker.BUSYBOX, ["/bin/handler"], name=f"t{uuid4().hex[:8]}", labels=labels, folder=folder
    )
    host.begun.append(second)
    served.until("confirmed", 1, instance=id_of(second))

    assert reads(second)[-1].endswith('{"MAX":1}')


def test_restarts_in_the_middle_of_a_rollout_are_not_held_against_it(host: Host) -> None:
    container, served = confirmed_with_one(host, restart="always")
    begin_rollout(host, "all")
    for _ in range(3):
        container.restart(timeout=1)
    status = served.until("confirmed", 2, instance=id_of(container))

    assert status.receipt is not None
    assert not status.receipt.reason
    assert reads(container)[-1].endswith('{"MAX":2}')
