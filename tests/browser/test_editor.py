"""The editor: what is typed is saved, or the page says that it is not; two people lose nothing."""

import re
import time

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import NewTab
from tests.parts.browser import Tab
from tests.parts.servers import wait_until
from tests.parts.system import System


def draft(system: System, service: str) -> dict[str, object]:
    status, found = system.call("GET", f"/services/{service}/environments/dev/draft")
    assert status == 200, found
    return dict(found)


def drafted(system: System, service: str) -> dict[str, object]:
    """{key: value} that the draft sets."""
    return dict(draft(system, service)["set"])  # type: ignore[call-overload]  # JSON


def edit(tab: Tab, key: str) -> None:
    tab.key(key).locator("[data-edit]").click()


def field(tab: Tab, key: str) -> Locator:
    return tab.key(key).locator("[data-single]")


def add(tab: Tab, key: str) -> None:
    tab.page.get_by_label("New key").fill(key)
    tab.page.get_by_label("New key").press("Enter")


@pytest.fixture
def editor(tab: Tab, system: System, service: str) -> Tab:
    """The editor of a service with POOL = 10, ID = a 64-bit number and a file of three lines."""
    values = {"POOL": 10, "ID": 12345678901234567890, "nginx.conf": "server {\n  listen 80;\n}\n"}
    system.publish(service, "dev", values)
    tab.open(f"/services/{service}/dev/config/")
    tab.wait_live()
    return tab


def test_typing_saves_itself_once_it_pauses(editor: Tab, system: System, service: str) -> None:
    edit(editor, "POOL")
    field(editor, "POOL").fill("25")
    expect(editor.page.locator("[data-save]")).to_have_text("Saving…")
    assert drafted(system, service) == {}

    editor.wait_saved()

    assert drafted(system, service) == {"POOL": 25}
    expect(editor.key("POOL").locator('[data-field="word"]')).to_have_text("Changed")
    expect(editor.page.locator("[data-draft-size]")).to_have_text("1 change")


def test_leaving_a_field_saves_at_once(editor: Tab, system: System, service: str) -> None:
    edit(editor, "POOL")
    field(editor, "POOL").fill("26")
    began = time.monotonic()
    editor.page.get_by_label("Filter keys").focus()

    wait_until(lambda: drafted(system, service) == {"POOL": 26}, what="the draft has POOL = 26")

    assert time.monotonic() - began < 0.6


def test_a_key_of_every_kind_is_added(editor: Tab, system: System, service: str) -> None:
    for key, kind, text in (
        ("A_TEXT", "string", "hello"), ("A_NUMBER", "number", "-1.5"), ("AN_OBJECT", "json", '{"a": [1]}'),
    ):  # fmt: skip
        add(editor, key)
        editor.key(key).get_by_label(f"Kind of {key}").select_option(kind)
        if kind == "json":
            editor.key(key).locator(".cm-content").click()
            editor.page.keyboard.insert_text(text)
        else:
            field(editor, key).fill(text)
        editor.wait_saved()
    add(editor, "A_SWITCH")
    editor.key("A_SWITCH").get_by_label("Kind of A_SWITCH").select_option("boolean")
    editor.key("A_SWITCH").locator("[data-boolean]").select_option("true")
    add(editor, "NOTHING")
    editor.key("NOTHING").get_by_label("Kind of NOTHING").select_option("null")
    editor.wait_saved()

    assert drafted(system, service) == {
        "A_TEXT": "hello", "A_NUMBER": -1.5, "AN_OBJECT": {"a": [1]}, "A_SWITCH": True, "NOTHING": None,
    }  # fmt: skip


def test_a_file_is_edited_as_text_in_a_large_area(
    editor: Tab, system: System, service: str
) -> None:
    edit(editor, "nginx.conf")
    area = editor.key("nginx.conf").locator(".cm-content")
    area.click()
    editor.page.keyboard.press("Control+End")
    editor.page.keyboard.insert_text("# tuned\n")
    editor.wait_saved()

    assert drafted(system, service) == {"nginx.conf": "server {\n  listen 80;\n}\n# tuned\n"}
    box = editor.key("nginx.conf").locator(".cm-editor").bounding_box()
    assert box is not None
    assert (box["height"] >= 150, box["width"] >= 800) == (True, True)
    editor.page.keyboard.press("Tab")
    assert editor.page.evaluate("document.activeElement.tagName") != "CONFIG-TEXT", "Tab is trapped"


def test_a_64_bit_number_is_shown_and_kept_exactly(
    editor: Tab, system: System, service: str
) -> None:
    expect(editor.key("ID").locator('[data-field="preview"]')).to_have_text("12345678901234567890")
    edit(editor, "ID")
    field(editor, "ID").fill("12345678901234567891")
    editor.wait_saved()

    assert drafted(system, service) == {"ID": 12345678901234567891}


def test_a_key_is_removed_and_a_change_undone(editor: Tab, system: System, service: str) -> None:
    editor.key("POOL").get_by_role("button", name="Remove POOL").click()
    expect(editor.key("POOL").locator('[data-field="word"]')).to_have_text("Removed")
    editor.wait_saved()
    assert draft(system, service)["unset"] == ["POOL"]

    editor.key("POOL").get_by_role("button", name="Undo the change of POOL").click()
    expect(editor.page.locator("[data-draft-size]")).to_have_text("No changes")
    editor.wait_saved()

    assert draft(system, service)["changes"] == []


def test_an_added_key_that_is_undone_is_gone(editor: Tab, system: System, service: str) -> None:
    add(editor, "NEW")
    field(editor, "NEW").fill("x")
    editor.wait_saved()

    editor.key("NEW").get_by_role("button", name="Undo the change of NEW").click()

    expect(editor.key("NEW")).to_have_count(0)
    assert drafted(system, service) == {}


def test_what_is_no_number_is_said_at_the_key_and_stays_typed(
    editor: Tab, system: System, service: str
) -> None:
    edit(editor, "POOL")
    field(editor, "POOL").fill("many")
    expect(editor.key("POOL").locator("[data-error]")).to_contain_text("Write a number")
    expect(editor.page.locator("[data-save]")).to_contain_text("Not saved")

    editor.page.keyboard.press("Escape")
    expect(field(editor, "POOL")).to_have_value("many")
    assert drafted(system, service) == {}
    field(editor, "POOL").fill("11")
    editor.wait_saved()

    assert drafted(system, service) == {"POOL": 11}


def test_what_the_server_refuses_is_said_at_the_key(
    editor: Tab, system: System, service: str
) -> None:
    editor.allow("status of 422")
    add(editor, "pool")  # the same environment variable as POOL
    field(editor, "pool").fill("x")

    expect(editor.key("pool").locator("[data-error]")).to_contain_text("environment variable POOL")
    expect(editor.page.locator("[data-save]")).to_contain_text("Not saved")
    assert drafted(system, service) == {}


def test_a_bad_name_never_leaves_the_page(editor: Tab, system: System, service: str) -> None:
    page = editor.page
    page.get_by_label("New key").fill("1 BAD")
    page.get_by_label("New key").press("Enter")

    assert page.get_by_label("New key").evaluate("field => field.matches(':invalid')")
    expect(editor.key("1 BAD")).to_have_count(0)
    assert drafted(system, service) == {}


def test_while_the_server_is_away_nothing_is_called_saved(
    editor: Tab, system: System, service: str
) -> None:
    editor.allow("ERR_FAILED", "Failed to load resource")
    editor.page.route("**/draft", lambda route: route.abort())
    edit(editor, "POOL")
    field(editor, "POOL").fill("27")

    expect(editor.page.locator("[data-save]")).to_contain_text("the server does not answer")
    expect(editor.key("POOL").locator('[data-field="word"]')).to_have_text("Not saved")
    editor.page.unroute("**/draft")
    editor.wait_saved()

    assert drafted(system, service) == {"POOL": 27}


def test_typing_on_while_a_save_is_under_way_loses_nothing(
    editor: Tab, system: System, service: str
) -> None:
    def late(route: Route) -> None:
        editor.page.wait_for_timeout(300)
        route.continue_()

    editor.page.route("**/draft", late)
    edit(editor, "POOL")
    field(editor, "POOL").press("End")
    for digit in "123456":
        editor.page.keyboard.type(digit)
        editor.page.wait_for_timeout(350)
    editor.wait_saved()

    expect(field(editor, "POOL")).to_have_value(re.compile(r"123456$"))
    shown = field(editor, "POOL").input_value()
    assert drafted(system, service) == {"POOL": int(shown)}


def test_two_people_at_different_keys_never_meet(
    editor: Tab, new_tab: NewTab, system: System, service: str
) -> None:
    other = new_tab()
    other.open(f"/services/{service}/dev/config/")
    edit(editor, "POOL")
    edit(other, "ID")
    field(editor, "POOL").fill("41")
    field(other, "ID").fill("42")
    editor.wait_saved()
    other.wait_saved()

    assert drafted(system, service) == {"POOL": 41, "ID": 42}
    expect(editor.key("ID").locator('[data-field="preview"]')).to_have_text("42")
    expect(other.key("POOL").locator('[data-field="preview"]')).to_have_text("41")


@pytest.mark.parametrize(("choice", "value"), [("Keep theirs", 77), ("Use mine", 88)])
def test_two_people_at_the_same_key_see_both_values_and_decide(
    editor: Tab, system: System, service: str, choice: str, value: int
) -> None:
    editor.allow("status of 412")
    _type_over_somebody_elses(editor, system, service, {"set": {"POOL": 77}})

    conflict = editor.key("POOL").locator("[data-conflict]")
    expect(conflict).to_contain_text("token:admin set POOL to this while you were typing")
    expect(conflict.locator("[data-conflict-theirs]")).to_have_text("77")
    expect(field(editor, "POOL")).to_have_value("88")
    assert drafted(system, service) == {"POOL": 77}
    conflict.get_by_role("button", name=choice).click()

    expect(field(editor, "POOL")).to_have_value(str(value))
    expect(conflict).to_be_hidden()
    editor.wait_saved()
    assert drafted(system, service) == {"POOL": value}


@pytest.mark.parametrize(("choice", "left"), [("Keep theirs", {}), ("Use mine", {"POOL": 88})])
def test_a_key_that_somebody_removed_while_one_typed_is_decided_as_well(
    editor: Tab, system: System, service: str, choice: str, left: dict[str, int]
) -> None:
    editor.allow("status of 412")
    _type_over_somebody_elses(editor, system, service, {"unset": ["POOL"]})

    conflict = editor.key("POOL").locator("[data-conflict]")
    expect(conflict).to_contain_text("token:admin removed POOL while you were typing")
    conflict.get_by_role("button", name=choice).click()

    editor.wait_saved()
    expect(editor.key("POOL")).to_have_attribute("data-status", "changed" if left else "removed")
    assert drafted(system, service) == left


def _type_over_somebody_elses(
    editor: Tab, system: System, service: str, theirs: dict[str, object]
) -> None:
    """Somebody else changes POOL between the moment one opens it and the save of 88."""
    page: Page = editor.page
    page.route("**/parts/**/config/", lambda route: route.abort())  # their frame comes too late
    editor.allow("ERR_FAILED")
    edit(editor, "POOL")
    path = f"/services/{service}/environments/dev/draft"
    status, _ = system.call("PATCH", path, theirs, If_Match="*")
    assert status == 200
    field(editor, "POOL").fill("88")
    page.unroute("**/parts/**/config/")


def test_an_open_key_that_nobody_touched_follows_what_others_make_of_it(
    editor: Tab, system: System, service: str
) -> None:
    edit(editor, "POOL")
    path = f"/services/{service}/environments/dev/draft"
    system.call("PATCH", path, {"set": {"POOL": 55}}, If_Match="*")

    expect(field(editor, "POOL")).to_have_value("55")
    field(editor, "POOL").fill("56")
    editor.wait_saved()
    assert drafted(system, service) == {"POOL": 56}


def test_the_filter_finds_names_and_values_and_stands_in_the_address(editor: Tab) -> None:
    page = editor.page
    page.keyboard.press("/")
    page.keyboard.type("listen")
    expect(editor.page.locator(".key:visible")).to_have_count(1)
    expect(editor.key("nginx.conf")).to_be_visible()
    assert page.url.endswith("?q=listen")

    page.reload()

    expect(page.locator(".key:visible")).to_have_count(1)
    page.get_by_label("Filter keys").fill("no such thing")
    expect(page.get_by_text("No key matches the filter.")).to_be_visible()


def test_five_thousand_keys_are_usable(tab: Tab, system: System, service: str) -> None:
    system.publish(service, "dev", {f"KEY_{n:04d}": f"value {n}" for n in range(5000)})
    tab.open(f"/services/{service}/dev/config/")

    tab.page.get_by_label("Filter keys").fill("value 4999")

    expect(tab.key("KEY_4999")).to_be_visible()
    expect(tab.page.locator(".key:visible")).to_have_count(1)
    edit(tab, "KEY_4999")
    field(tab, "KEY_4999").fill("changed")
    tab.wait_saved()
    assert drafted(system, service) == {"KEY_4999": "changed"}


def test_a_release_by_somebody_else_is_told_and_laid_under_the_draft(
    editor: Tab, system: System, service: str
) -> None:
    system.publish(service, "dev", {"POOL": 99})

    expect(editor.page.locator("[data-moved]")).to_contain_text("token:admin published r2")
    expect(editor.key("POOL").locator('[data-field="preview"]')).to_have_text("99")
    expect(editor.page.locator("[data-draft-base]")).to_have_text("on r2")
