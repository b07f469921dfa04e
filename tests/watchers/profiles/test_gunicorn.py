"""gunicorn in a container: tried before it is told, because what it does not take ends it."""

from typing import Any

import pytest

from tests.parts.images import IN_PYTHON
from tests.parts.servers import wait_until
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet

pytestmark = pytest.mark.docker
PORT = 8080
CONF = blocks("gunicorn", "python")[0]
ENVIRONMENT = {**IN_PYTHON, "PYTHONDONTWRITEBYTECODE": "1"}
FILES = {"confhub.files": "json,entry:gunicorn.conf.py,entry:shop.py"}
APP = """
import json
with open("/run/confhub/config.json") as file:
    TEXT = json.load(file)["TEXT"]
if TEXT == "bad":
    raise ImportError("no such text")
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TEXT.encode()]
"""


def entries(text: str, conf: str = CONF) -> dict[str, Any]:
    return {"TEXT": text, "gunicorn.conf.py": conf, "shop.py": APP}


def start(bench: Bench, *more: str, wrapper: bool = False, **options: Any) -> Running:
    documented = snippet("gunicorn")
    argv = ["python3", "-m", *documented.command, "--chdir", "/run/confhub", *more]
    command = ["sh", "-c", f"{' '.join(argv)}; exit $?"] if wrapper else argv
    labels = {**FILES, **options.pop("labels", {})}
    return bench.run(entries("one"), documented, command, labels=labels,
                     environment=ENVIRONMENT, **options)  # fmt: skip


@pytest.fixture
def shop(bench: Bench) -> Running:
    return start(bench)


def test_a_new_generation_of_workers_serves_the_release(shop: Running) -> None:
    shop.serves("one", PORT)
    shop.publish(entries("two", CONF.replace("workers = 2", "workers = 3")))
    shop.confirmed(2)
    assert shop.fetch(PORT) == "two"
    assert shop.logs().count("Booting worker") == 2 + 3
    shop.publish(entries("one"))
    shop.confirmed(3)
    assert shop.fetch(PORT) == "one"
    assert shop.not_restarted()


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (entries("two", "workers = 'many'"), "Invalid value for workers: many"),
        (entries("two", "workers = ("), "'(' was never closed"),
        (entries("bad"), "ImportError: no such text"),
        (entries("two", f"{CONF}worker_class = 'nosuch'"), "'nosuch'"),
        (entries("two", f"{CONF}certfile = '/no.pem'"), "No such file or directory"),
    ],
    ids=["value", "syntax", "application", "worker class", "certificate"],
)
def test_what_would_end_it_is_never_swapped_in(
    shop: Running, held: dict[str, Any], says: str
) -> None:
    shop.publish(held)

    assert says in shop.failed(2, "check")

    assert shop.fetch(PORT) == "one"
    assert (shop.files / "release").read_text() == "1\n"
    shop.publish(entries("three"))
    shop.confirmed(3)
    assert shop.fetch(PORT) == "three"
    assert shop.not_restarted()


def test_an_address_is_changed_only_to_one_that_is_free(shop: Running) -> None:
    shop.take_port(8081)
    shop.publish(entries("two", CONF.replace("8080", "8081")))
    assert "127.0.0.1:8081: Address already in use" in shop.failed(2, "check")

    both = CONF.replace('"127.0.0.1:8080"', '["127.0.0.1:8080", "127.0.0.1:8082"]')
    shop.publish(entries("three", both))
    assert "its old workers still hold them" in shop.failed(3, "check")
    assert shop.fetch(PORT) == "one"

    shop.publish(entries("four", CONF.replace("8080", "8082")))
    shop.confirmed(4)
    assert shop.fetch(8082) == "four"
    assert shop.not_restarted()


def waits_for(shop: Running, release: int, *names: str) -> None:
    def says() -> bool:
        receipt = shop.until("delivered", release).receipt
        return receipt is not None and receipt.pending_restart == names

    wait_until(says, what=f"the receipt says that {names} wait for a restart", timeout_s=30)


def test_what_the_arbiter_reads_once_waits_for_a_restart(shop: Running) -> None:
    shop.publish(entries("two", f"{CONF}backlog = 99\n"))
    waits_for(shop, 2, "backlog")
    assert shop.fetch(PORT) == "two"
    assert shop.not_restarted()

    shop.container.restart()
    shop.confirmed(2)


def test_a_preloaded_application_waits_for_a_restart(bench: Bench) -> None:
    shop = start(bench, "--preload")
    shop.publish(entries("two"))
    waits_for(shop, 2, "TEXT")
    assert shop.fetch(PORT) == "one"
    assert shop.not_restarted()


def test_a_worker_that_does_not_boot_ends_it_and_the_last_good_files_come_back(
    shop: Running,
) -> None:
    boots = "def post_worker_init(worker):\n    raise RuntimeError('not today')\n"
    shop.publish(entries("two", CONF + boots))

    reason = shop.failed(2, "confirm")

    assert "ended (exit code" in reason
    assert "Worker failed to boot." in shop.logs()
    shop.serves("one", PORT)


def test_a_wrapper_is_passed_over_and_the_arbiter_told(bench: Bench) -> None:
    shop = start(bench, wrapper=True)
    shop.publish(entries("two"))
    shop.confirmed(2)
    assert shop.fetch(PORT) == "two"
    assert shop.not_restarted()


def test_a_title_over_its_arguments_is_said_and_nothing_sent(bench: Bench) -> None:
    documented = snippet("gunicorn")
    argv = " ".join(["-m", *documented.command, "--chdir", "/run/confhub"])
    shop = bench.run(
        entries("one"), documented,
        ["bash", "-c", f"exec -a 'gunicorn: master [shop:app]' python3 {argv}"],
        labels=FILES, environment=ENVIRONMENT,
    )  # fmt: skip
    shop.publish(entries("two"))

    assert "setproctitle" in shop.failed(2, "check")
    assert shop.fetch(PORT) == "one"
    assert shop.not_restarted()
