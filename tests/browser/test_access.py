"""Every page for everybody: axe without a violation, both themes, 320 pixels, the keyboard alone."""

import sys
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import NewTab
from tests.parts.browser import NARROW, NARROWEST, WIDE, Tab, a_tab
from tests.parts.servers import wait_until
from tests.parts.system import System

SERVICE = "every-page"
NGINX = "worker_processes 1;\nserver {\n  listen 8080;\n  location / { return 200 'ok'; }\n}\n"
SLEEPS = "import time\nwhile True: time.sleep(1)"
DEPLOY_HOOK = {
    "name": "every-hook", "kind": "dockerhub", "service": SERVICE, "environment": "dev",
    "mapping": {"set": {"TAG": {"pointer": "/tga"}}}, "secret": "of-every-page-in-every-state",
}  # fmt: skip
TRUST = {
    "name": "every-trust", "issuer": "https://gitlab.com", "audience": "https://confhub.example",
    "claims": {"project_path": "acme/shop"}, "person": "admin",
    "reach": [{"verbs": ["publish"], "service": SERVICE, "environment": "dev"}],
}  # fmt: skip
PUBLISH_HOOK = {
    "name": "every-hook", "when": "before", "url": "https://policy.invalid/confhub", "on": False,
}  # fmt: skip


@pytest.fixture(scope="package")
def pages(system: System) -> dict[str, str]:
    """{what it shows: its path} of every page in its states, in a service made for it."""
    call = system.call
    call("POST", "/services", {"slug": SERVICE, "description": "It has every page in every state"})
    call("POST", "/services", {"slug": "empty-service"})
    system.publish(
        SERVICE, "dev", {"POOL": 10, "GONE": "x", "nginx.conf": NGINX, "FLAGS": {"a": [1]}}
    )
    system.publish(SERVICE, "dev", {"POOL": 20, "nginx.conf": NGINX.replace("8080", "80")})
    system.publish(SERVICE, "prod", {"POOL": 1})
    system.run(SERVICE, "dev", sys.executable, "-c", SLEEPS)
    draft = f"/services/{SERVICE}/environments/{{}}/draft"
    call("PATCH", "/layers/global/draft", {"set": {"TZ": "UTC"}}, If_Match="*")
    edits = {
        "set": {
            "POOL": 30,
            "NEW": "",
            "PASSWORD": {"$secret": "horse"},
            "nginx.conf": NGINX + "# more\n",
        },
        "unset": ["GONE"],
    }
    call("PATCH", draft.format("dev"), edits, If_Match="*")
    call("PATCH", draft.format("prod"), {"set": {"POOL": 2}}, If_Match="*")
    call("PATCH", draft.format("staging"), {"set": {"POOL": 3}}, If_Match="*")
    system.publish(SERVICE, "staging", {"POOL": 4})
    _overlap(system)
    asked = {"message": "Ask for it, although nobody has to"}
    request = call("POST", f"/services/{SERVICE}/environments/dev/requests", asked)[1]["id"]
    call("POST", "/trusts", TRUST)
    call("POST", "/publish-hooks", PUBLISH_HOOK)
    call("POST", "/webhooks", {"name": "every-webhook", "to": "https://hooks.example.com/confhub"})
    call("POST", "/deploy-hooks", DEPLOY_HOOK)
    call("POST", "/hooks/deploy/every-hook?key=of-every-page-in-every-state", {"tag": "1"})
    call("POST", "/tokens", {"name": "every-token", "reach": TRUST["reach"], "expires_in_days": 7})
    instances = f"/services/{SERVICE}/environments/dev/instances"
    wait_until(lambda: bool(call("GET", instances)[1]["items"]), what="an instance", timeout_s=30)
    instance = call("GET", instances)[1]["items"][0]["id"]
    scope = f"/services/{SERVICE}/dev/"
    return {
        "services": "/services/", "no-service-matches": "/services/?q=payy",
        "environments": "/environments/", "service": f"/services/{SERVICE}/", "live": scope,
        "live-empty": "/services/empty-service/dev/", "config": f"{scope}config/",
        "config-empty": "/services/empty-service/dev/config/", "key": f"{scope}config/key/?key=POOL",
        "key-new": f"{scope}config/key/?key=OTHER", "review": f"{scope}review/",
        "review-empty": "/services/empty-service/dev/review/",
        "review-protected": f"/services/{SERVICE}/prod/review/",
        "review-overlaps": f"/services/{SERVICE}/staging/review/",
        "releases": f"{scope}releases/", "releases-empty": "/services/empty-service/dev/releases/",
        "release": f"{scope}releases/2/", "release-live": f"{scope}releases/1/?against=live",
        "rollback": f"{scope}releases/1/rollback/",
        "rollback-nothing": f"{scope}releases/2/rollback/", "instance": f"{scope}instances/{instance}/",
        "not-found": "/services/nothing/", "environment": "/environments/prod/",
        "requests": "/requests/", "request": f"/requests/{request}/",
        "edits": f"{scope}config/edits/", **_of_everything(scope),
    }  # fmt: skip


def _of_everything(scope: str) -> dict[str, str]:
    """Layers, schema, texts, imports, what stands side by side, people and the audit."""
    return {
        "layers": "/layers/", "layer": "/layers/global/", "layer-review": "/layers/global/review/",
        "layer-releases": "/layers/global/releases/", "layer-key": "/layers/global/key/?key=TZ",
        "layer-raw": "/layers/global/raw/?format=yaml", "raw": f"{scope}config/raw/?format=yaml",
        "raw-toml": f"{scope}config/raw/?format=toml", "import": f"{scope}config/import/",
        "schema": f"/services/{SERVICE}/schema/", "all": f"/services/{SERVICE}/all/",
        "all-key": f"/services/{SERVICE}/all/key/?key=POOL",
        "promote": f"/services/{SERVICE}/all/promote/?from=dev&to=prod",
        "compare": f"/compare/?a={SERVICE}@dev&b={SERVICE}@prod",
        "compare-three": f"/compare/?a={SERVICE}@dev&b={SERVICE}@prod&c={SERVICE}@dev/draft",
        "search": f"/search/?q={SERVICE}", "search-nothing": "/search/?q=nowhere-at-all",
        "people": "/people/", "person": "/people/admin/", "audit": "/audit/",
        "tokens": "/tokens/?all=1", "trusts": "/trusts/", "trust": "/trusts/every-trust/",
        "publish-hooks": "/publish-hooks/", "publish-hook": "/publish-hooks/every-hook/",
        "deploy-hooks": "/deploy-hooks/", "deploy-hook": "/deploy-hooks/every-hook/",
        "webhooks": "/webhooks/", "webhook": "/webhooks/every-webhook/",
        "webhook-remove": "/webhooks/every-webhook/remove/",
        "secret-key": f"{scope}config/key/?key=PASSWORD",
        "reveal": f"{scope}config/reveal/?key=PASSWORD",
    }  # fmt: skip


def _overlap(system: System) -> None:
    """The draft of staging changes a key that is published after it was begun."""
    path = f"/services/{SERVICE}/environments/staging/draft"
    system.call("PATCH", path, {"set": {"POOL": 5}}, If_Match="*")
    system.publish(SERVICE, "staging", {"POOL": 6})


NAMES = [
    "services", "no-service-matches", "environments", "service", "live", "live-empty", "config",
    "config-empty", "key", "key-new", "review", "review-empty", "review-protected",
    "review-overlaps", "releases", "releases-empty", "release", "release-live", "rollback",
    "rollback-nothing", "instance", "not-found", "environment", "requests", "request",
    "edits", "layers", "layer", "layer-review", "layer-releases", "layer-key", "layer-raw", "raw",
    "raw-toml", "import", "schema", "all", "all-key", "promote", "compare", "compare-three",
    "search", "search-nothing", "people", "person", "audit", "webhooks", "webhook", "webhook-remove", "tokens", "trusts", "trust", "publish-hooks", "publish-hook", "deploy-hooks", "deploy-hook", "secret-key", "reveal",
]  # fmt: skip


def test_no_page_is_left_out(pages: dict[str, str]) -> None:
    assert sorted(pages) == sorted(NAMES)


def test_every_path_is_the_page_it_is_called(new_tab: NewTab, pages: dict[str, str]) -> None:
    """The tests below would find nothing wrong with the page that says "not found"."""
    tab = new_tab()
    address = tab.open("/services/").url.removesuffix("/services/")
    statuses = {
        name: tab.page.request.get(f"{address}{path}").status for name, path in pages.items()
    }

    assert statuses.pop("not-found") == 404
    assert {name: status for name, status in statuses.items() if status != 200} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(
    new_tab: NewTab, pages: dict[str, str], size: tuple[int, int], scheme: str
) -> None:
    tab = new_tab(size=size, color_scheme=scheme, reduced_motion="reduce")
    tab.allow("404")
    found: dict[str, Any] = {}
    for name, path in pages.items():
        tab.open(path)
        if tab.page.locator("live-root").count():
            tab.wait_live()
        if violations := tab.axe():
            found[name] = violations

    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_a_key_is_open(
    new_tab: NewTab, pages: dict[str, str], scheme: str
) -> None:
    tab = new_tab(color_scheme=scheme, reduced_motion="reduce")
    page = tab.open(pages["config"])
    found: dict[str, Any] = {}
    tab.key("POOL").locator("[data-edit]").click()
    tab.key("POOL").locator("[data-single]").fill("no number")
    found["unreadable"] = tab.axe()
    tab.key("POOL").locator("[data-single]").fill("30")
    tab.key("nginx.conf").locator("[data-edit]").click()
    tab.key("nginx.conf").locator(".cm-content").wait_for()
    found["file"] = tab.axe()
    page.get_by_label("Only changed").check()
    found["changed only"] = tab.axe()

    assert {name: each for name, each in found.items() if each} == {}


def test_axe_finds_nothing_on_the_sign_in_page(browser: Browser, system: System) -> None:
    for scheme in ("light", "dark"):
        with a_tab(browser, system, size=NARROW, color_scheme=scheme) as tab:
            page = tab.open("/sign-in/")
            assert tab.axe() == []
            page.get_by_label("Username").fill("admin")
            page.get_by_label("Password").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_be_visible()
            assert tab.axe() == []


@pytest.mark.parametrize("size", [NARROWEST, (768, 900)], ids=lambda size: str(size[0]))
def test_no_page_scrolls_sideways_and_every_target_is_large_enough(
    new_tab: NewTab, pages: dict[str, str], size: tuple[int, int]
) -> None:
    tab = new_tab(size=size)
    tab.allow("404")
    sideways, small = [], {}
    for name, path in pages.items():
        tab.open(path)
        if name == "config":
            tab.key("nginx.conf").locator("[data-edit]").click()
            tab.key("nginx.conf").locator(".cm-content").wait_for()
        if tab.scrolls_sideways():
            sideways.append(name)
        if targets := tab.page.evaluate(SMALL_TARGETS):
            small[name] = targets

    assert (sideways, small) == ([], {})


# WCAG 2.2, 2.5.8: 24 by 24 pixels, but for links in a sentence, whose height the line gives.
SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, input, select, textarea, summary')]
  .filter((element) => element.checkVisibility({visibilityProperty: true}) && !element.closest('p, dd, .visually-hidden, .skip, .cm-editor'))
  .map((element) => [element.outerHTML.slice(0, 90), element.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.height < 23.5 || box.width < 23.5))
  .map(([html, box]) => `${html} ${box.width}x${box.height}`)"""


def test_the_whole_way_is_gone_by_keyboard_alone(tab: Tab, system: System, service: str) -> None:
    page = tab.open(f"/services/{service}/dev/config/")
    page.evaluate(
        "document.addEventListener('pointerdown', (event) => event.isTrusted && console.error('a mouse'))"
    )
    _tab_to(tab, "#new-key")
    page.keyboard.type("POOL")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Num")
    page.keyboard.press("Tab")
    page.keyboard.type("10")
    tab.wait_saved()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.key[data-key=POOL] [data-edit]')")
    page.keyboard.press("r")
    page.wait_for_url("**/review/")
    _tab_to(tab, "#id_message")
    page.keyboard.type("By keyboard")
    _tab_to(tab, "[data-confirmed]")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{service}/dev/")
    expect(page.locator(".release-head")).to_contain_text("By keyboard")

    system.publish(service, "dev", {"POOL": 20})
    expect(page.locator(".release-head")).to_contain_text("r2")
    _tab_to(tab, "a:has-text('Roll back…')")
    page.keyboard.press("Enter")
    _tab_to(tab, "a:has-text('Roll back to r1…')")
    page.keyboard.press("Enter")
    _tab_to(tab, "[data-confirmed]")
    page.keyboard.press("Enter")
    expect(page.locator(".release-head")).to_contain_text("content of r1")


def _tab_to(tab: Tab, selector: str) -> None:
    """Press Tab until `selector` has the focus; what has it is never hidden behind a bar."""
    wanted = tab.page.locator(selector).first
    wanted.wait_for()
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            box = wanted.bounding_box()
            assert box is not None
            at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
            assert wanted.evaluate(
                "(element, at) => element.contains(document.elementFromPoint(at.x, at.y))", at
            ), f"{selector} has the focus behind something"
            return
        tab.page.keyboard.press("Tab")
    raise AssertionError(f"80 times Tab did not reach {selector}")


def test_the_chosen_theme_stays(tab: Tab) -> None:
    page = tab.open("/services/")
    page.get_by_label("Theme").select_option("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(page.url)

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert background != "rgb(247, 248, 250)"


def test_nothing_moves_for_who_asked_for_that(new_tab: NewTab, pages: dict[str, str]) -> None:
    tab = new_tab(reduced_motion="reduce")
    tab.open(pages["live"])

    assert tab.page.evaluate("document.getAnimations().length") == 0


def test_a_protected_environment_cannot_be_mistaken(tab: Tab, pages: dict[str, str]) -> None:
    page = tab.open(pages["review-protected"])

    expect(page).to_have_title(f"{SERVICE} / PROD · Review · ConfHub")
    assert page.evaluate("getComputedStyle(document.body).borderTopWidth") == "4px"
    assert "square" in (page.locator('link[rel="icon"]').get_attribute("href") or "")
    publish = page.get_by_role("button", name="Publish r2 to prod")
    expect(publish).to_be_disabled()
    page.get_by_label("Type prod to confirm").fill("prod")
    expect(publish).to_be_enabled()
