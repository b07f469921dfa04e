"""The client below `confhub agent` and `confhub run`: it reads a delivered directory and reports."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from confhub.client import BadValue, Config, ConfigError, MissingKey, NoConfiguration
from tests.client.conftest import Place
from tests.parts.servers import wait_until
from tests.watchers.served import ROOT
from watchers.swap import folders
from watchers.swap.disk import Directory
from watchers.wire.canonical import Json

SWAPS = 200
READERS = 8


@dataclass
class Pair:
    a: int
    b: int


class Delivery:
    """Delivers as an agent does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def deliver(self, release: int, **values: Json) -> None:
        files = {"config.json": json.dumps(values).encode(), "release": f"{release}\n".encode()}
        with Directory(folders.open_directory(str(self.path), make=True), "files") as directory:
            directory.swap(directory.write(release, files))
            directory.settle(good=directory.current())


@pytest.fixture
def delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    for name in ("CONFHUB_DIR", "CONFHUB_REPORT", "CONFHUB_SERVICE", "CONFHUB_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    return Delivery((tmp_path / "files").resolve())


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "r"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.bind(str(path))
        held.settimeout(20)
        monkeypatch.setenv("CONFHUB_REPORT", str(path))
        yield held


def test_no_reader_ever_sees_two_releases_mixed(delivery: Delivery) -> None:
    delivery.deliver(1, A=1, B=1)
    mixed: list[object] = []
    seen: set[int] = set()
    ending = threading.Event()
    with Config(directory=delivery.path) as config:
        live = config.live(Pair)

        def read() -> None:
            while not ending.is_set():
                with config.snapshot() as snapshot:
                    found = {
                        config["A"],
                        config["B"],
                        live.a,
                        live.b,
                        snapshot["A"],
                        config.release,
                    }
                whole = config.load(Pair)
                if len(found) != 1 or whole.a != whole.b:
                    mixed.append((found, whole))
                seen.update(found)  # type: ignore[arg-type]

        readers = [threading.Thread(target=read) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        script = (
            "import sys; from pathlib import Path; from tests.client.test_delivered import Delivery\n"
            "d = Delivery(Path(sys.argv[1]))\n"
            f"for n in range(2, {SWAPS + 2}): d.deliver(n, A=n, B=n)"
        )
        # In another process: eight busy threads here leave a ninth one little of the interpreter.
        subprocess.run([sys.executable, "-c", script, str(delivery.path)], cwd=ROOT, check=True)
        wait_until(lambda: config.release == SWAPS + 1, what="the last one is read")
        ending.set()
        for reader in readers:
            reader.join()

    assert mixed == []
    assert len(seen) > 1


def test_what_was_loaded_is_reported_and_what_was_refused(
    delivery: Delivery, reports: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_DIR", str(delivery.path))
    delivery.deliver(1, A=1, B=1)
    with Config() as config:
        config.load(Pair)
        assert json.loads(reports.recv(9999)) | {"pid": 0} == {
            "pid": 0, "release": 1, "generation": "gen-1", "ok": True, "error": "",
            "pending_restart": [],
        }  # fmt: skip

        delivery.deliver(2, A="x", B=1)
        refused = json.loads(reports.recv(9999))
        assert (refused["release"], refused["ok"]) == (2, False)
        assert refused["error"] == "A: wanted a whole number, found a text of 1 character."
        assert (config["A"], config.release) == (1, 1)
        assert "Release 2 is refused" in config.trouble

        delivery.deliver(1, A=1, B=1)  # as an agent goes back
        assert json.loads(reports.recv(9999))["release"] == 1
        assert "Release 2 is refused" in config.trouble, "it is still the newest one"

        delivery.deliver(3, A=3, B=1)
        assert json.loads(reports.recv(9999))["release"] == 3
        assert config.trouble == ""


def test_a_report_that_nobody_takes_holds_nobody_up(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFHUB_REPORT", str(tmp_path / "late"))
    delivery.deliver(1, A=1)
    with (
        Config(directory=delivery.path) as config,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late,
    ):
        assert config["A"] == 1
        late.bind(str(tmp_path / "late"))
        late.settimeout(20)
        assert json.loads(late.recv(9999))["release"] == 1, "said once somebody listens"


def test_values_are_found_by_key_and_by_variable_and_cannot_be_changed(delivery: Delivery) -> None:
    delivery.deliver(3, **{"db.url": "x", "LIST": [1], "OFF": None})
    with Config(directory=delivery.path) as config:
        assert config["db.url"] == config["DB_URL"] == "x"
        assert "DB_URL" in config
        assert sorted(config) == ["LIST", "OFF", "db.url"]
        config["LIST"].append(2)  # type: ignore[union-attr]
        assert config["LIST"] == [1]
        assert config.get("GONE") is None
        assert config.get("GONE", 7, type=int) == 7
        assert config.get("LIST", type=list[int]) == [1]
        with pytest.raises(MissingKey, match="Release 3 has no entry GONE"):
            config["GONE"]
        with pytest.raises(BadValue, match="LIST: wanted a text, found a list"):
            config.get("LIST", type=str)
        with pytest.raises(AttributeError, match="Change it in ConfHub"):
            config.live(Pair).a = 5


def test_nothing_delivered_is_said_after_the_wait(delivery: Delivery) -> None:
    config = Config(directory=delivery.path, wait_s=0.2)

    with pytest.raises(NoConfiguration, match=r"Nothing has been delivered to .* within 0\.2 s"):
        config.start()


def test_without_any_word_about_whose_it_is_both_ways_out_are_named(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confhub.client.config.DELIVERED", delivery.path)
    with pytest.raises(ConfigError, match="CONFHUB_SERVICE and CONFHUB_ENVIRONMENT"):
        Config()
    with pytest.raises(ConfigError, match="both are needed"):
        Config(service="shop")
    with pytest.raises(ConfigError, match="is not a name for a service"):
        Config(service="No Good", environment="dev")


def test_below_confhub_run_its_report_confirms_and_fails_releases(
    place: Place, tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom dataclasses import dataclass\nfrom confhub.client import Config\n"
        "@dataclass\nclass S:\n    max: int\n"
        "config = Config(service='shop', environment='dev')\nconfig.load(S)\n"
        "print(config.release, flush=True)\nsys.stdin.read()\n"
    )
    place.publisher.publish({"MAX": 5})
    process = subprocess.Popen(
        [sys.executable, "-m", "watchers.cli", "run", "--service", "shop", "--environment", "dev",
         "--confirm", "report", "--soak", "200ms", "--", sys.executable, "-c", script],
        cwd=ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        place.until("confirmed", 1)
        place.publisher.publish({"MAX": "x"})
        status = place.until("failed", 2)
        assert status.receipt is not None
        assert "MAX: wanted a whole number" in status.receipt.reason
    finally:
        process.communicate(timeout=30)
    assert place.followers() == [], "the supervisor's directory is read, and etcd is left to it"
