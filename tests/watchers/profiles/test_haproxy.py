"""HAProxy in a container: told by USR2 to its master, proven by the master's counts or its workers."""

import contextlib

import pytest

from tests.parts.docker import started_at
from tests.parts.servers import wait_until
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet
from watchers.profiles.haproxy import MAX_DRAINING, Counts, check_argv, master_socket, read_counts

pytestmark = pytest.mark.docker
PORT = 8080
GOOD = blocks("haproxy", "haproxy")[0]
WITHOUT_CLI = ["haproxy", "-W", "-db", "-f", "/run/confhub/haproxy.cfg"]
PROC = """#<PID>          <type>          <reloads>       <uptime>        <version>
1               master          3 [failed: 2]   0d00h00m07s     2.6.12-1+deb12u3
# workers
18              worker          {age}               0d00h00m06s     2.6.12-1+deb12u3
# old workers
12              worker          2               0d00h00m09s     2.6.12-1+deb12u3
# programs

"""


def conf(text: str, *changes: tuple[str, str]) -> dict[str, str]:
    made = GOOD.replace('"one"', f'"{text}"')
    for old, new in changes:
        assert old in made
        made = made.replace(old, new)
    return {"haproxy.cfg": made}


@pytest.fixture(params=["asked", "not asked"])
def balancer(request: pytest.FixtureRequest, bench: Bench) -> Running:
    """Once with the master's command line, as documented, and once without."""
    command = None if request.param == "asked" else WITHOUT_CLI
    return bench.run(conf("one"), snippet("haproxy"), command)


def test_a_new_file_is_served_by_a_new_worker_of_the_same_master(balancer: Running) -> None:
    balancer.serves("one", PORT)
    for release, text in ((2, "two"), (3, "one")):
        balancer.publish(conf(text))
        balancer.confirmed(release)
        balancer.serves(text, PORT)
    assert balancer.not_restarted()


def test_a_port_that_is_taken_is_known_from_its_alerts(balancer: Running) -> None:
    balancer.take_port(9999)
    balancer.publish(conf("two", (":8080", ":9999")))

    reason = balancer.failed(2, "confirm")

    assert "cannot bind socket (Address already in use)" in reason
    balancer.serves("one", PORT)
    assert (balancer.files / "release").read_text() == "1\n"
    balancer.publish(conf("three"))
    balancer.confirmed(3)
    balancer.serves("three", PORT)
    assert balancer.not_restarted()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("mode http", "moode http"), "unknown keyword 'moode'"),
        (("timeout client 30s", "timeout client soon"), "unexpected character 's' in 'timeout client'"),
    ],
    ids=["syntax", "value"],
)  # fmt: skip
def test_what_its_check_refuses_is_never_swapped_in(
    bench: Bench, change: tuple[str, str], says: str
) -> None:
    balancer = bench.run(conf("one"), snippet("haproxy"))
    balancer.publish(conf("two", change))

    assert says in balancer.failed(2, "check")
    assert balancer.fetch(PORT) == "one"
    assert (balancer.files / "release").read_text() == "1\n"
    assert balancer.not_restarted()
    balancer.publish(conf("three"))
    balancer.confirmed(3)


def test_it_is_not_reloaded_while_many_old_workers_drain(bench: Bench) -> None:
    balancer = bench.run(conf("1"), snippet("haproxy"))
    with contextlib.ExitStack() as held:
        for release in range(2, 3 + MAX_DRAINING):
            balancer.drains(PORT, held)
            balancer.publish(conf(str(release)))
            balancer.confirmed(release)
        last = balancer.publish(conf("last"))
        assert "9 old workers of HAProxy" in balancer.failed(last, "reload")
        balancer.serves(str(last - 1), PORT)

    balancer.confirmed(last)  # by itself, once they have gone
    balancer.serves("last", PORT)
    assert balancer.not_restarted()


def test_haproxy_without_a_master_is_not_told(bench: Bench) -> None:
    alone = bench.begin(conf("one"), snippet("haproxy"), ["haproxy", "-db", *WITHOUT_CLI[3:]])
    # It must have begun after its files were there, or nobody can know what it runs.
    wait_until((alone.files / "current").exists, what="its files are there")
    alone.container.restart(timeout=1)
    alone.confirmed(1)
    alone.before = started_at(alone.container)
    alone.publish(conf("two"))

    assert "Start it with -W" in alone.failed(2, "reload")
    assert alone.fetch(PORT) == "one"
    assert alone.not_restarted()


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (PROC.format(age=2), Counts(3, 2, 0)),
        (PROC.format(age=0), Counts(3, 2, 1)),
        ("Unknown command\n", None),
        ("", None),
    ],
)
def test_what_the_master_says_is_counted(answer: str, counts: Counts | None) -> None:
    assert read_counts(answer) == counts


@pytest.mark.parametrize(
    ("argv", "checked"),
    [
        ("haproxy -sf 8 9 -x sockpair@3 -W -db -f /a.cfg -S /m.sock", "haproxy -c -f /a.cfg"),
        ("/usr/sbin/haproxy -Ws -C /etc -f a.cfg -f b/ -p /x.pid -n 9", "/usr/sbin/haproxy -c -C /etc -f a.cfg -f b/ -n 9"),
        ("haproxy -W -dr -- a.cfg b.cfg", "haproxy -c -dr -- a.cfg b.cfg"),
    ],
)  # fmt: skip
def test_a_check_has_the_files_of_the_running_master(argv: str, checked: str) -> None:
    assert check_argv(argv.split()) == checked.split()


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("/run/m.sock", "/run/m.sock"),
        ("unix@/run/m.sock,level,admin", "/run/m.sock"),
        ("127.0.0.1:9990", "9990"),
        ("fd@4", ""),
    ],
)
def test_the_command_line_of_a_master_is_found(address: str, where: str) -> None:
    assert master_socket(["haproxy", "-W", "-S", address, "-f", "a.cfg"]) == where
    assert master_socket(["haproxy", "-W", "-f", "a.cfg"]) == ""
