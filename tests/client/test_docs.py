"""docs/python-client.md promises what really happens: its examples are run, in order, as one program."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.client.conftest import Place
from tests.watchers.served import ROOT

PAGE = ROOT / "docs" / "python-client.md"
AFTERWARDS = """
assert settings == Settings(20, Db("postgres://x", 9), ["a"]), settings
assert live.max_items == 20 and config.get("TIMEOUT", 2.5, type=float) == 2.5
sys.stdout.write("ready\\n"); sys.stdout.flush(); input()
assert config.trouble.endswith("ValueError: more than the pool can hold"), config.trouble
assert config["MAX_ITEMS"] == 20
import asyncio, contextlib
async def one():
    task = asyncio.create_task(watch())
    await asyncio.sleep(0.5)
    sys.stdout.write("watching\\n"); sys.stdout.flush()
    await asyncio.to_thread(input)
    task.cancel()
asyncio.run(one())
"""
SETTINGS = """
from dataclasses import dataclass
ALLOWED_HOSTS, EMAIL_HOST, SECRET_KEY = [], "localhost", "x"
@dataclass
class Settings:
    max_items: int
"""


def examples() -> tuple[str, dict[str, str]]:
    """(the examples that make up one program, {first line: the others})."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    named = {block.splitlines()[0]: block for block in blocks if block.startswith("# ")}
    return "".join(block for block in blocks if not block.startswith("# ")), named


def test_the_examples_of_the_page_do_what_it_says(place: Place) -> None:
    program, _ = examples()
    values = {"MAX_ITEMS": 20, "db.url": "postgres://x", "db.pool": 9, "LABELS": ["a"]}
    publisher = place.publisher
    publisher.environment = "prod"
    publisher.keys = publisher.keyspace.scope("shop", "prod")
    publisher.publish(values)
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys\n{program}{AFTERWARDS}"], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        place.instance = "here-shop-prod"
        place.until("confirmed", 1)
        publisher.publish({**values, "MAX_ITEMS": 2000})
        place.until("failed", 2)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "watching\n"
        publisher.publish({**values, "MAX_ITEMS": 30})
        assert process.stdout.readline() == "3\n"
    finally:
        _, said = process.communicate("\n", timeout=60)
    assert process.returncode == 0, said


def test_the_examples_of_the_hooks(place: Place, tmp_path: Path) -> None:
    _, named = examples()
    place.publisher.publish({"ALLOWED_HOSTS": ["a"], "MAX_ITEMS": 20})
    (tmp_path / "page_settings.py").write_text(SETTINGS + named["# settings.py"])
    (tmp_path / "page_gunicorn.py").write_text(named["# gunicorn.conf.py"])
    (tmp_path / "page_celery.py").write_text(named["# beside the Celery app"])
    script = (
        "from django.conf import settings as s\n"
        "import page_gunicorn, page_celery\n"
        "print(s.ALLOWED_HOSTS, s.EMAIL_HOST, s.LIVE.max_items, callable(page_gunicorn.post_fork))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "CONFHUB_SERVICE": "shop",
             "CONFHUB_ENVIRONMENT": "dev", "DJANGO_SETTINGS_MODULE": "page_settings"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("['a'] localhost 20 True\n", "")
