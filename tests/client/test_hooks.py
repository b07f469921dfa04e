"""The hooks of Django and Celery, in real processes of theirs; gunicorn's are in test_forks.py."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from confhub.client import Config
from tests.client.conftest import Place
from tests.parts.servers import wait_until
from tests.watchers.served import ROOT

SETTINGS = """
from dataclasses import dataclass
from confhub.client.django import config, overlay

@dataclass
class Live:
    max_items: int

SECRET_KEY = "x"
ALLOWED_HOSTS = []
EMAIL_PORT = 25
overlay(globals(), "ALLOWED_HOSTS", "EMAIL_PORT", "EMAIL_HOST")
LIVE = config.live(Live)
"""


def _django(place: Place, folder: Path, script: str) -> subprocess.Popen[str]:
    (folder / "shop_settings.py").write_text(SETTINGS)
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=folder, text=True,
        env={**os.environ, **place.environment, "DJANGO_SETTINGS_MODULE": "shop_settings",
             "CONFHUB_SERVICE": "shop", "CONFHUB_ENVIRONMENT": "dev",
             "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_django_settings_come_from_a_release_and_live_ones_follow(
    place: Place, tmp_path: Path
) -> None:
    place.publisher.publish({"ALLOWED_HOSTS": ["a"], "EMAIL_HOST": "mail", "MAX_ITEMS": 3})
    script = (
        "from django.conf import settings as s\n"
        "print(s.ALLOWED_HOSTS, s.EMAIL_PORT, s.EMAIL_HOST, s.LIVE.max_items, flush=True)\n"
        "input()\n"
        "from shop_settings import config\n"
        "while config.release < 2: config.wait(20)\n"
        "print(s.ALLOWED_HOSTS, s.LIVE.max_items, flush=True)\n"
        "input()\n"
    )
    process = _django(place, tmp_path, script)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "['a'] 25 mail 3\n"

    place.publisher.publish({"ALLOWED_HOSTS": ["b"], "EMAIL_HOST": "mail", "MAX_ITEMS": 4})
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "['a'] 4\n"
    wait_until(
        lambda: (
            (r := place.until("delivered", 2).receipt) is not None
            and r.pending_restart == ("ALLOWED_HOSTS",)
        ),
        what="what Django reads once waits for its restart",
    )
    _, said = process.communicate("\n", timeout=30)
    assert (process.returncode, said) == (0, "")


def test_django_is_told_what_is_wrong_as_its_users_know_it(place: Place, tmp_path: Path) -> None:
    place.publisher.publish({"ALLOWED_HOSTS": "a", "MAX_ITEMS": 3})
    script = "from django.conf import settings as s; s.DEBUG"
    _, said = _django(place, tmp_path, script).communicate(timeout=60)
    assert "ImproperlyConfigured: ALLOWED_HOSTS: wanted a list, found a text of 1 character" in said

    (tmp_path / "one").mkdir()
    script = "from confhub.client.django import overlay\noverlay({}, 'INSTALLED_APPS')"
    _, said = _django(place, tmp_path / "one", script).communicate(timeout=60)
    assert "INSTALLED_APPS cannot come from ConfHub" in said


def test_a_celery_worker_and_its_pool_report(place: Place, tmp_path: Path) -> None:
    place.publisher.publish({"MAX": 5})
    (tmp_path / "shop.py").write_text(
        "from celery import Celery\nimport confhub.client.celery\nfrom confhub.client import Config\n"
        "config = Config(service='shop', environment='dev', soak_s=0.2, wait_s=30)\n"
        "app = Celery('shop', broker='memory://')\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "shop", "worker", "--pool", "prefork", "-c", "2",
             "--without-gossip", "--without-mingle"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_until(
            lambda: (
                bool(place.followers()) and place.until("confirmed", 1).container["processes"] == 3
            ),
            what="the worker and both processes of its pool are counted",
        )
        place.publisher.publish({"MAX": 6})
        place.until("confirmed", 2)
    finally:
        worker.terminate()
        worker.wait(60)
    place.until_nobody_follows()


def test_importing_the_client_brings_none_of_the_server_and_no_grpc() -> None:
    script = (
        "import sys, confhub, confhub.client, confhub.client.gunicorn\n"
        "heavy = {'django', 'celery', 'channels', 'redis', 'grpc', 'etcd3', 'pydantic', 'structlog'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_config_that_nobody_read_begins_with_the_hook(
    place: Place, make: Callable[..., Config]
) -> None:
    from confhub.client.hooks import report_all

    place.publisher.publish({"MAX": 5})
    make()
    assert not place.followers()

    assert list(report_all("a test").values()) == [1]
    place.until("confirmed", 1)
