"""Live pages under faults: nothing is shown as live that is not, and nothing is missed."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import NewTab
from tests.parts.browser import Tab, a_tab, signed_in_state
from tests.parts.proxy import TcpProxy
from tests.parts.servers import wait_until
from tests.parts.system import System

SLEEPS = (
    "import signal, time\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile True: time.sleep(1)"
)
HARD_CLOSE_S, SILENCE_S = 3.0, 16.0
NOISE = ("WebSocket connection", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_FAILED", "Failed to load", "ERR_SOCKET", "ERR_INCOMPLETE", "ERR_INVALID_HTTP")  # fmt: skip


@pytest.fixture
def watched(system: System, service: str) -> str:
    """A service with one instance that has confirmed r1."""
    system.publish(service, "dev", {"A": 1})
    system.run(service, "dev", sys.executable, "-c", SLEEPS)
    path = f"/services/{service}/environments/dev/convergence?release=1&wait=30"
    wait_until(
        lambda: system.call("GET", path)[1]["state"] == "confirmed",
        what="r1 is confirmed",
        timeout_s=40,
    )
    return service


def state_of(tab: Tab) -> str | None:
    return tab.page.locator("live-root").get_attribute("data-state")


def confirmed(tab: Tab, release: str, *, timeout_s: float = 20) -> None:
    tile = tab.page.locator('.tile[data-state="confirmed"] [data-field="release_line"]')
    expect(tile).to_have_text(release, timeout=timeout_s * 1000)


def drawn(tab: Tab) -> Any:
    """The tiles as the page shows them, without what changes by itself: ages."""
    return tab.page.evaluate(
        """() => [...document.querySelectorAll('[data-tiles] > .tile')].map((tile) => {
          const copy = tile.cloneNode(true);
          for (const time of copy.querySelectorAll('rel-time')) {
            const at = Date.parse(time.getAttribute('datetime'));
            time.replaceWith(Number.isFinite(at) ? new Date(at).toISOString() : '');
          }
          return copy.outerHTML.replace(/\\s+/g, ' ').replace(/> | </g, (found) => found.trim());
        })"""
    )


def test_a_page_changed_by_frames_looks_as_the_page_drawn_now(
    tab: Tab, new_tab: NewTab, system: System, watched: str
) -> None:
    tab.open(f"/services/{watched}/dev/")
    tab.wait_live()
    system.publish(watched, "dev", {"A": 2})
    confirmed(tab, "r2")

    fresh = new_tab(java_script_enabled=False)
    fresh.open(f"/services/{watched}/dev/")

    with_scripts = new_tab()
    with_scripts.open(f"/services/{watched}/dev/")
    with_scripts.wait_live()
    assert drawn(tab) == drawn(with_scripts)
    assert fresh.page.locator(".tile").get_attribute("data-state") == "confirmed"


def test_an_instance_that_appears_while_one_looks_is_drawn_as_by_the_server(
    tab: Tab, new_tab: NewTab, system: System, service: str
) -> None:
    system.publish(service, "dev", {"A": 1})
    tab.open(f"/services/{service}/dev/")
    tab.wait_live()
    expect(tab.page.get_by_text(f"Nothing runs {service} in dev yet")).to_be_visible()

    system.run(service, "dev", sys.executable, "-c", SLEEPS)
    confirmed(tab, "r1")

    expect(tab.page.get_by_text(f"Nothing runs {service} in dev yet")).to_be_hidden()
    fresh = new_tab()
    fresh.open(f"/services/{service}/dev/")
    fresh.wait_live()
    assert drawn(tab) == drawn(fresh)


def test_a_new_release_takes_the_green_mark_away_at_once(
    tab: Tab, system: System, watched: str
) -> None:
    tab.open(f"/services/{watched}/dev/")
    tab.wait_live()
    confirmed(tab, "r1")
    system.services[-1].freeze()  # it hears nothing of r2
    try:
        system.publish(watched, "dev", {"A": 2})

        expect(tab.tile()).to_have_attribute("data-state", "waiting")
        expect(tab.tile().locator('[data-field="release_line"]')).to_have_text("r1 → r2")
    finally:
        system.services[-1].thaw()
    confirmed(tab, "r2", timeout_s=40)


@pytest.fixture
def proxied(
    browser: Browser, system: System, tmp_path: Path
) -> Iterator[Callable[[], tuple[Tab, TcpProxy]]]:
    """A tab whose way to the server runs through a proxy that the test can cut or silence."""
    with TcpProxy(system.web.port) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        through = _Through(system, base)
        state = signed_in_state(browser, through, tmp_path / "state.json")  # type: ignore[arg-type]  # has what a tab asks of a system
        with a_tab(browser, through, storage_state=state) as tab:  # type: ignore[arg-type]  # the same
            tab.allow(*NOISE)
            yield lambda: (tab, proxy)


class _Through:
    def __init__(self, system: System, url: str) -> None:
        self.system, self.url = system, url


def test_a_hard_close_is_told_within_three_seconds_and_made_good_after(
    proxied: Callable[[], tuple[Tab, TcpProxy]], system: System, watched: str
) -> None:
    tab, proxy = proxied()
    tab.open(f"/services/{watched}/dev/")
    tab.wait_live()
    proxy.refuses = True
    began = time.monotonic()
    proxy.cut()

    expect(tab.page.locator("live-root")).to_have_text(
        re.compile(r"^Reconnecting… data as of \d\d:\d\d:\d\d"), timeout=HARD_CLOSE_S * 1000
    )
    assert time.monotonic() - began <= HARD_CLOSE_S
    system.publish(watched, "dev", {"A": 2})
    path = f"/services/{watched}/environments/dev/convergence?release=2&wait=30"
    wait_until(lambda: system.call("GET", path)[1]["state"] == "confirmed", what="r2 is confirmed")
    assert state_of(tab) != "live"
    proxy.heal()
    tab.page.evaluate("window.dispatchEvent(new Event('online'))")

    tab.wait_live()
    confirmed(tab, "r2", timeout_s=2)


def test_silence_is_told_within_sixteen_seconds(
    proxied: Callable[[], tuple[Tab, TcpProxy]], watched: str
) -> None:
    tab, proxy = proxied()
    tab.open(f"/services/{watched}/dev/")
    tab.wait_live()
    proxy.swallows_answers = True

    expect(tab.page.locator("live-root")).to_have_text(
        re.compile("^Reconnecting… data as of"), timeout=SILENCE_S * 1000
    )
    proxy.heal()
    expect(tab.page.locator("live-root")).to_have_attribute("data-state", "live", timeout=20_000)


def test_where_sockets_are_refused_the_page_polls_and_says_so(
    tab: Tab, system: System, watched: str
) -> None:
    tab.allow(*NOISE)
    tab.page.route_web_socket("**/ws/live/", lambda socket: socket.close(code=3000))
    tab.open(f"/services/{watched}/dev/")
    expect(tab.page.locator("live-root")).to_have_text(
        re.compile("^Asking every 5 s, as of"), timeout=20_000
    )

    system.publish(watched, "dev", {"A": 2})
    path = f"/services/{watched}/environments/dev/convergence?release=2&wait=30"
    wait_until(lambda: system.call("GET", path)[1]["state"] == "confirmed", what="r2 is confirmed")

    confirmed(tab, "r2", timeout_s=6)


def test_a_session_that_ended_closes_its_sockets(
    browser: Browser, system: System, watched: str, tmp_path: Path
) -> None:
    state = signed_in_state(browser, system, tmp_path / "state.json")
    with a_tab(browser, system, storage_state=state) as tab:
        tab.allow("401")
        tab.open(f"/services/{watched}/dev/")
        tab.wait_live()
        with a_tab(browser, system, storage_state=state) as other:
            other.open("/services/")
            other.page.get_by_role("button", name="Sign out").click()
            other.page.wait_for_url("**/sign-in/")

        expect(tab.page.locator("live-root")).to_have_attribute(
            "data-state", "ended", timeout=8_000
        )
        expect(tab.page.get_by_role("link", name="Signed out. Sign in again")).to_be_visible()


def test_the_age_of_what_is_shown_is_always_there(tab: Tab, watched: str) -> None:
    tab.open(f"/services/{watched}/dev/")
    tab.wait_live()

    expect(tab.page.locator("as-of")).to_have_text(re.compile(r"^As of \d\d:\d\d:\d\d, "))


@pytest.mark.faults
def test_redis_frozen_then_killed_costs_a_delay_and_nothing_else(
    browser: Browser, own_system: System, tmp_path: Path
) -> None:
    service = "billing"
    own_system.call("POST", "/services", {"slug": service})
    own_system.publish(service, "dev", {"A": 1})
    own_system.run(service, "dev", sys.executable, "-c", SLEEPS)
    state = signed_in_state(browser, own_system, tmp_path / "state.json")
    with a_tab(browser, own_system, storage_state=state) as tab:
        tab.open(f"/services/{service}/dev/")
        confirmed(tab, "r1", timeout_s=30)
        own_system.redis.freeze()
        number = own_system.publish(service, "dev", {"A": 2})
        expect(tab.page.locator(".release-head")).to_contain_text(f"r{number}", timeout=8_000)
        assert state_of(tab) == "live"
        own_system.redis.thaw()
        confirmed(tab, "r2", timeout_s=30)

        own_system.redis.kill()
        number = own_system.publish(service, "dev", {"A": 3})
        expect(tab.page.locator(".release-head")).to_contain_text(f"r{number}", timeout=8_000)
        assert state_of(tab) == "live"
        with a_tab(browser, own_system, storage_state=state) as late:
            late.open(f"/services/{service}/dev/")
            late.wait_live()
        own_system.redis.start()

        confirmed(tab, "r3", timeout_s=40)


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_etcd_killed_then_wiped_and_a_worker_killed_leave_the_open_page_right(
    browser: Browser, own_system: System, tmp_path: Path
) -> None:
    service = "billing"
    own_system.call("POST", "/services", {"slug": service})
    own_system.publish(service, "dev", {"A": 1})
    own_system.run(service, "dev", sys.executable, "-c", SLEEPS)
    state = signed_in_state(browser, own_system, tmp_path / "state.json")
    with a_tab(browser, own_system, storage_state=state) as tab:
        tab.open(f"/services/{service}/dev/")
        confirmed(tab, "r1", timeout_s=30)

        own_system.etcd.kill()
        number = own_system.publish(service, "dev", {"A": 2})
        expect(tab.page.locator(".release-head")).to_contain_text(f"r{number}", timeout=8_000)
        assert tab.page.locator('.tile[data-state="confirmed"]').count() == 0, "it is not there yet"
        own_system.etcd.start()
        confirmed(tab, "r2", timeout_s=60)

        own_system.etcd.wipe()
        own_system.etcd.start()
        own_system.publish(service, "dev", {"A": 3})
        confirmed(tab, "r3", timeout_s=90)

        own_system.worker.kill()
        own_system.publish(service, "dev", {"A": 4})
        own_system.worker.start()
        confirmed(tab, "r4", timeout_s=60)


@pytest.mark.faults
def test_a_web_process_killed_and_started_again_is_found_again(
    browser: Browser, own_system: System, tmp_path: Path
) -> None:
    service = "billing"
    own_system.call("POST", "/services", {"slug": service})
    own_system.publish(service, "dev", {"A": 1})
    state = signed_in_state(browser, own_system, tmp_path / "state.json")
    with a_tab(browser, own_system, storage_state=state) as tab:
        tab.allow(*NOISE)
        tab.open(f"/services/{service}/dev/")
        tab.wait_live()
        own_system.web.kill()
        expect(tab.page.locator("live-root")).to_have_attribute(
            "data-state", "reconnecting", timeout=HARD_CLOSE_S * 1000
        )
        own_system.web.start()
        own_system.publish(service, "dev", {"A": 2})

        expect(tab.page.locator(".release-head")).to_contain_text("r2", timeout=15_000)
        tab.wait_live()
