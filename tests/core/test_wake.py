"""The doorbell: rung after commit, heard by a real broker, and never waited for.

Each test rings from a process of its own, because a broker is chosen once for a process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.parts.servers import RedisServer, wait_until

ROOT = Path(__file__).resolve().parents[2]
RELAY, RETRY = "confhub.publishing.relay", "confhub.fleet.retry"
RING = """
import sys, time, django
django.setup()
from django.db import transaction
from confhub.core import wake
{body}
sys.stdout.write("rung\\n"); sys.stdout.flush()
sys.stdin.read()
"""


def ringing(server: RedisServer, tmp_path: Path, body: str) -> "subprocess.Popen[str]":
    """A process that rings as `body` says, and lives until its standard input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", RING.format(body=body)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "confhub.settings", "CONFHUB_LOCAL": "true",
             "REDIS_URL": server.url, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"},
    )  # fmt: skip


def heard(server: RedisServer) -> list[str]:
    """Names of the tasks in the queue, oldest first."""
    with redis.Redis.from_url(server.url) as client:
        held = client.lrange("confhub:confhub", 0, -1)
    return [json.loads(raw)["headers"]["task"] for raw in reversed(held)]


def test_a_bell_is_heard_after_the_commit_and_once_for_equal_ones(
    own_redis, tmp_path: Path
) -> None:
    body = f"""
with transaction.atomic():
    wake.after_commit({RELAY!r})
    wake.after_commit({RELAY!r})
    time.sleep(0.5)  # long enough for a bell that does not wait for the commit
    sys.stdout.write("open\\n"); sys.stdout.flush(); sys.stdin.readline()
"""
    with ringing(own_redis, tmp_path, body) as process:
        assert process.stdout.readline() == "open\n"
        assert heard(own_redis) == []
        process.stdin.write("\n")
        process.stdin.flush()

        wait_until(lambda: RELAY in heard(own_redis), what="the bell in the queue")
        process.stdin.close()
    assert heard(own_redis) in ([RELAY], [RELAY, RELAY])  # the first may be on its way already


def test_a_rolled_back_transaction_rings_nothing(own_redis, tmp_path: Path) -> None:
    body = f"""
try:
    with transaction.atomic():
        wake.after_commit({RETRY!r}, instance_id="never")
        raise RuntimeError
except RuntimeError:
    wake.after_commit({RELAY!r})
"""
    with ringing(own_redis, tmp_path, body) as process:
        wait_until(lambda: bool(heard(own_redis)), what="the later bell")
        process.stdin.close()
    assert heard(own_redis) == [RELAY]


@pytest.mark.faults
@pytest.mark.parametrize("trouble", ["frozen", "killed"])
def test_a_broker_that_does_not_answer_is_not_waited_for(
    own_redis, tmp_path: Path, trouble: str
) -> None:
    body = f"""
begun = time.monotonic()
for number in range(2000):
    wake.after_commit({RETRY!r}, instance_id=f"i-{{number}}")
assert time.monotonic() - begun < 2.0, "a socket's own limit is 5 s for the first bell alone"
"""
    own_redis.freeze() if trouble == "frozen" else own_redis.kill()
    with ringing(own_redis, tmp_path, body) as process:
        assert process.stdout.readline() == "rung\n"
        own_redis.thaw() if trouble == "frozen" else own_redis.start()

        wait_until(
            lambda: RETRY in heard(own_redis), what="bells, once Redis is back", timeout_s=60
        )
        process.stdin.close()
