"""Secret entries: sealed in etcd and on disk, in clear only in memory and for the workload's user."""

import base64
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.parts import etcdctl
from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.conftest import OwnPublisher
from tests.watchers.served import ROOT, Process, Served, runtime_for
from watchers import options
from watchers.follow.cache import BadCache, Cache
from watchers.options import BadOption
from watchers.redact import MASK, Redactor
from watchers.wire.canonical import checksum
from watchers.wire.documents import ReleaseDocument, plain_value
from watchers.wire.sealing import CannotOpen, Keyring, SealingKey, seal, unseal

KEY = SealingKey.generate("k1")
WHERE = {"service": "shop", "environment": "dev"}
CANARY = "s3cret/canary+value"


def sealed_document(publisher: Publisher, number: int, key: SealingKey = KEY) -> ReleaseDocument:
    where = {"service": publisher.service, "environment": publisher.environment}
    entries: dict[str, dict[str, Any]] = {
        "MAX": {"value": number},
        "PW": {"secret": True, "ciphertext": seal(CANARY, key, name="PW", **where)},
    }
    return ReleaseDocument(
        publisher.service, publisher.environment, number, checksum(entries), entries
    )


def publish(publisher: Publisher, document: ReleaseDocument) -> None:
    publisher.transact({
        publisher.keys.release(document.release): document.to_bytes(),
        publisher.keys.value("MAX"): plain_value(document.values["MAX"]),
        publisher.keys.current: publisher.pointer(document),
    })  # fmt: skip


# ── sealing ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", ["text", "", 5, None, {"a": [1.5, "ü"]}, "x" * 100_000], ids=repr)
def test_a_value_opens_where_it_was_sealed(value: Any) -> None:
    ring = Keyring.from_text(KEY.to_text())
    sealed = seal(value, KEY, name="PW", **WHERE)

    assert unseal(sealed, ring, name="PW", **WHERE) == value
    assert sealed != seal(value, KEY, name="PW", **WHERE), "each has a nonce of its own"


def test_what_was_changed_moved_or_sealed_by_another_does_not_open() -> None:
    ring = Keyring.from_text(KEY.to_text())
    sealed = seal(CANARY, KEY, name="PW", **WHERE)
    head, body = sealed.rsplit(":", 1)
    raw = bytearray(base64.b64decode(body))
    raw[20] ^= 1
    same_name = seal(CANARY, SealingKey.generate("k1"), name="PW", **WHERE)

    for text, where, says in [
        (f"{head}:{base64.b64encode(raw).decode()}", {"name": "PW", **WHERE}, "does not open"),
        (sealed, {"name": "OTHER", **WHERE}, "does not open"),
        (sealed, {"name": "PW", "service": "shop", "environment": "prod"}, "does not open"),
        (sealed, {"name": "PW", "service": "till", "environment": "dev"}, "does not open"),
        (same_name, {"name": "PW", **WHERE}, "does not open"),
        ("v1:k9:" + body, {"name": "PW", **WHERE}, "no key k9 here; set CONFHUB_SECRETS_KEY"),
        ("v2:k1:" + body, {"name": "PW", **WHERE}, "not sealed as v1"),
        ("v1:k1:AAAA", {"name": "PW", **WHERE}, "not sealed as v1"),
    ]:
        with pytest.raises(CannotOpen, match=says):
            unseal(text, ring, **where)


def test_a_key_of_a_scope_goes_before_one_for_all(tmp_path: Path) -> None:
    own = SealingKey.generate("k1")
    file = tmp_path / "keys"
    file.write_text(f"# keys\n{KEY.to_text()}\nshop/dev={own.to_text()}  # of its own\n")

    ring = options.secrets_from({"CONFHUB_SECRETS_KEY_FILE": str(file)}).keyring

    assert ring.find("shop", "dev", "k1") == own
    assert ring.find("shop", "prod", "k1") == KEY
    assert ring.find("shop", "dev", "k2") is None
    assert KEY.to_text().partition(":")[2] not in repr(ring)


@pytest.mark.parametrize("text", ["k1:abc", "k1", "a/b/c=k1:x", f"k 1:{'A' * 43}=", "shop=k1:x"])
def test_a_key_that_cannot_be_used_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(BadOption, match="CONFHUB_SECRETS_KEY: Key 2 ") as refused:
        options.secrets_from({"CONFHUB_SECRETS_KEY": f"{KEY.to_text()},{text}"})

    assert text not in str(refused.value)


def test_a_supervised_process_does_not_inherit_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())

    assert "CONFHUB_SECRETS_KEY" not in options.child_environment({"A": "1"})


# ── masking ───────────────────────────────────────────────────────────────────────────────────────


def test_every_form_of_a_secret_is_masked() -> None:
    redactor = Redactor()
    redactor.learn("one", {"PW": CANARY, "LIST": ["inner-secret"], "SHORT": "abc", "ON": True})
    pem = "-----BEGIN-----\nMIIEvQIBADAN\n-----END-----\n"
    redactor.learn("two", {"PEM": pem})

    for form in (
        CANARY, base64.b64encode(CANARY.encode()).decode(), quote(CANARY, safe=""),
        quote(CANARY, safe="").lower(), "inner-secret", "MIIEvQIBADAN",
    ):  # fmt: skip
        said = redactor.text(f"cannot use {form} here")
        assert (form in said, MASK in said) == (False, True), form
    assert redactor.text("abc is true") == "abc is true"
    assert redactor.anything({"a": [CANARY], "n": 5}) == {"a": [MASK], "n": 5}
    redactor.forget("one")
    assert redactor.text(CANARY) == CANARY


# ── delivered ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on a tmpfs."""
    held = Path(tempfile.mkdtemp(prefix="confhub-", dir="/dev/shm"))  # a tmpfs is needed
    yield held
    shutil.rmtree(held)


@pytest.fixture
def in_memory(memory: Path) -> Iterator[Process]:
    held = Process(memory)
    yield held
    held.stop()


def serve(publisher: Publisher, process: Process, state: Path, **wishes: Any) -> Served:
    runtime = runtime_for(process.process.pid, process.directory, **wishes)
    return Served(publisher.endpoint, publisher.keyspace, state, runtime)


def holds_canary(folder: Path) -> list[str]:
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ]  # fmt: skip


def test_secrets_reach_the_workload_alone(
    publisher: Publisher, in_memory: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    served = serve(publisher, in_memory, tmp_path / "state")
    try:
        publish(publisher, sealed_document(publisher, 1))
        served.until("confirmed", 1)

        assert in_memory.lines()[-1]["values"] == {"MAX": 1, "PW": CANARY}
        generation = in_memory.directory / "gen-1"
        assert stat.S_IMODE(generation.stat().st_mode) == 0o500
        assert {stat.S_IMODE(file.stat().st_mode) for file in generation.iterdir()} == {0o400}
        assert {file.stat().st_uid for file in (generation, *generation.iterdir())} == {
            os.geteuid()
        }
        for number in (2, 3, 4):
            publish(publisher, sealed_document(publisher, number))
            served.until("confirmed", number)
        assert not generation.exists(), "old ones are removed as others are"
    finally:
        served.stop()
    assert holds_canary(tmp_path) == []
    found = etcdctl.get_prefix(publisher.endpoint, publisher.keyspace.everything)
    assert not any(CANARY.encode() in raw for raw in found.values())


def test_a_canary_that_a_check_prints_is_found_nowhere(
    publisher: Publisher, memory: Path, tmp_path: Path
) -> None:
    """The whole command, so that its log is the real one."""
    publish(publisher, sealed_document(publisher, 1))
    log = tmp_path / "log"
    prints = ["sh", "-c", "cat $CONFHUB_DIR/config.json; echo $PW; exit 3"]
    with log.open("wb") as out:
        ended = subprocess.run(
            [sys.executable, "-m", "watchers.cli", "run", *WHERE_OPTIONS, "--no-wait", "--soak", "5s",
             "--dir", str(memory / "files"), "--", *prints],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=out, timeout=60, check=False,
            env={**os.environ, "ETCD_ENDPOINTS": publisher.endpoint, "LOG_LEVEL": "DEBUG",
                 "ETCD_PREFIX": publisher.keyspace.prefix, "CONFHUB_SECRETS_KEY": KEY.to_text(),
                 "CONFHUB_STATE_DIR": str(tmp_path / "state")},
        )  # fmt: skip

    assert ended.returncode == 3
    assert holds_canary(tmp_path) == []


WHERE_OPTIONS = ["--service", "shop", "--environment", "dev", "--instance", "one"]


def test_a_reason_that_quotes_a_secret_is_masked(
    publisher: Publisher, in_memory: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())

    def check(self: object, attempt: Any) -> None:
        from watchers.check.base import CheckFailed

        raise CheckFailed(f"bad line: password={attempt.values['PW']}")

    monkeypatch.setattr("watchers.check.commands.CommandCheck.run", check)
    served = serve(publisher, in_memory, tmp_path / "state", labels={"check": "exec:true"})
    try:
        publish(publisher, sealed_document(publisher, 1))
        status = served.until("failed", 1)

        assert status.receipt is not None
        assert status.receipt.stage == "check"
        assert status.receipt.reason == f"bad line: password={MASK}"
    finally:
        served.stop()
    assert holds_canary(tmp_path / "state") == []


def test_without_a_key_or_with_another_nothing_is_taken_and_a_later_key_mends_it(
    publisher: Publisher, in_memory: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(publisher, sealed_document(publisher, 1))
    served = serve(publisher, in_memory, tmp_path / "state")
    try:
        status = served.until("failed", 1)
        assert status.receipt is not None
        assert status.receipt.stage == "render"
        assert "PW is secret and cannot be opened: no key k1 here" in status.receipt.reason
        assert not (in_memory.directory / "current").exists()
    finally:
        served.stop()

    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    served = serve(publisher, in_memory, tmp_path / "state")
    try:
        served.until("confirmed", 1)
    finally:
        served.stop()


def test_no_secret_is_written_to_a_disk_unless_the_host_allows_it(
    publisher: Publisher, process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    publish(publisher, sealed_document(publisher, 1))
    served = serve(publisher, process, tmp_path / "state")
    try:
        status = served.until("failed", 1)
        assert status.receipt is not None
        assert status.receipt.stage == "swap"
        assert "Mount a tmpfs there" in status.receipt.reason
        assert holds_canary(tmp_path) == []
    finally:
        served.stop()

    monkeypatch.setenv("CONFHUB_SECRETS_ON_DISK", "true")
    served = serve(publisher, process, tmp_path / "state")
    try:
        served.until("confirmed", 1)
        assert stat.S_IMODE((process.directory / "gen-1" / "config.json").stat().st_mode) == 0o400
    finally:
        served.stop()


# ── a start without etcd ──────────────────────────────────────────────────────────────────────────


def test_a_start_without_etcd_makes_the_files_from_the_cache(
    own_publisher: OwnPublisher, memory: Path, tmp_path: Path
) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "watchers.cli", "run", *WHERE_OPTIONS, "--soak", "200ms", *options,
             "--dir", str(memory / "files"), "--", "sh", "-c", "sleep 1; echo $MAX $PW"],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "ETCD_ENDPOINTS": own_publisher.endpoint,
                 "ETCD_PREFIX": own_publisher.keyspace.prefix, "CONFHUB_SECRETS_KEY": KEY.to_text(),
                 "CONFHUB_STATE_DIR": str(tmp_path / "state")},
        )  # fmt: skip

    publish(own_publisher, sealed_document(own_publisher, 1))
    assert run().stdout.strip() == f"1 {CANARY}"
    kept = [path for path in (tmp_path / "state").rglob("dev.shop") if path.is_file()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    assert holds_canary(tmp_path) == []

    own_publisher.server.stop()
    shutil.rmtree(memory / "files")  # as a reboot leaves a tmpfs
    again = run("--no-wait")
    assert again.stdout.strip() == f"1 {CANARY}", again.stderr

    raw = bytearray(kept[0].read_bytes())
    raw[len(raw) // 2] ^= 1
    kept[0].write_bytes(raw)
    shutil.rmtree(memory / "files")
    broken = run("--no-wait")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert "is damaged" in broken.stderr


def test_an_offline_instance_says_where_its_release_is_from(
    own_publisher: OwnPublisher, in_memory: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_SECRETS_KEY", KEY.to_text())
    document = sealed_document(own_publisher, 7)
    (tmp_path / "state").mkdir()
    Cache(tmp_path / "state").keep(document)
    own_publisher.server.stop()

    served = serve(own_publisher, in_memory, tmp_path / "state")
    try:
        wait_until(
            lambda: [(s.running, s.receipt and s.receipt.state) for s in served.agent.standing()]
            == [(7, "confirmed")],
            what="the release of the cache runs",
        )  # fmt: skip
        problems = served.agent.standing()[0].problems
        assert any("release 7 is from the cache" in problem for problem in problems), problems
        assert in_memory.lines()[-1]["values"]["PW"] == CANARY
    finally:
        served.stop()


def test_the_cache_takes_no_damage_and_no_other_scope(publisher: Publisher, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    document = sealed_document(publisher, 3)
    assert cache.load("shop", "dev") is None
    cache.keep(document)
    kept = cache.load("shop", "dev")
    assert kept is not None
    assert (kept.document, kept.age.endswith("s old")) == (document, True)

    path = tmp_path / "cache" / "dev.shop"
    whole = path.read_bytes()
    for at in range(0, len(whole), 37):
        bent = bytearray(whole)
        bent[at] ^= 4
        path.write_bytes(bent)
        with pytest.raises(BadCache, match="damaged"):
            cache.load("shop", "dev")
    path.write_bytes(whole[:-20])
    with pytest.raises(BadCache, match="damaged"):
        cache.load("shop", "dev")
    (tmp_path / "cache" / "prod.shop").write_bytes(whole)
    with pytest.raises(BadCache, match="another service"):
        cache.load("shop", "prod")


LOGS = """
import structlog
from watchers import logs
from watchers.redact import REDACTOR
logs.configure(level="INFO", as_json={as_json})
REDACTOR.learn("one", {{"PW": {canary!r}}})
log = structlog.get_logger("t")
log.info("told", reason="said " + {canary!r}, parts=[{canary!r}], number=5)
try:
    raise ValueError({canary!r})
except ValueError:
    log.exception("stumbled")
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_no_line_of_the_log_holds_a_secret(as_json: bool) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOGS.format(as_json=as_json, canary=CANARY)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    # The traceback of this script has no source lines, so what is masked is the exception's text.
    assert "ValueError" in ended.stderr
    assert "stumbled" in ended.stderr
    assert CANARY not in ended.stderr
    assert ended.stderr.count(MASK) + ended.stderr.count("\\u2022" * 3) >= 3
