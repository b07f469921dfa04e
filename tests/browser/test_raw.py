"""A draft as a text in a real browser: it saves itself, and form and text lose nothing of each other."""

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import NewTab
from tests.browser.test_editor import draft, drafted, edit, field
from tests.parts.browser import NARROWEST, Tab
from tests.parts.system import System


def area(tab: Tab) -> Locator:
    return tab.page.locator("raw-editor .cm-content")


def text(tab: Tab) -> str:
    value: str = tab.page.locator("raw-editor config-text").evaluate("(each) => each.value")
    return value


def saved(tab: Tab) -> None:
    expect(tab.page.locator("raw-editor [data-save]")).to_contain_text("Saved ")


def write(tab: Tab, line: str, new: str) -> None:
    """Put `new` for the line that reads `line`, as somebody would with the keyboard."""
    area(tab).locator(".cm-line", has_text=line).first.click()
    tab.page.keyboard.press("Home")
    tab.page.keyboard.press("Shift+End")
    tab.page.keyboard.press("Delete")
    tab.page.keyboard.insert_text(new)


@pytest.fixture
def raw(tab: Tab, system: System, service: str) -> Tab:
    """The text of a service with POOL = 10 and HOST = "db"."""
    system.publish(service, "dev", {"POOL": 10, "HOST": "db"})
    tab.open(f"/services/{service}/dev/config/raw/")
    tab.wait_live()
    expect(area(tab)).to_be_visible()
    return tab


def test_a_text_saves_itself_and_its_comments_stay(raw: Tab, system: System, service: str) -> None:
    write(raw, "POOL: 10", "POOL: 20 # more room")
    saved(raw)
    assert drafted(system, service) == {"POOL": 20}
    expect(raw.page.locator("[data-draft-size]")).to_have_text("1 change")
    raw.page.reload()
    assert text(raw) == "HOST: db\nPOOL: 20 # more room\n"


def test_what_does_not_read_is_kept_and_says_its_line(
    raw: Tab, system: System, service: str
) -> None:
    write(raw, "POOL: 10", "POOL: [20")
    problem = raw.page.locator("[data-problem]")
    expect(problem).to_contain_text("Line 3:")
    expect(problem).to_contain_text("The text is kept.")
    assert drafted(system, service) == {}
    raw.page.reload()
    expect(problem).to_contain_text("Line 3:")
    assert text(raw) == "HOST: db\nPOOL: [20\n"
    write(raw, "POOL: [20", "POOL: 21")
    saved(raw)
    expect(problem).to_be_hidden()
    assert drafted(system, service) == {"POOL": 21}


def test_one_writes_the_text_while_another_uses_the_form(
    raw: Tab, new_tab: NewTab, system: System, service: str
) -> None:
    other = new_tab()
    other.open(f"/services/{service}/dev/config/")
    other.wait_live()
    edit(other, "HOST")
    write(raw, "POOL: 10", "POOL: 41 # by hand")
    field(other, "HOST").fill("other")
    saved(raw)
    other.wait_saved()

    assert drafted(system, service) == {"POOL": 41, "HOST": "other"}
    expect(area(raw)).to_contain_text("HOST: other")
    expect(other.key("POOL").locator('[data-field="preview"]')).to_have_text("41")
    assert text(raw) == "HOST: other\nPOOL: 41 # by hand\n"


@pytest.mark.parametrize(("choice", "value"), [("Keep theirs", 77), ("Use mine", 88)])
def test_the_same_key_in_form_and_text_shows_both_and_is_decided(
    raw: Tab, new_tab: NewTab, system: System, service: str, choice: str, value: int
) -> None:
    raw.allow("status of 412", "ERR_FAILED", "Failed to load resource")
    held: list[Route] = []
    is_open = False

    def pass_later(route: Route) -> None:
        if is_open:
            route.continue_()
        else:
            held.append(route)

    raw.page.route("**/draft/text*", pass_later)
    write(raw, "POOL: 10", "POOL: 88")
    expect(raw.page.locator("[data-save]")).to_have_text("Saving…")
    other = new_tab()
    other.open(f"/services/{service}/dev/config/")
    edit(other, "POOL")
    field(other, "POOL").fill("77")
    other.wait_saved()
    is_open = True
    for route in held:
        route.continue_()

    conflict = raw.page.locator("[data-conflict]")
    expect(conflict).to_contain_text("POOL by admin")
    expect(conflict).to_contain_text("77")
    assert drafted(system, service) == {"POOL": 77}
    assert "POOL: 88" in text(raw)
    conflict.get_by_role("button", name=choice).click()
    saved(raw)
    expect(conflict).to_be_hidden()
    assert drafted(system, service) == {"POOL": value}
    expect(area(raw)).to_contain_text(f"POOL: {value}")


def test_leaving_with_something_unsaved_asks_first(raw: Tab, system: System, service: str) -> None:
    raw.allow("ERR_FAILED", "Failed to load resource")
    raw.page.route("**/draft/text*", lambda route: route.abort())
    write(raw, "POOL: 10", "POOL: 5")
    expect(raw.page.locator("[data-save]")).to_contain_text("Not saved: The server does not answer")
    asked: list[str] = []

    def stay(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]  # Playwright's
        dialog.dismiss()  # type: ignore[attr-defined]  # the same

    raw.page.on("dialog", stay)
    raw.page.get_by_role("link", name="Form").click(no_wait_after=True)
    expect(raw.page.locator("raw-editor")).to_be_visible()
    raw.page.unroute("**/draft/text*")
    saved(raw)
    assert asked == ["beforeunload"]
    assert draft(system, service)["set"] == {"POOL": 5}


def test_the_page_fits_a_narrow_screen_and_has_no_barrier(
    new_tab: NewTab, system: System, service: str
) -> None:
    system.publish(service, "dev", {"POOL": 10, "LONG": "x" * 300})
    tab = new_tab(size=NARROWEST)
    tab.open(f"/services/{service}/dev/config/raw/?format=toml")
    tab.wait_live()
    expect(area(tab)).to_be_visible()
    too_wide = tab.page.evaluate(
        "[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right)"
        ".filter(right => right > document.documentElement.clientWidth)"
    )
    assert too_wide == []
    assert tab.axe() == []
