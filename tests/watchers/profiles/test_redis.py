"""Redis takes settings and no files: all of them at once, or none."""

import pytest

from tests.parts.servers import wait_until
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet
from watchers.profiles.redis_file import BadFile, read_file

pytestmark = pytest.mark.docker
(CONFIG,) = blocks("redis", "ini")
PASSWORD = "change-me"  # the one of the documentation


def publish(one: Running, config: str) -> int:
    return one.publish({"redis.conf": config})


def ask(one: Running, *words: str, password: str = PASSWORD, port: int = 6379) -> list[str]:
    """What Redis answers to its own client."""
    said = one.execute("redis-cli", "-p", str(port), "--no-auth-warning", "-a", password, *words)
    return said.rstrip("\n").split("\n")


def runs(one: Running, name: str, *, password: str = PASSWORD) -> str:
    return ask(one, "CONFIG", "GET", name, password=password)[-1]


def test_settings_are_told_without_a_restart(bench: Bench) -> None:
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))
    assert runs(one, "maxmemory") == str(100 << 20)

    publish(one, CONFIG.replace("100mb", "200MB").replace("Exg", "KEA").replace("300 10", "60 5")
            + "client-output-buffer-limit pubsub 16mb 4mb 30\n")  # fmt: skip
    one.confirmed(2)

    assert runs(one, "maxmemory") == str(200 << 20)
    assert set(runs(one, "notify-keyspace-events")) == set("AKE")
    assert runs(one, "save") == "900 1 60 5"
    assert "pubsub 16777216 4194304 30" in runs(one, "client-output-buffer-limit")
    assert one.not_restarted()


def test_a_bad_file_is_refused_in_the_servers_own_words_and_without_the_password(
    bench: Bench,
) -> None:
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))

    publish(one, CONFIG.replace("allkeys-lru", "nonsense"))
    reason = one.failed(2, "check")
    assert "argument(s) must be one of the following: volatile-lru" in reason
    publish(one, CONFIG + 'masterauth "half a quote\n')
    assert "unbalanced quotes" in one.failed(3, "check")
    publish(one, CONFIG.replace("change-me", "change-me twice"))
    reason = one.failed(4, "check")
    assert "wrong number of arguments" in reason
    assert "change-me" not in reason

    assert (one.files / "release").read_text() == "1\n"
    assert runs(one, "maxmemory-policy") == "allkeys-lru"
    assert one.not_restarted()


def test_a_port_that_is_taken_leaves_everything_as_it_was(bench: Bench) -> None:
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))
    one.container.exec_run(["python3", "-m", "http.server", "7000"], detach=True)
    wait_until(lambda: one.fetch(7000) != "", what="somebody else listens at port 7000")

    publish(one, CONFIG.replace("100mb", "200mb") + "port 7000\ntimeout 30\n")
    reason = one.failed(2, "reload")

    assert "Unable to listen on this port" in reason
    assert runs(one, "maxmemory") == str(100 << 20)
    assert runs(one, "timeout") == "0"
    publish(one, CONFIG + "port 7001\n")
    one.confirmed(3)
    assert ask(one, "PING", port=7001) == ["PONG"]
    publish(one, CONFIG + "port 7001\ntimeout 40\n")
    one.confirmed(4)
    assert one.not_restarted()


def test_a_server_that_takes_one_setting_at_a_time_gets_those_before_a_refusal_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchers.profiles.redis.ALL_OR_NOTHING", 99)  # as if it were Redis 6
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))
    one.container.exec_run(["python3", "-m", "http.server", "7000"], detach=True)
    wait_until(lambda: one.fetch(7000) != "", what="somebody else listens at port 7000")

    publish(one, CONFIG + "timeout 30\nport 7000\n")
    assert "Unable to listen on this port" in one.failed(2, "reload")
    assert runs(one, "timeout") == "0"
    publish(one, CONFIG + "timeout 40\n")
    one.confirmed(3)

    assert runs(one, "timeout") == "40"
    assert one.not_restarted()


def test_what_redis_cannot_change_waits_for_a_restart_and_the_rest_is_applied(
    bench: Bench,
) -> None:
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))

    publish(one, CONFIG.replace("100mb", "200mb").replace("save 900 1\nsave 300 10\n", "")
            + "databases 8\nrename-command FLUSHALL ''\n")  # fmt: skip
    wait_until(
        lambda: waiting(one) == ("databases", "rename-command", "save"),
        what="the receipt names what waits",
        timeout_s=30,
    )

    assert runs(one, "maxmemory") == str(200 << 20)
    assert runs(one, "databases") == "16"
    one.container.restart(timeout=5)
    one.confirmed(2)
    assert runs(one, "databases") == "8"
    assert runs(one, "save") == "3600 1 300 100 60 10000"


def waiting(one: Running) -> tuple[str, ...]:
    receipt = one.until("delivered", 2).receipt
    return tuple(receipt.pending_restart) if receipt else ()


def test_a_ladder_restarts_for_it(bench: Bench) -> None:
    one = bench.run(
        {"redis.conf": CONFIG}, snippet("redis"),
        labels={"confhub.reload": "profile:redis ; restart"},
    )  # fmt: skip

    publish(one, CONFIG + "databases 8\n")
    one.confirmed(2)

    assert runs(one, "databases") == "8"
    assert not one.not_restarted()


def test_a_new_password_and_users_are_told_and_stand_nowhere_else(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))

    publish(one, CONFIG.replace("change-me", "sesame-42") + "user app on >open-17 ~app:* +@read\n")
    status = one.confirmed(2)

    assert runs(one, "maxmemory", password="sesame-42") == str(100 << 20)
    rules = ask(one, "ACL", "LIST", password="sesame-42")
    assert any("user app on" in rule and "~app:*" in rule for rule in rules)
    publish(
        one, CONFIG.replace("change-me", "sesame-42") + "user app on >open-17 ~b:* +@nonsense\n"
    )
    failed = one.until("failed", 3).receipt
    assert failed is not None
    assert "+@nonsense" in failed.reason
    publish(one, CONFIG.replace("change-me", "sesame-42"))
    one.confirmed(4)
    assert not any("app" in rule for rule in ask(one, "ACL", "LIST", password="sesame-42"))
    memories = [
        held
        for path in bench.folder.joinpath("state").rglob("*")
        if path.is_file() and b'"noted"' in (held := path.read_bytes())
    ]
    assert memories
    for secret in ("sesame-42", "open-17", "change-me"):
        assert secret not in f"{status} {failed} {caplog.text}"
        assert not any(secret.encode() in held for held in memories)
    assert one.not_restarted()


def test_without_a_way_in_nothing_is_told_and_the_receipt_says_what_it_takes(bench: Bench) -> None:
    one = bench.run({"redis.conf": CONFIG}, snippet("redis"))
    ask(one, "CONFIG", "SET", "requirepass", "changed-by-hand")

    publish(one, CONFIG.replace("100mb", "200mb"))
    reason = one.failed(2, "reload")

    assert "NOAUTH" in reason
    assert "REDISCLI_AUTH" in reason
    assert (one.files / "release").read_text() == "1\n"


def test_what_somebody_sets_over_the_file_is_seen(bench: Bench) -> None:
    """A server whose command line goes before the file."""
    one = bench.begin(
        {"redis.conf": CONFIG}, snippet("redis"),
        ["redis-server", "/run/confhub/redis.conf", "--maxmemory", "50mb"],
    )  # fmt: skip

    # Until the file is there the server ends at once, and that may be said first.
    wait_until(
        lambda: "maxmemory as '52428800'" in str(one.until("failed", 1).receipt),
        what="the receipt says which setting is another one",
        timeout_s=40,
    )


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ('appendonly YES\n  # no\n\nappendonly  "no"', {"appendonly": "no"}),
        ("save 1 2\nsave ''\nsave 3 4\nsave 5 6", {"save": "3 4 5 6"}),
        (r'requirepass "a\x62\"c"', {"requirepass": 'ab"c'}),
        ("replicaof NO ONE", {"replicaof": ""}),
        ("bind 127.0.0.1 -::1", {"bind": "127.0.0.1 -::1"}),
        (
            "client-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit normal 1 1 1",
            {"client-output-buffer-limit": "normal 1 1 1"},
        ),
        ("include /a.conf\ntimeout 2", {"timeout": "2", "port": "1"}),
    ],
)
def test_the_file_is_read_as_redis_reads_it(text: str, settings: dict[str, str]) -> None:
    assert read_file(text, {"/a.conf": "timeout 1\nport 1"}.__getitem__).settings == settings


@pytest.mark.parametrize("text", ['a "b', "a 'b", 'a "b"c', "include b.conf", "include /a/*.conf"])
def test_a_line_that_cannot_be_followed_is_named(text: str) -> None:
    with pytest.raises(BadFile, match="line 2"):
        read_file(f"port 1\n{text}", lambda _: "")
