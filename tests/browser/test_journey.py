"""The main journey on real parts: edit, review, publish, watch it arrive without a restart, roll back."""

import re
import sys

from playwright.sync_api import expect

from tests.browser.conftest import NewTab
from tests.parts.browser import Tab
from tests.parts.system import System

WAITS_FOR_HUP = (
    "import signal, time\nsignal.signal(signal.SIGHUP, lambda *_: None)\nwhile True: time.sleep(1)"
)


def run_one(system: System, service: str, environment: str = "dev") -> None:
    system.run(service, environment, sys.executable, "-c", WAITS_FOR_HUP)


def test_a_change_reaches_a_running_process_and_the_page_shows_it(
    tab: Tab, system: System, service: str
) -> None:
    page = tab.open("/services/")
    page.get_by_role("link", name=service, exact=True).click()
    page.get_by_role("link", name="dev", exact=True).click()
    page.get_by_role("link", name="Edit config").click()
    page.get_by_label("New key").fill("POOL")
    page.get_by_role("button", name="Add key").click()
    page.get_by_label("Kind of POOL").select_option("number")
    page.get_by_label("Value of POOL").first.fill("10")
    tab.wait_saved()
    page.locator("[data-review]").click()
    page.get_by_label("Reason").fill("The first keys")
    page.get_by_role("button", name="Publish r1 to dev").click()
    page.wait_for_url(f"**/services/{service}/dev/")
    page.get_by_text("In etcd").wait_for()

    run_one(system, service)
    tile = tab.tile()
    tile.get_by_text("Confirmed").first.wait_for(timeout=30_000)
    pid, started = _process(tab)

    page.get_by_role("link", name="Edit config").click()
    tab.key("POOL").locator("[data-edit]").click()
    page.get_by_label("Value of POOL").first.fill("20")
    page.keyboard.press("Enter")
    tab.wait_saved()
    page.locator("[data-review]").click()
    page.locator("del", has_text="10").wait_for()
    page.locator("ins", has_text="20").wait_for()
    page.get_by_label("Reason").fill("More room")
    page.get_by_role("button", name="Publish r2 to dev").click()
    _wait_confirmed(tab, "r2")

    page.get_by_role("link", name="Roll back…").click()
    page.get_by_role("link", name="Roll back to r1…").click()
    page.get_by_role("button", name="Roll dev back to r1").click()
    _wait_confirmed(tab, "r3")

    assert _process(tab) == (pid, started), "the process was restarted"
    page.locator(".release-head", has_text="content of r1").wait_for()


def test_two_tabs_see_the_same_release_arrive(
    tab: Tab, new_tab: NewTab, system: System, service: str
) -> None:
    system.publish(service, "dev", {"A": 1})
    run_one(system, service)
    first, second = tab, new_tab()
    for each in (first, second):
        each.open(f"/services/{service}/dev/")
        each.wait_live()
        _wait_confirmed(each, "r1")

    system.publish(service, "dev", {"A": 2})

    _wait_confirmed(first, "r2")
    _wait_confirmed(second, "r2")


def test_the_list_and_the_service_page_follow_as_well(
    tab: Tab, new_tab: NewTab, system: System, service: str
) -> None:
    listed, overview = tab, new_tab()
    listed.open("/services/")
    overview.open(f"/services/{service}/")
    listed.wait_live()
    overview.wait_live()

    system.publish(service, "staging", {"A": 1})

    listed.page.locator("tr", has_text=service).get_by_text("r1").wait_for()
    overview.page.locator("tr", has_text="staging").get_by_text("r1").wait_for()


def _wait_confirmed(tab: Tab, release: str) -> None:
    tile = tab.page.locator('.tile[data-state="confirmed"]')
    tile.locator('[data-field="release_line"]', has_text=release).wait_for(timeout=30_000)


def _process(tab: Tab) -> tuple[str, str | None]:
    """The process id and its start as the page shows them, once it knows them."""
    pid = tab.tile().locator('[data-field="pid"]')
    expect(pid).to_have_text(re.compile(r"\d+"), timeout=15_000)
    return pid.inner_text(), tab.tile().locator(".tile-facts rel-time").get_attribute("datetime")
