"""A webhook made, tried and switched off in a browser, with scripts and without; its states with axe."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewTab
from tests.parts.browser import NARROWEST, WIDE
from tests.parts.system import System

TO = "https://hooks.example.com/confhub"
SWITCH_OFF = (
    "from confhub.webhooks.models import Webhook; from confhub.webhooks.switching import switch_off; "
    "from confhub.core import clock; "
    "switch_off(Webhook.objects.get(name='{}').pk, 'Nothing arrived for three days.', now=clock.now())"
)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_a_webhook_from_its_form_to_its_end(
    new_tab: NewTab, system: System, service: str, scripts: bool
) -> None:
    name = f"of-{service}"
    page = new_tab(java_script_enabled=scripts).open("/webhooks/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Address", exact=True).fill(TO)
    page.get_by_label("Service", exact=True).select_option(service)
    page.get_by_label("An instance failed to take a release").check()
    page.get_by_role("button", name="Make webhook").click()

    secret = page.get_by_role("region", name="Its secret, shown only now")
    expect(secret).to_contain_text(re.compile(r"whsec_[A-Za-z0-9+/=]{40,}"))
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status").filter(has_text="A test is on its way")).to_be_visible()
    assert "whsec_" not in page.content()
    expect(page.get_by_role("row").filter(has_text="test")).to_have_count(1)

    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("button", name="Switch on", exact=True)).to_be_visible()
    assert system.call("GET", f"/webhooks/{name}")[1]["on"] is False

    page.get_by_role("link", name="Remove…").click()
    page.get_by_role("button", name="Remove webhook").click()
    expect(page.get_by_text(f"{name} is removed.")).to_be_visible()
    assert system.call("GET", f"/webhooks/{name}")[0] == 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROWEST], ids=["wide", "narrowest"])
def test_one_that_was_switched_off_is_told_accessibly(
    new_tab: NewTab, system: System, service: str, size: tuple[int, int], scheme: str
) -> None:
    name = f"off-{service}"
    made = system.call("POST", "/webhooks", {"name": name, "to": f"{TO}/{'long' * 60}"})
    assert made[0] == 201, made
    delivery = system.call("POST", f"/webhooks/{name}/test")[1]["id"]
    system.manage("shell", "-c", SWITCH_OFF.format(name))
    tab = new_tab(size=size, color_scheme=scheme, reduced_motion="reduce")
    found: dict[str, Any] = {}
    one = f"/webhooks/{name}/"
    for path in ("/webhooks/", one, f"{one}deliveries/{delivery}/", f"{one}remove/"):
        page = tab.open(path)
        expect(page.get_by_role("alert").filter(has_text=name)).to_contain_text("three days")
        found |= {path: tab.axe()} if tab.axe() else {}
        assert not tab.scrolls_sideways(), path
    page = tab.open(one)
    page.get_by_role("button", name="New secret").click()
    found |= {"secret": tab.axe()} if tab.axe() else {}
    assert not tab.scrolls_sideways()

    assert found == {}
    assert system.call("DELETE", f"/webhooks/{name}")[0] == 204
