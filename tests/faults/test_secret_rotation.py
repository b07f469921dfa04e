"""Data keys and the master key rotated while releases are published and applied: none fails."""

import json
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.parts import etcdctl
from tests.parts.servers import wait_until
from tests.parts.system import System
from watchers.wire.keyspace import Keyspace
from watchers.wire.sealing import Keyring, SealingKey, unseal

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.xdist_group("rotation")]
SERVICE, ENVIRONMENT = "shop", "dev"
SCOPE = f"/services/{SERVICE}/environments/{ENVIRONMENT}"
SECRET = "s3cret/canary+value"
SLEEPS = "import signal\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile True: signal.pause()"
OLD, NEW = SealingKey.generate("old"), SealingKey.generate("new")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One service with a secret of its own and one of the global layer, under `confhub run`."""
    masters = f"{NEW.to_text()},{OLD.to_text()}"
    with System(
        tmp_path_factory.mktemp("rotation"), settings={"CONFHUB_MASTER_KEYS": masters}
    ) as system:
        system.call("POST", "/services", {"slug": SERVICE})
        system.call(
            "PATCH", "/layers/global/draft", {"set": {"SHARED": {"$secret": SECRET}}}, If_Match="*"
        )
        told = {"message": "m", "targets": "all"}
        assert system.call("POST", "/layers/global/releases", told)[0] == 201
        yield system


def receipts(system: System) -> list[tuple[str, int]]:
    """(state, release) of the one instance's newest receipt, as REST tells it."""
    items = system.call("GET", f"{SCOPE}/instances")[1]["items"]
    return [(each["state"], each["running"]) for each in items if each["gone_at"] is None]


def newest(system: System) -> int:
    return int(system.call("GET", f"{SCOPE}/releases")[1]["items"][0]["release"])


def test_no_receipt_fails_while_keys_are_rotated_under_load(system: System) -> None:
    keys = system.manage("secrets_key", SERVICE, ENVIRONMENT).strip()
    system.publish(SERVICE, ENVIRONMENT, {"PW": {"$secret": SECRET}, "COUNT": 0})
    part = system.run(
        SERVICE, ENVIRONMENT, sys.executable, "-c", SLEEPS, soak="100ms",
        settings={"CONFHUB_SECRETS_KEY": keys, "CONFHUB_SECRETS_ON_DISK": "true"},
    )  # fmt: skip
    wait_until(lambda: receipts(system) == [("confirmed", 1)], what="r1 confirmed", timeout_s=60)
    statuses: list[dict[str, Any]] = []
    stop = threading.Event()

    def publish_on() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            system.publish(SERVICE, ENVIRONMENT, {"COUNT": count})

    def watch_on() -> None:
        scope = Keyspace(system.prefix).scope(SERVICE, ENVIRONMENT)
        while not stop.wait(0.02):
            held = etcdctl.get_prefix(system.etcd.endpoint, scope.instances)
            statuses.extend(json.loads(raw) for raw in held.values())

    threads = [threading.Thread(target=publish_on), threading.Thread(target=watch_on)]
    for thread in threads:
        thread.start()
    try:
        said = system.manage("rotate_secrets", "--data-keys")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)

    last = newest(system)
    wait_until(
        lambda: receipts(system) == [("confirmed", last)],
        what=f"r{last} confirmed; {receipts(system)}", timeout_s=60,
    )  # fmt: skip
    assert f"{SERVICE}@{ENVIRONMENT}: seals with" in said
    failed = [each["receipt"] for each in statuses if (each["receipt"] or {}).get("state") == "failed"]  # fmt: skip
    assert failed == []
    assert len({each["running"] for each in statuses}) > 1, "releases were applied meanwhile"
    assert delivered(part.directory.parent) == {"PW": SECRET, "SHARED": SECRET}
    assert len(kids(system, 1) | kids(system, last)) == 2, "one key before, another after"
    assert kids(system, 1).isdisjoint(kids(system, last))
    _the_old_master_key_may_go(system)


def _the_old_master_key_may_go(system: System) -> None:
    before = system.manage("secrets_key", SERVICE, ENVIRONMENT).strip()
    system.manage("rotate_secrets")
    for part in (system.web, system.worker):
        part.stop()
        part.environment["CONFHUB_MASTER_KEYS"] = NEW.to_text()
        part.start()
    system.environment["CONFHUB_MASTER_KEYS"] = NEW.to_text()

    number = system.publish(SERVICE, ENVIRONMENT, {"PW": {"$secret": f"new {SECRET}"}})

    wait_until(
        lambda: receipts(system) == [("confirmed", number)],
        what=f"r{number} confirmed", timeout_s=60,
    )  # fmt: skip
    after = system.manage("secrets_key", SERVICE, ENVIRONMENT).strip()
    # Of the others, those go with whose releases etcd no longer keeps.
    assert after.split(",")[:2] == before.split(",")[:2], "the reserve, and the one that seals"
    ring, document = Keyring.from_text(before), release(system, number)
    where = {"service": SERVICE, "environment": ENVIRONMENT}
    opened = {
        key: unseal(entry["ciphertext"], ring, name=key, **where)
        for key, entry in document["entries"].items()
        if entry.get("secret")
    }
    assert opened == {"PW": f"new {SECRET}", "SHARED": SECRET}


def release(system: System, number: int) -> dict[str, Any]:
    """The document in etcd."""
    key = Keyspace(system.prefix).scope(SERVICE, ENVIRONMENT).release(number)
    raw = etcdctl.get(system.etcd.endpoint, key)
    assert raw is not None
    document: dict[str, Any] = json.loads(raw)
    return document


def kids(system: System, number: int) -> set[str]:
    """The names of the keys that a release is sealed with. From the database, for etcd keeps the
    newest ones only."""
    with closing(sqlite3.connect(system.directory / "confhub.sqlite3")) as database:
        [(text,)] = database.execute(
            "SELECT entries FROM releases_release WHERE number = ?", [number]
        )
    entries = json.loads(text).values()
    return {each["ciphertext"].split(":")[1] for each in entries if each.get("secret")}


def delivered(folder: Path) -> dict[str, Any]:
    """The secrets in the directory's newest generation."""
    [current] = [path for path in folder.rglob("current") if path.is_symlink()]
    held = json.loads((current / "config.json").read_text())
    return {key: held[key] for key in ("PW", "SHARED")}
