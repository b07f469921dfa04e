"""Commands run in real containers: as the container's own process would, and never beyond it."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import pytest
from docker.models.containers import Container
from docker.types import Mount

from tests.parts.docker import DockerEngine
from tests.parts.servers import wait_until
from tests.watchers.inside.conftest import DIRECTORY, Start, inside
from tests.watchers.served import ROOT
from watchers import processes
from watchers.inside import OUTPUT_BYTES, CannotRun
from watchers.processes import ProcessId
from watchers.runtimes import commands, inhabitants
from watchers.runtimes.entering import target
from watchers.runtimes.entering.program import MAX_PROCESSES

pytestmark = pytest.mark.docker
MASKS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
BOMB = "f(){ f|f& }; f; sleep 600"  # only where the container's own limit holds it


def told(container: Container) -> list[str]:
    """The command lines of all that runs in the container, as this machine sees them."""
    found = container.top(ps_args="-eo pid,args")["Processes"]
    return [line[-1] for line in found or []]


def status_lines(text: str, names: tuple[str, ...]) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: rest.strip() for name, _, rest in pairs if name in names}


def test_it_has_the_containers_user_environment_directory_and_network(
    engine: DockerEngine, start: Start
) -> None:
    container = start(
        user="7:8", environment={"SHOP": "a b"}, working_dir="/tmp",  # noqa: S108  # in the container
        hostname="shop-1", group_add=["9"],
    )  # fmt: skip
    script = "id -u; id -g; id -G; pwd; hostname; echo $SHOP; ls /sys/class/net; kill -0 1; echo $?"

    outcome = inside(engine, container).run(["sh", "-c", script])

    assert outcome.passed, outcome
    user, group, groups, cwd, host, shop, networks, sees = outcome.output.split("\n")[:-1]
    assert (user, group, cwd, host) == ("7", "8", "/tmp", "shop-1")  # noqa: S108
    assert set(groups.split()) == {"8", "9"}
    assert (shop, networks) == ("a b", "lo")
    assert sees == "0", "process 1 is the container's own, of the same user"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"user": "7:8"},
        {"cap_drop": ["ALL"]},
        {"cap_drop": ["ALL"], "cap_add": ["NET_BIND_SERVICE"], "user": "7"},
        {"security_opt": ["no-new-privileges"]},
        {"cap_add": ["SYS_PTRACE", "SYS_ADMIN"]},
    ],
)
def test_it_has_no_more_rights_than_the_containers_process(
    engine: DockerEngine, start: Start, more: dict[str, object]
) -> None:
    container = start(**more)
    ours = inside(engine, container)
    names = (*MASKS, "NoNewPrivs", "Uid", "Gid")
    theirs = status_lines(ours.read("/proc/1/status").decode(), names)

    outcome = ours.run(["cat", "/proc/self/status"])

    assert outcome.passed, outcome
    assert status_lines(outcome.output, names) == theirs


def test_its_limits_are_the_containers_and_its_own_bounds(
    engine: DockerEngine, start: Start
) -> None:
    limits = [{"Name": "nofile", "Soft": 77, "Hard": 88}]
    container = start(ulimits=limits, mem_limit="64m", pids_limit=50)

    outcome = inside(engine, container).run(
        ["sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c; ulimit -t; cat /proc/self/cgroup"],
        timeout_s=20,
    )

    soft, hard, core, cpu, *groups = outcome.output.split("\n")[:-1]
    assert (soft, hard, core) == ("77", "88", "0")
    assert 20 < int(cpu) < 60
    first = Path(f"/proc/{inside(engine, container).processes()[0].process.pid}/cgroup")
    for line in first.read_text().splitlines():
        name, path = line.rsplit(":", 1)
        mine = next(one for one in groups if one.startswith(f"{name}:"))
        assert name, mine
        assert path == "/" or str(container.id) in path


def test_it_counts_toward_the_containers_memory(engine: DockerEngine, start: Start) -> None:
    container = start(mem_limit="32m", memswap_limit="32m")
    everything = ["sh", "-c", "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c"]

    outcome = inside(engine, container).run(everything, timeout_s=20)

    assert "150000000" not in outcome.output
    container.reload()
    assert container.status == "running", "the command went, and not the workload"


def test_a_generation_is_shown_to_one_command_alone(
    engine: DockerEngine, start: Start, generations: Path
) -> None:
    container = start(mounts=[Mount(DIRECTORY, str(generations), type="bind")])
    ours = inside(engine, container)
    show = ["sh", "-c", f"cat {DIRECTORY}/current/x {DIRECTORY}/x {DIRECTORY}/gen-1/x"]

    assert ours.shows_generations
    assert ours.run(show, shows="gen-2").output == "of 2of 2of 2"
    assert ours.run(show).output == "of 1of 1of 1"
    assert container.exec_run(show).output == b"of 1of 1of 1"
    assert (generations / "x").read_text() == "of 1"
    assert (generations / "gen-1" / "x").read_text() == "of 1"
    (generations / "current").unlink()
    assert ours.run(["cat", f"{DIRECTORY}/gen-2/x"], shows="gen-2").output == "of 2"


def test_standard_input_is_what_was_given_or_empty(engine: DockerEngine, start: Start) -> None:
    ours = inside(engine, start())
    assert ours.run(["wc", "-c"], stdin=b"x" * 200_000).output.strip() == "200000"
    assert ours.run(["wc", "-c"]).output.strip() == "0"


def test_a_program_that_is_not_there_is_named(engine: DockerEngine, start: Start) -> None:
    with pytest.raises(CannotRun, match="nginx: there is no such program"):
        inside(engine, start()).run(["nginx", "-t"])


def test_a_container_that_does_not_run_is_named(engine: DockerEngine, start: Start) -> None:
    container = start()
    ours = inside(engine, container)
    container.kill()
    wait_until(lambda: not ours.processes(), what="it has ended")
    with pytest.raises(CannotRun, match=f"{container.name} does not run"):
        ours.run(["true"])


def test_a_killed_command_has_not_passed(engine: DockerEngine, start: Start) -> None:
    outcome = inside(engine, start()).run(["sh", "-c", "echo so far; kill -9 $$"])
    assert (outcome.passed, outcome.how) == (False, "ended by signal 9")
    assert outcome.output == "so far\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [("sleep 601", 143), ("trap '' TERM; while :; do sleep 601; done", 137), ("yes", 143)],
    ids=["ends on TERM", "ignores TERM", "endless output"],
)
def test_a_command_ends_when_its_time_is_over(
    engine: DockerEngine, start: Start, script: str, code: int
) -> None:
    container = start()
    ours = inside(engine, container)

    outcome = ours.run(["sh", "-c", script], timeout_s=0.5)

    assert (outcome.timed_out, outcome.passed, outcome.code) == (True, False, code)
    assert len(outcome.output) <= OUTPUT_BYTES
    assert not [line for line in told(container) if "601" in line or "yes" in line]


def test_nothing_is_left_of_a_command_that_has_ended(engine: DockerEngine, start: Start) -> None:
    container = start(["sleep", "3600"])  # a first process that takes no orphan in
    script = "(setsid sleep 602 &); (setsid sh -c 'trap \"\" TERM HUP; sleep 603' &); echo done"

    outcome = inside(engine, container).run(["sh", "-c", script])

    assert outcome.output == "done\n"
    assert told(container) == ["sleep 3600"], "not even a zombie"


def test_a_fork_bomb_is_ended_whole(engine: DockerEngine, start: Start) -> None:
    container = start(["sleep", "3600"], pids_limit=150)

    outcome = inside(engine, container).run(["sh", "-c", BOMB], timeout_s=1)

    assert not outcome.passed
    assert told(container) == ["sleep 3600"]


def test_a_command_may_not_begin_processes_without_end(engine: DockerEngine, start: Start) -> None:
    container = start(["sleep", "3600"], pids_limit=2 * MAX_PROCESSES)
    script = f"n=0; while [ $n -lt {MAX_PROCESSES + 100} ]; do sleep 604 & n=$((n+1)); done; wait"

    outcome = inside(engine, container).run(["sh", "-c", script], timeout_s=60)

    assert (outcome.passed, outcome.timed_out) == (False, False)
    assert f"more than {MAX_PROCESSES} processes" in outcome.output
    assert told(container) == ["sleep 3600"]


def test_what_watches_over_a_command_may_be_killed_and_nothing_is_left(
    engine: DockerEngine, start: Start
) -> None:
    container = start(["sleep", "3600"])
    script = "(setsid sleep 605 &); kill -9 $PPID; sleep 606"

    outcome = inside(engine, container).run(["sh", "-c", script], timeout_s=20)

    assert not outcome.passed
    wait_until(
        lambda: not [line for line in told(container) if "60" in line and "3600" not in line],
        what="all of it has ended",
    )


def test_an_agent_that_is_killed_leaves_no_command_behind(
    engine: DockerEngine, start: Start
) -> None:
    container = start(["sleep", "3600"])
    first = inside(engine, container).processes()[0].process
    script = (
        "from watchers.runtimes import commands\n"
        "commands.run(['sleep', '607'], timeout_s=100, environment={}, "
        f"pid={first.pid}, start_ticks={first.start_ticks})"
    )
    agent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        wait_until(lambda: "sleep 607" in told(container), what="the command runs")
        agent.kill()
    finally:
        agent.wait(20)
    wait_until(lambda: told(container) == ["sleep 3600"], what="nothing of it is left")


def test_no_value_of_the_environment_stands_in_an_argument(
    engine: DockerEngine, start: Start
) -> None:
    container = start(environment={"CANARY": "c4n4ry"})
    seen: list[bytes] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for one in Path("/proc").iterdir():
                if one.name.isdigit():
                    try:
                        seen.append((one / "cmdline").read_bytes())
                    except OSError:
                        continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        outcome = inside(engine, container).run(["sh", "-c", "sleep 1; echo $CANARY"])
    finally:
        ended.set()
        watcher.join()
    assert outcome.output == "c4n4ry\n"
    assert any(b"watchers.runtimes.entering.program" in line for line in seen), "it was looked at"
    assert not [line for line in seen if b"c4n4ry" in line]


def test_what_runs_in_it_for_us_is_no_process_of_the_container(
    engine: DockerEngine, start: Start
) -> None:
    container = start(["sleep", "3600"])
    ours = inside(engine, container)
    before = {one.process for one in ours.processes()}
    running = threading.Thread(target=ours.run, args=(["sleep", "2"],))
    running.start()
    try:
        wait_until(lambda: "sleep 2" in told(container), what="the command runs")
        assert {one.process for one in ours.processes()} == before
    finally:
        running.join()


def test_a_command_cannot_write_to_the_program_that_began_it(
    engine: DockerEngine, start: Start
) -> None:
    """A link to /proc/self/exe leads there in the moment before the command becomes itself."""
    ours = inside(engine, start())
    running = threading.Thread(target=ours.run, args=(["sleep", "2"],))
    running.start()
    try:
        wait_until(lambda: bool(programs()), what="the program runs")
        for pid in programs():
            assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:")  # noqa: PTH115
            descriptor = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            os.close(descriptor)
            assert seals & fcntl.F_SEAL_WRITE
            assert seals & fcntl.F_SEAL_SEAL
    finally:
        running.join()


def programs() -> list[int]:
    """What watches over commands: those below this test alone."""
    found = inhabitants.below(cast(ProcessId, processes.identify(os.getpid())))
    return [one.process.pid for one in found if "entering.program" in " ".join(one.argv)]


def test_a_title_written_over_the_environment_is_not_taken_for_it() -> None:
    assert target.environment(b"A=1\0B=x=y\0") == {"A": "1", "B": "x=y"}
    assert target.environment(b"\0\0\0") == {}
    assert target.environment(b"nginx: master process\0PATH=/bin\0") == {}


def test_a_process_of_the_same_number_is_not_entered() -> None:
    mine = processes.identify(os.getpid())
    assert mine is not None
    with pytest.raises(CannotRun, match="has ended"):
        commands.run(["true"], timeout_s=5, environment={}, pid=mine.pid, start_ticks=1)


@pytest.mark.parametrize("allows", ["", "restart,kill,archive"])
def test_without_rights_the_way_out_is_said(
    engine: DockerEngine, start: Start, allows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_rights(monkeypatch)
    ours = inside(engine, start(), allows=allows)
    assert not ours.shows_generations
    with pytest.raises(CannotRun, match=r"lacks CAP_SYS_ADMIN, .*CONFHUB_ENGINE_ALLOWS=exec"):
        ours.run(["true"])


def test_the_engine_runs_it_where_that_is_allowed(
    engine: DockerEngine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_rights(monkeypatch)
    ours = inside(engine, start(user="7:8"), allows="exec")

    outcome = ours.run(["sh", "-c", "id -u; cat; echo err >&2; exit 3"], stdin=b"given\n")
    assert (outcome.code, outcome.output) == (3, "7\ngiven\nerr\n")
    late = ours.run(["sleep", "5"], timeout_s=0.5)
    assert late.timed_out
    assert "left to itself" in late.output
    assert len(ours.run(["sh", "-c", "yes | head -c 100000"]).output) == OUTPUT_BYTES
    with pytest.raises(CannotRun, match="nope could not be begun"):
        ours.run(["nope"])


def without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user of this machine without any; the kernel's answer is what tells one."""
    monkeypatch.setattr("watchers.runtimes.entering.kernel.permitted_capabilities", lambda: 0)
