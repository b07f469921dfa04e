"""Without scripts: sign in, read, edit one key, review, publish, roll back."""

from playwright.sync_api import Browser, expect

from tests.parts.browser import a_tab
from tests.parts.system import System


def test_the_whole_way_works_without_scripts(
    browser: Browser, system: System, service: str
) -> None:
    with a_tab(browser, system, java_script_enabled=False) as tab:
        tab.allow("status of 422")
        tab.sign_in()
        page = tab.open(f"/services/{service}/dev/config/")
        page.get_by_label("New key").fill("POOL")
        page.get_by_role("button", name="Add key").click()
        page.get_by_label("Kind").select_option("number")
        page.get_by_label("Value", exact=True).fill("ten")
        page.get_by_role("button", name="Save to the draft").click()
        expect(page.get_by_text("'ten' is not a number")).to_be_visible()
        page.get_by_label("Value", exact=True).fill("10")
        page.get_by_role("button", name="Save to the draft").click()
        expect(tab.key("POOL")).to_contain_text("Added")
        page.locator("[data-review]").click()
        page.get_by_label("Reason").fill("Without scripts")
        page.get_by_role("button", name="Publish r1 to dev").click()
        expect(page.locator(".release-head")).to_contain_text("Without scripts")

        page.goto(f"{system.url}/services/{service}/dev/config/")
        tab.key("POOL").locator("[data-edit]").click()
        page.get_by_label("Value", exact=True).fill("20")
        page.get_by_role("button", name="Save to the draft").click()
        page.locator("[data-review]").click()
        page.get_by_label("Reason").fill("More")
        page.get_by_role("button", name="Publish r2 to dev").click()
        page.get_by_role("link", name="Roll back…").click()
        page.get_by_role("link", name="Roll back to r1…").click()
        expect(page.locator("del", has_text="20")).to_be_visible()
        page.get_by_role("button", name="Roll dev back to r1").click()

        expect(page.locator(".release-head")).to_contain_text("content of r1")
    status, found = system.call("GET", f"/services/{service}/environments/dev/config?format=json")
    assert (status, found) == (200, {"POOL": 10})
