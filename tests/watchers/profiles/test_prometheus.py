"""Prometheus takes a new file by HUP or over HTTP, and says itself that it did."""

import json

import pytest

from tests.parts.servers import wait_until
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet

pytestmark = pytest.mark.docker
CONFIG, RULES = blocks("prometheus", "yml")
ENTRIES = {"prometheus.yml": CONFIG, "rules.yml": RULES}
BY_HUP = ["prometheus", "--config.file=/run/confhub/prometheus.yml", "--storage.tsdb.path=/prometheus",
          "--web.listen-address", "127.0.0.1:9191", "--web.external-url=http://metrics.example/prom/"]  # fmt: skip

ELSEWHERE = """
cp /run/confhub/prometheus.yml /run/confhub/rules.yml /tmp && sed -i s/itself/other/ /tmp/prometheus.yml &&
exec prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=/prometheus
"""


def config_of(one: Running, port: int = 9090, prefix: str = "") -> str:
    answer = one.fetch(port, f"{prefix}/api/v1/status/config")
    return str(json.loads(answer)["data"]["yaml"]) if answer else ""


def test_a_new_file_is_loaded_over_http_without_a_restart(bench: Bench) -> None:
    one = bench.run(ENTRIES, snippet("prometheus"))
    assert "scrape_interval: 15s" in config_of(one)

    one.publish({**ENTRIES, "prometheus.yml": CONFIG.replace("15s", "20s")})
    one.confirmed(2)

    assert "scrape_interval: 20s" in config_of(one)
    one.publish({**ENTRIES, "rules.yml": RULES.replace("job:up:sum", "job:up:count")})
    one.confirmed(3)
    wait_until(lambda: "job:up:count" in one.fetch(9090, "/api/v1/rules"), what="the rule is new")
    assert one.not_restarted()


def test_promtool_refuses_a_bad_file_in_its_own_words_before_anything_is_swapped(
    bench: Bench,
) -> None:
    one = bench.run(ENTRIES, snippet("prometheus"))

    one.publish({**ENTRIES, "prometheus.yml": CONFIG.replace("15s", "fifteen")})
    assert "not a valid duration string" in one.failed(2, "check")
    one.publish({**ENTRIES, "prometheus.yml": CONFIG + "\nscrape_confs: []\n"})
    assert "scrape_confs" in one.failed(3, "check")
    one.publish({**ENTRIES, "rules.yml": RULES.replace("sum by (job) (up)", "sum by (")})
    assert "rules.yml" in one.failed(4, "check")

    assert (one.files / "release").read_text() == "1\n"
    assert "scrape_interval: 15s" in config_of(one)
    assert one.not_restarted()


def test_without_the_lifecycle_api_it_is_told_by_hup_at_its_own_address_and_prefix(
    bench: Bench,
) -> None:
    one = bench.run(ENTRIES, snippet("prometheus"), BY_HUP)

    one.publish({**ENTRIES, "prometheus.yml": CONFIG.replace("itself", "myself")})
    one.confirmed(2)

    assert "job_name: myself" in config_of(one, 9191, "/prom")
    assert one.not_restarted()


def test_what_promtool_lets_pass_and_prometheus_refuses_is_taken_back(bench: Bench) -> None:
    one = bench.run(ENTRIES, snippet("prometheus"), BY_HUP)

    no_log = CONFIG.replace("global:", "global:\n  query_log_file: /nowhere/queries.log")
    one.publish({**ENTRIES, "prometheus.yml": no_log})
    reason = one.failed(2, "confirm")

    assert "/nowhere/queries.log: no such file or directory" in reason
    assert (one.files / "release").read_text() == "1\n"
    assert one.not_restarted()
    one.publish({**ENTRIES, "prometheus.yml": CONFIG.replace("15s", "25s")})
    one.confirmed(3)
    assert "scrape_interval: 25s" in config_of(one, 9191, "/prom")


def test_a_server_that_reads_another_file_is_not_believed(bench: Bench) -> None:
    one = bench.begin(
        ENTRIES,
        snippet("prometheus"),
        ["sh", "-c", ELSEWHERE],
    )

    receipt = one.until("failed", 1).receipt

    assert receipt is not None
    assert "/tmp/prometheus.yml" in receipt.reason  # noqa: S108  # the container's
    assert "--config.file=/run/confhub/prometheus.yml" in receipt.reason
