"""A Celery worker with a real broker in its container: begun anew in the same process, or not told."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.parts.images import IN_PYTHON
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import snippet

pytestmark = pytest.mark.docker
ENVIRONMENT = {**IN_PYTHON, "PYTHONDONTWRITEBYTECODE": "1"}
FILES = {"confhub.files": "json,entry:jobs.py"}
CELERY = "python3 /opt/python/bin/celery"
BROKER = "redis-server --port 6379 --save '' --daemonize yes > /dev/null; "
APP = """
import json
from celery import Celery
with open("/run/confhub/config.json") as file:
    SETTINGS = json.load(file)
if SETTINGS["TEXT"] == "bad":
    raise ValueError("no such text")
app = Celery("jobs", broker="redis://127.0.0.1:6379/0", backend="redis://127.0.0.1:6379/1")
app.conf.update({key: held for key, held in SETTINGS.items() if key.islower() and "." not in key})
@app.task
def say():
    return SETTINGS["TEXT"]
"""
SAY = (
    "import sys; sys.path.insert(0, '/run/confhub'); from jobs import app; "
    "print(app.send_task('jobs.say').get(timeout=20))"
)


def entries(text: str, **settings: Any) -> dict[str, Any]:
    return {"TEXT": text, "worker_concurrency": 2, **settings, "jobs.py": APP}


Start = Callable[..., Running]


@pytest.fixture
def start(bench: Bench) -> Start:
    """`start("-P", "solo", tty=True)`: the documented worker, with a broker beside it."""

    def begin(*more: str, begun_by: str = CELERY, **options: Any) -> Running:
        documented = snippet("celery")
        worker = " ".join([*documented.command[1:], *more])
        return bench.run(
            entries("one"), documented, ["sh", "-c", f"{BROKER} exec {begun_by} {worker}"],
            labels=FILES, environment=ENVIRONMENT, working_dir="/run/confhub", **options,
        )  # fmt: skip

    return begin


def says(jobs: Running) -> str:
    """What a task answers, asked past the code under test."""
    return jobs.execute("python3", "-c", SAY).strip()


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_it_begins_anew_in_the_same_process_and_answers(start: Start, pool: str) -> None:
    jobs = start("-P", pool)
    assert says(jobs) == "one"
    jobs.publish(entries("two"))
    jobs.confirmed(2)
    assert says(jobs) == "two"
    assert jobs.not_restarted()


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (entries("two", worker_prefetch_multiplier="x"), "invalid literal for int()"),
        (entries("two", broker_url="nosuch://x"), "No such transport: nosuch"),
        (entries("bad"), "ValueError: no such text"),
        ({**entries("two"), "jobs.py": "def"}, "SyntaxError: invalid syntax"),
    ],
    ids=["value", "broker", "application", "syntax"],
)
def test_what_would_end_it_is_never_swapped_in(
    start: Start, held: dict[str, Any], said: str
) -> None:
    jobs = start()
    jobs.publish(held)

    assert said in jobs.failed(2, "check")

    assert (jobs.files / "release").read_text() == "1\n"
    assert says(jobs) == "one"
    assert jobs.not_restarted()


def test_with_a_terminal_it_has_no_handler_and_is_not_told(start: Start) -> None:
    jobs = start(tty=True)
    jobs.publish(entries("two"))

    assert "writes to a terminal" in jobs.failed(2, "reload")
    assert says(jobs) == "one"
    assert jobs.not_restarted()


def test_begun_as_a_module_it_could_not_begin_anew_and_is_not_told(start: Start) -> None:
    jobs = start(begun_by="python3 -m celery")
    jobs.publish(entries("two"))

    assert "`python -m celery`" in jobs.failed(2, "reload")
    assert says(jobs) == "one"
    assert jobs.not_restarted()


def test_what_takes_no_questions_is_proven_by_its_pool(start: Start) -> None:
    jobs = start()
    jobs.publish(entries("two", worker_enable_remote_control=False))
    jobs.confirmed(2)
    assert says(jobs) == "two"
    assert jobs.not_restarted()
