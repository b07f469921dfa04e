"""nginx in a container: told by the profile, proven by its workers, quoted where it refuses."""

import contextlib

import pytest

from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet
from watchers.profiles.nginx import MAX_DRAINING, Started, read_title

pytestmark = pytest.mark.docker
PORT = 8080
GOOD = blocks("nginx", "nginx")[0]
FRAGMENT = 'server {{ listen 8080; location / {{ return 200 "{text}"; }} }}'
MAIN = (
    "pid /tmp/nginx.pid; error_log /tmp/error.log; worker_processes 1; events {} "
    "http { access_log off; include /run/confhub/*.conf; }"
)


def conf(text: str, *changes: tuple[str, str]) -> dict[str, str]:
    made = GOOD.replace('"one"', f'"{text}"')
    for old, new in changes:
        assert old in made
        made = made.replace(old, new)
    return {"nginx.conf": made}


@pytest.fixture
def web(bench: Bench) -> Running:
    return bench.run(conf("one"), snippet("nginx"))


def test_a_new_file_is_served_by_new_workers_of_the_same_master(web: Running) -> None:
    web.serves("one", PORT)
    for release, text in ((2, "two"), (3, "three"), (4, "one")):
        web.publish(conf(text))
        web.confirmed(release)
        assert web.fetch(PORT) == text  # at once: a confirmed release is served
    assert web.not_restarted()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("listen 8080;", "listn 8080;"), 'unknown directive "listn"'),
        (
            ("worker_processes 2;", "worker_processes two;"),
            '"worker_processes" directive invalid value',
        ),
    ],
    ids=["syntax", "value"],
)
def test_what_its_check_refuses_is_never_swapped_in(
    web: Running, change: tuple[str, str], says: str
) -> None:
    web.publish(conf("two", change))

    reason = web.failed(2, "check")

    assert says in reason
    assert web.fetch(PORT) == "one"
    assert (web.files / "release").read_text() == "1\n"
    assert web.not_restarted()
    web.publish(conf("three"))
    web.confirmed(3)


def test_a_port_that_is_taken_is_known_from_the_error_log(web: Running) -> None:
    web.take_port(9999)
    web.publish(conf("two", ("8080", "9999")))

    reason = web.failed(2, "confirm")

    assert "bind() to 0.0.0.0:9999 failed (98: Address already in use)" in reason
    assert "still could not bind()" in reason
    assert web.fetch(PORT) == "one"
    assert (web.files / "release").read_text() == "1\n"
    web.publish(conf("three"))
    web.confirmed(3)
    assert web.fetch(PORT) == "three"
    assert web.not_restarted()


def test_another_use_of_a_zone_waits_for_a_restart(web: Running) -> None:
    web.publish(conf("two", ("$binary_remote_addr", "$remote_addr")))

    assert web.awaits_restart(2) == ("the use of zone visitors",)
    assert web.fetch(PORT) == "one"
    assert web.not_restarted()

    web.container.restart(timeout=5)
    web.confirmed(2)
    web.serves("two", PORT)


def test_a_ladder_restarts_it_where_a_zone_is_used_otherwise(bench: Bench) -> None:
    labels = {"confhub.reload": "profile:nginx ; restart"}
    web = bench.run(conf("one"), snippet("nginx"), labels=labels)
    web.publish(conf("two", ("$binary_remote_addr", "$remote_addr")))

    web.confirmed(2)
    web.serves("two", PORT)
    assert not web.not_restarted()


def test_it_is_not_reloaded_while_many_old_workers_drain(bench: Bench) -> None:
    single = ("worker_processes 2;", "worker_processes 1;")
    web = bench.run(conf("1", single), snippet("nginx"))
    with contextlib.ExitStack() as held:
        for release in range(2, 3 + MAX_DRAINING):
            web.drains(PORT, held)
            web.publish(conf(str(release), single))
            web.confirmed(release)
        last = web.publish(conf("last", single))
        assert "9 generations of nginx's old workers" in web.failed(last, "reload")
        assert web.fetch(PORT) == str(last - 1)

    web.confirmed(last)  # by itself, once they have gone
    assert web.fetch(PORT) == "last"
    assert web.not_restarted()


def test_a_fragment_is_checked_in_the_main_configuration_that_includes_it(bench: Bench) -> None:
    web = bench.run(
        {"site.conf": FRAGMENT.format(text="one")},
        command=["sh", "-c", f"echo '{MAIN}' > /etc/nginx/nginx.conf; exec nginx -g 'daemon off;'"],
        labels={"confhub.files": "json,entry:site.conf", "confhub.reload": "profile:nginx"},
    )
    web.publish({"site.conf": FRAGMENT.format(text="two")})
    web.confirmed(2)
    assert web.fetch(PORT) == "two"

    web.publish({"site.conf": "worker_processes 1;"})
    reason = web.failed(3, "check")
    assert '"worker_processes" directive is not allowed here in /run/confhub/' in reason

    web.take_port(9999)
    web.publish({"site.conf": FRAGMENT.format(text="four").replace("8080", "9999")})
    assert "still could not bind()" in web.failed(4, "confirm")  # from the file of error_log
    assert web.fetch(PORT) == "two"
    assert web.not_restarted()


def test_a_master_that_a_wrapper_started_is_told(bench: Bench) -> None:
    wrapper = "trap 'kill $!; exit' TERM; nginx -c /run/confhub/nginx.conf -g 'daemon off;' & wait"
    web = bench.run(conf("one"), snippet("nginx"), command=["sh", "-c", wrapper])
    web.publish(conf("two"))
    web.confirmed(2)
    assert web.fetch(PORT) == "two"
    assert web.not_restarted()


def test_nginx_without_a_master_is_not_told(bench: Bench) -> None:
    alone = ("events {}", "master_process off; events {}")
    web = bench.run(conf("one", alone), snippet("nginx"))
    web.publish(conf("two", alone))

    assert "master_process on" in web.failed(2, "reload")
    assert web.fetch(PORT) == "one"


@pytest.mark.parametrize(
    ("title", "started"),
    [
        ("nginx: master process nginx", Started("nginx", ())),
        (
            "nginx: master process /usr/sbin/nginx -c /run/confhub/nginx.conf -g daemon off; user x;",
            Started(
                "/usr/sbin/nginx", ("-c", "/run/confhub/nginx.conf", "-g", "daemon off; user x;")
            ),
        ),
        (
            "nginx: master process nginx -g daemon off; -p /srv",
            Started("nginx", ("-g", "daemon off;", "-p", "/srv")),
        ),
    ],
)
def test_the_title_of_a_master_tells_how_it_was_started(title: str, started: Started) -> None:
    assert read_title(title) == started
