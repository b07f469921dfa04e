"""The container side without Django, its health, and its options."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.watchers.served import ROOT
from watchers.health import HealthServer, Pulse
from watchers.options import BadOption, from_environment

WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("django", "channels", "celery", "redis", "confhub", "dashboard"):
            raise ImportError(name + " does not belong here")
sys.meta_path.insert(0, Refuse())
import importlib, pkgutil, watchers
names = [m.name for m in pkgutil.walk_packages(watchers.__path__, "watchers.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_nothing_of_it_needs_django() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 25


def test_run_does_without_the_engines_client() -> None:
    script = "import sys, watchers.cli; print('docker' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip

    assert ran.stdout == "False\n"


def test_a_loop_that_stops_stamping_is_named() -> None:
    pulse = Pulse()
    pulse.beat("status", within_s=60)
    pulse.beat("docker", within_s=0.05)
    pulse.beat("ended", within_s=0.01)
    pulse.end("ended")
    watched = SimpleNamespace(
        pulse=pulse, silence=lambda: None, not_ready=list, exposition=lambda: ""
    )
    server = HealthServer(("127.0.0.1", 0), watched)
    try:
        time.sleep(0.1)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz")
        with refused.value as answer:
            assert answer.code == 503
            assert list(json.load(answer)["stale"]) == ["docker"]

        pulse.beat("docker", within_s=60)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz") as answer:
            assert json.load(answer) == {"ok": True, "stale": {}, "etcd": None}
    finally:
        server.close()


def test_options_have_the_documented_defaults() -> None:
    told = from_environment({"CONFHUB_HOST": "node-7", "CONFHUB_STATE_DIR": "/x"})

    assert told.endpoints == ("127.0.0.1:2379",)
    assert told.keyspace.prefix == "/confhub/v1"
    assert (told.host, told.state_dir, told.health) == ("node-7", Path("/x"), None)
    assert told.docker_host == "unix:///var/run/docker.sock"


def test_options_are_read() -> None:
    told = from_environment(
        {"ETCD_ENDPOINTS": "a:1, b:2", "ETCD_PREFIX": "/p", "CONFHUB_AGENT_HEALTH": "0.0.0.0:9104",
         "LOG_LEVEL": "debug", "LOG_JSON": "true"}
    )  # fmt: skip

    assert told.endpoints == ("a:1", "b:2")
    assert told.health == ("0.0.0.0", 9104)  # noqa: S104  # only read here
    assert (told.log_level, told.log_json) == ("DEBUG", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ETCD_ENDPOINTS", ","),
        ("ETCD_PREFIX", "no-slash"),
        ("CONFHUB_AGENT_HEALTH", "99999"),
        ("CONFHUB_AGENT_HEALTH", "here"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_JSON", "yes"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(BadOption, match=name):
        from_environment({name: text})


def test_help_tells_the_exit_codes() -> None:
    for command in ("agent", "run"):
        ran = subprocess.run(
            [sys.executable, "-m", "watchers.cli", command, "--help"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "Exit codes:" in ran.stdout
