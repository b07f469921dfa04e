"""`confhub api`: any call of REST, its answer as it came, its refusals by exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from confhub.catalog.models import Service
from tests.parts.factories import a_token
from tests.parts.web import WebThread

TOKEN = "a-token-of-the-api-command"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[Run]:
    settings.STATIC_ROOT = tmp_path
    a_token(TOKEN)
    web = WebThread()
    web.start()

    def call(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "confhub.client.command", "api", *words], input=stdin,
            capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
            env={**os.environ, "CONFHUB_URL": web.url, "CONFHUB_TOKEN": TOKEN, "HOME": str(tmp_path)},
        )  # fmt: skip

    yield call
    web.stop()


def test_a_call_is_made_and_its_answer_printed(run: Run) -> None:
    made = run("POST", "/services", "-d", '{"slug": "shop", "description": "ü \\n"}')
    listed = run("get", "/api/v1/services")
    typed = run("POST", "/services", "-d", "-", stdin='{"slug": "till"}')

    assert (made.returncode, listed.returncode, typed.returncode) == (0, 0, 0), made.stderr
    assert json.loads(made.stdout)["description"] == "ü \n"
    assert [each["slug"] for each in json.loads(listed.stdout)["items"]] == ["shop"]
    assert Service.objects.count() == 2


def test_what_is_no_json_is_printed_as_it_is(run: Run) -> None:
    run("POST", "/services", "-d", '{"slug": "shop"}')
    run("POST", "/environments", "-d", '{"slug": "dev"}')
    set_ = run(
        "PATCH", "/services/shop/environments/dev/draft", "-H", "If-Match: *",
        "-d", '{"set": {"A": "x"}}',
    )  # fmt: skip
    published = run("POST", "/services/shop/environments/dev/releases", "-d", '{"message": "m"}')
    told = run("GET", "/services/shop/environments/dev/config?format=env")
    deleted = run("DELETE", "/layers/sets/nothing")

    assert (set_.returncode, published.returncode) == (0, 0), set_.stderr + published.stderr
    assert told.stdout == "A='x'\n"
    assert deleted.returncode == 1
    assert "not_found" in deleted.stderr or "not_found" in deleted.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["FETCH", "/services"], "FETCH"),
        (["GET", "services"], "write the path of a call"),
        (["GET", "http://elsewhere/services"], "write the path of a call"),
        (["POST", "/services", "-d", '{"slug": "canary'], "This is no JSON"),
        (["GET", "/services", "-H", "If-Match"], "write NAME: VALUE"),
        (["GET", "/services", "-H", "Bad Name: x"], "write NAME: VALUE"),
        (["GET", "/services", "-H", "X: a\nb"], "write NAME: VALUE"),
    ],
    ids=["method", "path", "address", "json", "header", "name", "line"],
)
def test_a_wrong_usage_calls_nobody(run: Run, words: list[str], sentence: str) -> None:
    done = run(*words)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert "canary" not in done.stderr
    assert Service.objects.count() == 0
