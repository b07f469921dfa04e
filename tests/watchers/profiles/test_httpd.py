"""httpd in a container: it ends of what it cannot take, so it is told only what it can."""

import pytest

from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet
from watchers.profiles.httpd import check_argv, ports

pytestmark = pytest.mark.docker
PORT = 8080
GOOD = blocks("httpd", "apacheconf")[0]
COMMAND = ["apache2", *snippet("httpd").command[1:]]  # as Debian calls it
MPM = ("mpm_event_module modules/mod_mpm_event.so", "mpm_worker_module modules/mod_mpm_worker.so")


def conf(text: str, *changes: tuple[str, str]) -> dict[str, str]:
    made = GOOD.replace('"one"', f'"{text}"')
    for old, new in changes:
        assert old in made
        made = made.replace(old, new)
    return {"httpd.conf": made}


@pytest.fixture
def site(bench: Bench) -> Running:
    return bench.run(conf("one"), snippet("httpd"), COMMAND)


def test_a_new_file_is_served_by_new_children_of_the_same_parent(site: Running) -> None:
    site.serves("one", PORT)
    for release, text in ((2, "two"), (3, "one")):
        site.publish(conf(text))
        site.confirmed(release)
        site.serves(text, PORT)
    assert site.not_restarted()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("Listen 8080", "Listn 8080"), "Invalid command 'Listn'"),
        (("Listen 8080", "Listen 99999"), "Invalid address or port"),
        (("Listen 8080", "Listen 8080\nListen 9999"), "another program listens at port 9999"),
    ],
    ids=["syntax", "value", "a taken port"],
)
def test_what_would_end_it_is_never_swapped_in(
    site: Running, change: tuple[str, str], says: str
) -> None:
    site.take_port(9999)
    site.publish(conf("two", change))

    assert says in site.failed(2, "check")
    assert site.fetch(PORT) == "one"
    assert (site.files / "release").read_text() == "1\n"
    assert site.not_restarted()
    site.publish(conf("three"))
    site.confirmed(3)
    site.serves("three", PORT)


def test_another_mpm_is_not_told(site: Running) -> None:
    site.publish(conf("two", MPM))

    reason = site.failed(2, "reload")

    assert "loads mpm_worker, and httpd runs mpm_event" in reason
    assert site.fetch(PORT) == "one"
    assert site.not_restarted()


def test_another_mpm_is_restarted_where_that_is_asked_for(bench: Bench) -> None:
    labels = {"confhub.reload": "profile:httpd ; restart"}
    site = bench.run(conf("one"), snippet("httpd"), COMMAND, labels=labels)
    site.publish(conf("two", MPM))
    site.confirmed(2)
    site.serves("two", PORT)
    assert not site.not_restarted()


def test_files_that_went_bad_behind_the_agent_are_not_told(site: Running) -> None:
    """A paused container is told once it goes on; what it would read is checked right before."""
    site.container.pause()
    site.is_seen("unknown")
    site.publish(conf("two", ("Listen 8080", "Listn 8080")))
    site.until("delivered", 2)
    site.container.unpause()

    assert "Invalid command 'Listn'" in site.failed(2, "check")
    assert site.fetch(PORT) == "one"
    assert (site.files / "release").read_text() == "1\n"
    assert site.not_restarted()


@pytest.mark.parametrize(
    ("argv", "checked"),
    [
        ("httpd -DFOREGROUND -f /a.conf", "httpd -t -DFOREGROUND -f /a.conf"),
        ("/usr/sbin/apache2 -k start -X -d /srv", "/usr/sbin/apache2 -t -d /srv"),
        ("httpd -kstart -D A -c Listen", "httpd -t -D A -c Listen"),
    ],
)
def test_a_check_has_the_options_of_the_running_parent(argv: str, checked: str) -> None:
    assert check_argv(argv.split()) == checked.split()


def test_ports_of_the_loopback_are_found_in_files() -> None:
    text = (
        b"Listen 80\n  listen 127.0.0.1:81 https\nListen [::]:82\nListen 192.0.2.1:83\n#Listen 84\n"
    )
    assert ports([text]) == {80, 81, 82}
