"""Two people in two browsers at one draft: they see each other, and no edit of either is lost."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import NewTab
from tests.browser.test_editor import drafted, edit, field
from tests.parts.browser import Tab, a_tab
from tests.parts.servers import wait_until
from tests.parts.system import System

BENS = "the password of ben"
VALUES = {"POOL": 10, "HOST": "db", "app.conf": "a\nb\nc\nd\n"}


@pytest.fixture(scope="package")
def ben(browser: Browser, system: System) -> str:
    """A second person, who may edit and publish everywhere."""
    assert system.call("POST", "/people", {"name": "ben", "password": BENS})[0] == 201
    assert system.call("POST", "/people/ben/grants", {"role": "publisher"})[0] in (200, 201)
    return "ben"


@pytest.fixture
def tabs(
    browser: Browser, system: System, new_tab: NewTab, service: str, ben: str
) -> Iterator[tuple[Tab, Tab]]:
    """(admin's editor, ben's editor) of one draft, both live."""
    system.publish(service, "dev", VALUES)
    with a_tab(browser, system) as other:
        page = other.open("/sign-in/")
        page.get_by_label("Username").fill(ben)
        page.get_by_label("Password").fill(BENS)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/services/")
        one = new_tab()
        for tab in (one, other):
            tab.allow("status of 412")
            tab.open(f"/services/{service}/dev/config/")
            tab.wait_live()
        yield one, other


def deafen(tab: Tab) -> None:
    """What others did reaches this page only by the answers to what it sends."""
    tab.page.route("**/parts/**/config/", lambda route: route.abort())
    tab.allow("ERR_FAILED")


def hears_again(tab: Tab) -> None:
    tab.page.unroute("**/parts/**/config/")


def set_(tab: Tab, key: str, value: str) -> None:
    edit(tab, key)
    field(tab, key).fill(value)
    tab.wait_saved()


def test_they_see_each_other_and_the_key_the_other_is_in(tabs: tuple[Tab, Tab]) -> None:
    one, other = tabs
    here = one.page.locator("[data-presence]")
    expect(here).to_have_text("Also here: ben", timeout=20_000)
    edit(other, "POOL")
    expect(here).to_have_text("Also here: ben at POOL", timeout=20_000)
    expect(one.key("POOL").locator('[data-field="here"]')).to_have_text("ben: here now")
    expect(other.page.locator("[data-presence]")).to_have_text("Also here: admin")

    other.page.goto("about:blank")

    expect(here).to_be_hidden(timeout=30_000)
    expect(one.key("POOL").locator('[data-field="here"]')).to_have_text("")


def test_at_different_keys_both_are_kept(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    for tab in tabs:
        deafen(tab)
    set_(one, "POOL", "41")
    set_(other, "HOST", "db2")

    assert drafted(system, service) == {"POOL": 41, "HOST": "db2"}


@pytest.mark.parametrize(("choice", "value"), [("Keep theirs", 77), ("Use mine", 88)])
def test_at_the_same_key_the_later_one_decides(
    tabs: tuple[Tab, Tab], system: System, service: str, choice: str, value: int
) -> None:
    one, other = tabs
    deafen(one)
    edit(one, "POOL")
    set_(other, "POOL", "77")
    field(one, "POOL").fill("88")
    conflict = one.key("POOL").locator("[data-conflict]")
    expect(conflict).to_contain_text("ben set POOL to this while you were typing")
    assert drafted(system, service) == {"POOL": 77}
    hears_again(one)

    conflict.get_by_role("button", name=choice).click()

    expect(field(one, "POOL")).to_have_value(str(value))
    one.wait_saved()
    assert drafted(system, service) == {"POOL": value}


def test_a_key_that_the_other_removed_is_decided(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    deafen(one)
    edit(one, "POOL")
    other.key("POOL").locator("[data-remove]").click()
    other.wait_saved()
    field(one, "POOL").fill("88")
    conflict = one.key("POOL").locator("[data-conflict]")
    expect(conflict).to_contain_text("ben removed POOL while you were typing")
    hears_again(one)

    conflict.get_by_role("button", name="Use mine").click()

    one.wait_saved()
    assert drafted(system, service) == {"POOL": 88}


def test_a_key_that_the_other_renamed_is_decided_and_both_names_are_kept(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    deafen(one)
    edit(one, "POOL")
    edit(other, "POOL")
    other.key("POOL").locator("[data-rename-open]").click()
    other.page.get_by_label("New name of POOL").fill("SIZE")
    other.page.get_by_label("New name of POOL").press("Enter")
    expect(other.key("SIZE")).to_have_attribute("data-status", "added")
    expect(other.key("POOL")).to_have_attribute("data-status", "removed")
    field(one, "POOL").fill("88")
    conflict = one.key("POOL").locator("[data-conflict]")
    expect(conflict).to_contain_text("ben removed POOL")
    hears_again(one)

    conflict.get_by_role("button", name="Use mine").click()

    one.wait_saved()
    assert drafted(system, service) == {"POOL": 88, "SIZE": 10}


def test_a_rename_onto_what_the_other_wrote_is_refused(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    deafen(one)
    other.page.get_by_label("New key").fill("SIZE")
    other.page.get_by_label("New key").press("Enter")
    field(other, "SIZE").fill("of ben")
    other.wait_saved()
    edit(one, "POOL")
    one.key("POOL").locator("[data-rename-open]").click()
    one.page.get_by_label("New name of POOL").fill("SIZE")
    one.page.get_by_label("New name of POOL").press("Enter")

    expect(one.key("POOL").locator("[data-rename-error]")).to_contain_text("ben changed SIZE")
    assert drafted(system, service) == {"SIZE": "of ben"}


def test_text_and_form_keep_each_others_edits(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    other.open(f"/services/{service}/dev/config/raw/?format=env")
    content = other.page.locator("raw-editor .cm-content")
    content.wait_for()
    set_(one, "POOL", "41")
    text = content.inner_text()
    content.fill(text.replace("HOST='db'", "HOST='db2'").replace("HOST=db\n", "HOST=db2\n"))

    wait_until(
        lambda: drafted(system, service) == {"POOL": 41, "HOST": "db2"},
        what="both edits in the draft",
    )


def test_a_publish_while_the_other_types_loses_nothing(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    set_(other, "HOST", "db2")
    edit(one, "POOL")
    other.open(f"/services/{service}/dev/review/")
    other.page.get_by_label("Reason").fill("a test's")
    field(one, "POOL").press_sequentially("5")
    other.page.get_by_role("button", name="Publish r2 to dev").click()
    other.page.wait_for_url(f"**/services/{service}/dev/")
    field(one, "POOL").fill("42")
    one.wait_saved()

    status, found = system.call("GET", f"/services/{service}/environments/dev/releases/2")
    assert status == 200
    assert found["entries"]["HOST"] == {"value": "db2"}
    assert drafted(system, service) == {"POOL": 42}


def test_undo_takes_back_ones_own_edit_and_not_the_others(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    set_(one, "POOL", "41")
    set_(other, "HOST", "db2")
    one.page.keyboard.press("Escape")
    one.page.get_by_role("button", name="Undo my last edit").click()

    expect(one.page.locator("[data-moved]")).to_have_text("Your last edit is undone.")
    expect(one.key("POOL")).to_have_attribute("data-status", "same")
    assert drafted(system, service) == {"HOST": "db2"}

    other.page.keyboard.press("Escape")
    other.page.locator("h1").click()
    other.page.keyboard.press("Control+z")
    expect(other.key("HOST")).to_have_attribute("data-status", "same")
    assert drafted(system, service) == {}


def test_undo_of_what_the_other_changed_since_shows_both_sides(
    tabs: tuple[Tab, Tab], system: System, service: str
) -> None:
    one, other = tabs
    set_(one, "POOL", "41")
    one.page.keyboard.press("Escape")
    set_(other, "POOL", "42")
    expect(one.key("POOL").locator('[data-field="preview"]')).to_have_text("42")

    one.page.get_by_role("button", name="Undo my last edit").click()

    expect(one.page.get_by_role("alert")).to_contain_text("ben changed POOL")
    assert drafted(system, service) == {"POOL": 42}
    one.page.get_by_role("button", name="Keep this key, undo the rest").click()
    expect(one.page.get_by_text("Your last edit is undone.")).to_be_visible()
    assert drafted(system, service) == {"POOL": 42}
