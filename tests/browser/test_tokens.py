"""A token made, copied, rotated and revoked in a browser, with scripts and without."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewTab
from tests.parts.browser import NARROWEST, WIDE, Tab
from tests.parts.system import System

SECRET = re.compile(r"cht_[A-Za-z0-9_-]{43}")


def status(system: System, secret: str) -> int:
    return httpx.get(
        f"{system.url}/api/v1/me", headers={"Authorization": f"Bearer {secret}"}
    ).status_code


def made(tab: Tab, name: str, service: str) -> str:
    """Fill the form in as a person does, and read the secret off the page."""
    page = tab.open("/tokens/")
    page.get_by_label("Name", exact=True).fill(name)
    place = page.get_by_role("group", name="Place 1")
    place.get_by_label("Service", exact=True).select_option(service)
    place.get_by_label("Environment", exact=True).select_option("*")
    place.get_by_label("publish and roll back").check()
    page.get_by_role("button", name="Make token").click()
    return shown(tab)


def shown(tab: Tab) -> str:
    text = tab.page.get_by_role("region", name="The secret of").first
    expect(text).to_be_visible()
    found = SECRET.search(text.inner_text())
    assert found is not None
    return found[0]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_a_token_from_its_form_to_its_end(
    new_tab: NewTab, system: System, service: str, scripts: bool
) -> None:
    tab = new_tab(java_script_enabled=scripts)
    name = f"of-{service}"

    first = made(tab, name, service)
    assert status(system, first) == 200
    page = tab.open("/tokens/")
    assert first not in page.content()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text(f"see, publish for {service} in every environment")

    row.get_by_text("Rotate…").click()
    row.get_by_label("The secret until now works").select_option("0")
    row.get_by_role("button", name=f"New secret for {name}").click()
    second = shown(tab)
    assert [status(system, each) for each in (first, second)] == [401, 200]

    page = tab.open("/tokens/")
    page.get_by_role("button", name=f"Revoke {name}").click()
    expect(page.get_by_text(f"{name} is revoked.")).to_be_visible()
    assert status(system, second) == 401


def test_enter_in_the_form_makes_the_token_and_adds_no_place(tab: Tab, service: str) -> None:
    page = tab.open("/tokens/")
    place = page.get_by_role("group", name="Place 1")
    place.get_by_label("Service", exact=True).select_option(service)
    place.get_by_label("Environment", exact=True).select_option("dev")
    page.get_by_label("Name", exact=True).fill(f"enter-{service}")
    page.get_by_label("Name", exact=True).press("Enter")

    assert shown(tab)


def test_places_are_added_one_by_one(tab: Tab, service: str) -> None:
    page = tab.open("/tokens/")
    page.get_by_label("Name", exact=True).fill(f"two-{service}")
    page.get_by_label("Service", exact=True).select_option(service)
    page.get_by_role("button", name="One more place").click()

    expect(page.get_by_role("group", name="Place 2")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value(f"two-{service}")
    expect(
        page.get_by_role("group", name="Place 1").get_by_label("Service", exact=True)
    ).to_have_value(service)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROWEST], ids=["wide", "narrowest"])
def test_axe_finds_nothing_where_a_secret_stands(
    new_tab: NewTab, service: str, size: tuple[int, int], scheme: str
) -> None:
    tab = new_tab(size=size, color_scheme=scheme, reduced_motion="reduce")
    made(tab, f"axe-{service}", service)
    assert tab.axe() == []
    assert not tab.scrolls_sideways()

    page = tab.open("/tokens/")
    page.get_by_text("Rotate…").first.click()
    assert tab.axe() == []
    assert not tab.scrolls_sideways()

    page.get_by_label("Name", exact=True).fill("Not A Name")
    tab.allow("422")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_text("Choose one, or “every service”.")).to_be_visible()
    assert tab.axe() == []
