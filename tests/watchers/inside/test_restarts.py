"""A container is ended so that its engine begins it anew, asked with GET alone; the rest is opt-in."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from docker.models.containers import Container

from tests.parts.docker import BUSYBOX, DockerEngine, started_at, wait_running
from tests.parts.engine_proxy import GetOnly
from tests.parts.servers import wait_until
from tests.watchers.inside.conftest import Start, inside
from watchers import processes
from watchers.inside import CannotRun
from watchers.runtimes import ending

pytestmark = pytest.mark.docker
ALWAYS = {"Name": "always"}
# Says how it is ended, and ends.
POLITE = [
    "sh",
    "-c",
    (
        "trap 'echo got USR2; exit 0' USR2; trap 'echo got TERM; exit 0' TERM; echo up;"
        " while :; do sleep 0.1; done"
    ),
]
STUBBORN = ["sh", "-c", "trap 'echo got TERM' TERM; echo up; while :; do sleep 0.1; done"]
DEAF = ["sleep", "3600"]  # as the first process of a container, it loses TERM


def is_up(container: Container) -> bool:
    return b"up" in container.logs()


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_it_is_ended_by_its_stop_signal_and_comes_back_by_its_policy(
    engine: DockerEngine, start: Start, policy: str
) -> None:
    container = start(POLITE, restart_policy={"Name": policy}, stop_signal="SIGUSR2")
    wait_until(lambda: is_up(container), what="its handler stands")
    _, pid, _ = started_at(container)
    path = Path(f"/tmp/confhub-proxy-{uuid4().hex[:8]}.sock")  # noqa: S108  # a socket's path is short
    with GetOnly(engine.address.removeprefix("unix://"), path) as proxy:
        ours = inside(engine, container, address=proxy.address)

        assert ours.no_restart() == ""
        ours.restart()
        assert processes.identify(pid) is None, "it returns once the old process has ended"
        second = wait_running(container, other_than=pid)

        assert proxy.refused == []
    wait_until(lambda: container.logs().count(b"up") == 2, what="it has begun anew")
    assert container.logs().split() == [b"up", b"got", b"USR2", b"up"]
    # And its policy still holds: the engine never counted it as stopped.
    os.kill(second, signal.SIGKILL)
    wait_running(container, other_than=second)


def test_one_that_does_not_end_within_its_grace_is_killed(
    engine: DockerEngine, start: Start
) -> None:
    container = restarting(engine, STUBBORN, stop_timeout=1)
    try:
        wait_until(lambda: is_up(container), what="its handler stands")
        _, pid, _ = started_at(container)
        inside(engine, container).restart()
        wait_running(container, other_than=pid)
        assert b"got TERM" in container.logs()
    finally:
        container.remove(force=True)


def restarting(engine: DockerEngine, command: list[str], *, stop_timeout: int) -> Container:
    """With a StopTimeout, which the SDK's `run` has no word for."""
    engine.need(BUSYBOX)
    api = engine.client.api
    host = api.create_host_config(network_mode="none", restart_policy=ALWAYS)
    made = api.create_container(
        BUSYBOX, command, name=f"t{uuid4().hex[:8]}", stop_timeout=stop_timeout, host_config=host
    )
    api.start(made["Id"])
    return engine.client.containers.get(made["Id"])


def test_one_that_would_lose_its_stop_signal_is_killed_at_once(
    engine: DockerEngine, start: Start
) -> None:
    container = start(DEAF, restart_policy=ALWAYS)
    _, pid, _ = started_at(container)
    before = time.monotonic()
    inside(engine, container).restart()
    assert time.monotonic() - before < ending.STOP_S, "nobody waited for a signal that was lost"
    wait_running(container, other_than=pid)


@pytest.mark.parametrize("policy", ["no", "on-failure"])
def test_without_a_policy_that_brings_it_back_it_is_not_ended(
    engine: DockerEngine, start: Start, policy: str
) -> None:
    container = start(POLITE, restart_policy={"Name": policy})
    before = started_at(container)
    ours = inside(engine, container)

    assert f"restart policy is '{policy}'" in ours.no_restart()
    assert "CONFHUB_ENGINE_ALLOWS=restart" in ours.no_restart()
    with pytest.raises(CannotRun, match="cannot be restarted from here"):
        ours.restart()
    assert started_at(container) == before


def test_the_engine_restarts_it_where_that_is_allowed(engine: DockerEngine, start: Start) -> None:
    container = start(POLITE, restart_policy={"Name": "no"})
    wait_until(lambda: is_up(container), what="its handler stands")
    _, pid, _ = started_at(container)
    ours = inside(engine, container, allows="restart")

    assert ours.no_restart() == ""
    ours.restart()

    wait_running(container, other_than=pid)
    assert b"got TERM" in container.logs()


def test_a_user_without_rights_is_told_why_it_cannot(engine: DockerEngine, start: Start) -> None:
    container = start(POLITE, restart_policy=ALWAYS)
    first = inside(engine, container).processes()[0].process
    script = (
        "import encodings.ascii, os\n"  # looked for when nobody can look
        "from watchers.processes import ProcessId\nfrom watchers.runtimes import ending\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"print(ending.why_not({first!r}, 'always'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert "without CAP_KILL" in said
    assert "Run it as root" in said


# ── the engine's own kill ─────────────────────────────────────────────────────────────────────────


def test_the_engine_signals_only_where_that_is_allowed(engine: DockerEngine, start: Start) -> None:
    container = start(stop_signal="SIGUSR1", restart_policy=ALWAYS)
    for allows in ("", "exec,restart,archive"):
        with pytest.raises(CannotRun, match="CONFHUB_ENGINE_ALLOWS does not name kill"):
            inside(engine, container, allows=allows).engine_kill(signal.SIGHUP)


@pytest.mark.parametrize(
    ("stop_signal", "policy", "why"),
    [
        (None, "always", "no stop signal of its own"),
        ("SIGHUP", "always", "SIGHUP is its stop signal"),
        ("1", "no", "SIGHUP is its stop signal"),
        ("SIGTERM", "unless-stopped", "would not come back"),
    ],
)
def test_the_engine_does_not_signal_where_that_would_cost_the_policy(
    engine: DockerEngine, start: Start, stop_signal: str | None, policy: str, why: str
) -> None:
    container = start(stop_signal=stop_signal, restart_policy={"Name": policy})
    wait_until(lambda: b"reloads=0" in container.logs(), what="its handler stands")
    with pytest.raises(CannotRun, match=why):
        inside(engine, container, allows="kill").engine_kill(signal.SIGHUP)
    assert b"reloads=1" not in container.logs()


def test_after_an_allowed_kill_it_survives_a_crash_and_a_new_engine(tmp_path: Path) -> None:
    """The one mode that is allowed: another stop signal, and restart: always."""
    own = DockerEngine(Path(f"/tmp/confhub-own-{uuid4().hex[:6]}"))  # noqa: S108  # a socket's path is short
    own.start()
    try:
        own.need(BUSYBOX)
        container = own.client.containers.run(
            BUSYBOX, ["/bin/handler"], detach=True, network_mode="none",
            stop_signal="SIGTERM", restart_policy={"Name": "always"},
        )  # fmt: skip
        wait_until(lambda: b"reloads=0" in container.logs(), what="its handler stands")
        inside(own, container, allows="kill").engine_kill(signal.SIGHUP)
        wait_until(lambda: b"reloads=1" in container.logs(), what="it was told")

        _, pid, _ = started_at(container)
        os.kill(pid, signal.SIGKILL)  # as a crash: from the host, past the engine
        wait_running(container, other_than=pid)
        own.halt()
        own.start()

        wait_running(own.client.containers.get(str(container.id)))
    finally:
        own.stop()


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGQUIT", 3), ("quit", 3), ("3", 3), ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("", None),
     ("0", None), ("NONSENSE", None), ("TERM+x", None)],
)  # fmt: skip
def test_a_stop_signal_as_images_write_it(text: str, number: int | None) -> None:
    assert ending.number_of(text) == number
