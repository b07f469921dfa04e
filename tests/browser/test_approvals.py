"""Without scripts: ask for approval, have it from another person, publish; then the emergency."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.parts.browser import Tab, a_tab
from tests.parts.system import System

PASSWORD = "a-password-of-the-approver"


@pytest.fixture
def gated(system: System) -> Iterator[None]:
    """prod wants another person's approval, and nel may give it."""
    assert system.call("POST", "/people", {"name": "nel", "password": PASSWORD})[0] in (201, 409)
    assert system.call("POST", "/people/nel/grants", {"role": "approver"})[0] in (200, 201)
    assert system.call("PATCH", "/environments/prod", {"approvals": 1})[0] == 200
    yield
    assert system.call("PATCH", "/environments/prod", {"approvals": 0})[0] == 200


def sign_in_as_nel(tab: Tab) -> None:
    page = tab.open("/sign-in/")
    page.get_by_label("Username").fill("nel")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/services/")


def test_two_people_publish_without_scripts(
    browser: Browser, system: System, service: str, gated: None
) -> None:
    draft = f"/services/{service}/environments/prod/draft"
    system.call("PATCH", draft, {"set": {"POOL": 10}}, If_Match="*")
    review = f"/services/{service}/prod/review/"
    plain = {"java_script_enabled": False}
    with a_tab(browser, system, **plain) as asking, a_tab(browser, system, **plain) as approving:
        asking.sign_in()
        page = asking.open(review)
        expect(page.get_by_role("button", name="Publish r1 to prod", exact=True)).to_have_count(0)
        page.get_by_label("Reason").fill("Room for the sale")
        page.get_by_role("button", name="Ask for approval").click()
        expect(page.get_by_text("You asked for approval")).to_be_visible()

        sign_in_as_nel(approving)
        other = approving.page
        other.get_by_role("link", name="Requests").click()
        other.get_by_role("link", name=f"{service}@prod").click()
        expect(other.locator('[data-key="POOL"]')).to_be_visible()
        other.get_by_label("Comment").fill("Fine with me")
        other.get_by_role("button", name="Approve").click()
        expect(other.get_by_text("You approved it")).to_be_visible()

        page.goto(f"{system.url}{review}")
        expect(page.get_by_text("Fine with me")).to_be_visible()
        page.get_by_label("Type prod to confirm").first.fill("prod")
        page.get_by_role("button", name="Publish r1 to prod", exact=True).click()
        expect(page.locator(".release-head")).to_contain_text("Room for the sale")

        system.call("PATCH", draft, {"set": {"POOL": 20}}, If_Match="*")
        page.goto(f"{system.url}{review}")
        page.get_by_text("Emergency…").click()
        page.get_by_label("Why it cannot wait").fill("The pool is empty")
        page.get_by_label("Type prod to confirm").fill("prod")
        page.get_by_role("button", name="Publish r2 to prod as an emergency").click()
        expect(page.locator(".release-head")).to_contain_text("Emergency")
    status, release = system.call("GET", f"/services/{service}/environments/prod/releases/1")
    assert (status, release["emergency"]) == (200, False)
    status, release = system.call("GET", f"/services/{service}/environments/prod/releases/2")
    assert (status, release["emergency"], release["message"]) == (200, True, "The pool is empty")
