"""uvicorn with workers in a container: each new worker is up before an old one goes."""

from typing import Any

import pytest

from tests.parts.images import IN_PYTHON
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import snippet

pytestmark = pytest.mark.docker
PORT = 8080
ENVIRONMENT = {**IN_PYTHON, "PYTHONDONTWRITEBYTECODE": "1"}
FILES = {"confhub.files": "json,entry:shop.py"}
APP = """
import json
with open("/run/confhub/config.json") as file:
    TEXT = json.load(file)["TEXT"]
if TEXT == "bad":
    raise ValueError("no such text")
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        failed = {"type": "lifespan.startup.failed", "message": "not today"}
        await send(failed if TEXT == "late" else {"type": "lifespan.startup.complete"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": TEXT.encode()})
"""


def entries(text: str) -> dict[str, Any]:
    return {"TEXT": text, "shop.py": APP}


def start(bench: Bench, *more: str, workers: bool = True) -> Running:
    documented = snippet("uvicorn")
    argv = ["python3", "-m", *documented.command, "--app-dir", "/run/confhub", *more]
    if not workers:
        at = argv.index("--workers")
        del argv[at : at + 2]
    return bench.run(entries("one"), documented, argv, labels=FILES, environment=ENVIRONMENT)


def test_all_workers_are_new_and_the_supervisor_is_not(bench: Bench) -> None:
    shop = start(bench)
    shop.serves("one", PORT)
    shop.publish(entries("two"))
    shop.confirmed(2)
    assert [shop.fetch(PORT) for _ in range(8)] == ["two"] * 8
    assert shop.not_restarted()


def test_an_application_that_cannot_be_imported_is_never_swapped_in(bench: Bench) -> None:
    shop = start(bench)
    shop.publish(entries("bad"))

    assert "ValueError: no such text" in shop.failed(2, "check")

    assert shop.fetch(PORT) == "one"
    assert (shop.files / "release").read_text() == "1\n"
    shop.publish(entries("three"))
    shop.confirmed(3)
    assert shop.not_restarted()


def test_a_worker_that_does_not_become_ready_is_told_of_in_its_own_words(bench: Bench) -> None:
    shop = start(bench)
    shop.publish(entries("late"))

    reason = shop.failed(2, "confirm")

    assert "was not ready in time; keeping worker" in reason
    assert "not today" in reason
    # Not that nothing began anew: a supervisor that has to replace a worker in just that second, a
    # slow one say, ends because the new one cannot start.
    shop.serves("one", PORT)


def test_a_single_process_is_not_told_because_it_would_end(bench: Bench) -> None:
    shop = start(bench, workers=False)
    shop.publish(entries("two"))

    reason = shop.failed(2, "reload")

    assert "runs without a supervisor, so HUP would end it" in reason
    assert "--workers 2" in reason
    assert shop.fetch(PORT) == "one"
    assert shop.not_restarted()
