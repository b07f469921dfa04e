"""The main job, whole: a person edits nginx.conf in the browser, and a running nginx has it.

Sign in → edit → review → publish → the grid shows *confirmed* for a real nginx on a real engine,
with the same State.StartedAt, the same process id and no restart; then a rollback, the same.
"""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from docker.models.containers import Container
from playwright.sync_api import Browser, Page

from tests.parts.browser import Tab, a_tab
from tests.parts.docker import NGINX, DockerEngine, run_directory, shared_engine, started_at
from tests.parts.servers import free_port, wait_until
from tests.parts.system import System

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

SERVICE, ENVIRONMENT = "edge", "staging"
CONF = """daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr notice;
events {{ worker_connections 64; }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "{answer}"; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    with shared_engine(run_directory(tmp_path_factory)) as held:
        held.need(NGINX)
        yield held


@pytest.fixture(scope="module")
def served(
    browser: Browser, engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The whole system, with a Celery worker that serves this machine's containers."""
    system = System(tmp_path_factory.mktemp("served"), settings={"DOCKER_HOST": engine.address})
    with ExitStack() as stack:
        stack.callback(system.stop)
        system.start(host_duty=True)
        yield system


@pytest.fixture
def container(engine: DockerEngine, tmp_path: Path) -> Iterator[Container]:
    """nginx with ConfHub's labels. It waits for its first configuration, as its image would."""
    folder = tmp_path / "delivered"
    folder.mkdir()
    waits = "until [ -e /run/confhub/nginx.conf ]; do sleep 0.1; done; exec nginx -c /run/confhub/nginx.conf"
    held = engine.run(
        NGINX, ["/bin/sh", "-c", waits], name="edge-1", folder=folder, network="host",
        labels={
            "confhub.service": SERVICE, "confhub.environment": ENVIRONMENT,
            "confhub.files": "entry:nginx.conf", "confhub.reload": "signal:HUP",
            "confhub.soak": "1s",
        },
    )  # fmt: skip
    yield held
    held.remove(force=True)


def test_a_person_edits_and_a_running_nginx_has_it(
    browser: Browser, served: System, container: Container
) -> None:
    port = free_port()
    served.call("POST", "/services", {"slug": SERVICE, "name": "Edge"})
    served.publish(SERVICE, ENVIRONMENT, {"nginx.conf": CONF.format(port=port, answer="one")})
    wait_until(
        lambda: answer(port) == "one", what="nginx with its first configuration", timeout_s=60
    )
    before = started_at(container)

    with a_tab(browser, served, permissions=["clipboard-read", "clipboard-write"]) as tab:
        tab.sign_in()
        page = tab.open(f"/services/{SERVICE}/{ENVIRONMENT}/")
        confirmed(tab, "r1")

        edit(tab, CONF.format(port=port, answer="two"))
        publish(page, "r2")
        confirmed(tab, "r2")
        assert answer(port) == "two"
        assert started_at(container) == before
        shows_no_restart(tab, before)

        page.get_by_role("link", name="Roll back…").click()
        page.get_by_role("link", name="Roll back to r1…").click()
        page.get_by_role("button", name=f"Roll {ENVIRONMENT} back to r1").click()
        confirmed(tab, "r3")
        assert answer(port) == "one"
        assert started_at(container) == before
        shows_no_restart(tab, before)

    assert before[2] == 0


def edit(tab: Tab, text: str) -> None:
    """Change the file in the editor, as text; it saves itself."""
    page = tab.page
    page.get_by_role("link", name="Edit config").click()
    tab.key("nginx.conf").locator("[data-edit]").click()
    tab.key("nginx.conf").locator(".cm-content").click()
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+V")
    tab.wait_saved()


def publish(page: Page, release: str) -> None:
    page.locator("[data-review]").click()
    page.get_by_label("Reason").fill("Another answer")
    page.get_by_role("button", name=f"Publish {release} to {ENVIRONMENT}").click()
    page.wait_for_url(f"**/services/{SERVICE}/{ENVIRONMENT}/")


def confirmed(tab: Tab, release: str) -> None:
    """The grid says so by itself: nobody reloads the page."""
    tile = tab.page.locator('.tile[data-state="confirmed"]')
    tile.locator('[data-field="release_line"]', has_text=release).wait_for(timeout=60_000)


def shows_no_restart(tab: Tab, before: tuple[str, int, int]) -> None:
    """The page's own proof is the engine's: the same process id, no restart."""
    tile = tab.tile()
    assert tile.locator('[data-field="pid"]').inner_text().strip().endswith(str(before[1]))


def answer(port: int) -> str:
    """What nginx serves; "" while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as held:
            return str(held.read().decode())
    except OSError:
        return ""
