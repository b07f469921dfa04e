"""A browser's own EventSource on the watch, signed in by the page's session."""

from typing import Any

from tests.browser.conftest import NewTab
from tests.parts.servers import wait_until
from tests.parts.system import System

OPEN = """(path) => {
  window.heard = [];
  window.source = new EventSource(path);
  source.addEventListener('release', (event) => {
    heard.push([event.lastEventId, JSON.parse(event.data).entries.A.value]);
  });
}"""


def test_a_browser_hears_of_each_release(system: System, service: str, new_tab: NewTab) -> None:
    system.publish(service, "dev", {"A": "first"})
    tab = new_tab()
    tab.open("/services/")

    def hears(number: int) -> None:
        wait_until(lambda: tab.page.evaluate("heard.length") == number, what=f"{number} releases")

    tab.page.evaluate(OPEN, f"/api/v1/services/{service}/environments/dev/watch")
    hears(1)
    system.publish(service, "dev", {"A": "second"})
    hears(2)
    system.publish(service, "dev", {"A": "third"})
    hears(3)

    heard: list[Any] = tab.page.evaluate("heard")
    assert heard == [["1", "first"], ["2", "second"], ["3", "third"]]
    tab.page.evaluate("source.close()")
