"""The whole system and a real browser, for every test of this folder."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.parts.browser import FLAGS as CHROMIUM_FLAGS
from tests.parts.browser import Tab, a_tab, chromium, signed_in_state
from tests.parts.system import System

NewTab = Callable[..., Tab]
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)
            # One system and one browser for all of them, so one worker.
            item.add_marker(pytest.mark.xdist_group("browser"))


# For the package and not for the session: Playwright's loop runs in this thread while it is open,
# and Django refuses its database to a thread with a running loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        held = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield held
        held.close()


@pytest.fixture(scope="package")
def system(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for all tests here. Make a service of your own in it, and break none of its parts."""
    with System(tmp_path_factory.mktemp("system")) as held:
        yield held


@pytest.fixture
def own_system(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system for one test, which may kill, freeze and restart its parts."""
    with System(tmp_path_factory.mktemp("own-system")) as held:
        yield held


@pytest.fixture(scope="package")
def session_state(
    browser: Browser, system: System, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return signed_in_state(browser, system, tmp_path_factory.mktemp("state") / "state.json")


@pytest.fixture
def new_tab(browser: Browser, system: System, session_state: dict[str, Any]) -> Iterator[NewTab]:
    """Makes tabs with admin's session: `new_tab(size=NARROW, color_scheme="dark")`."""
    with ExitStack() as stack:

        def make(**options: Any) -> Tab:
            options.setdefault("storage_state", session_state)
            return stack.enter_context(a_tab(browser, system, **options))

        yield make


@pytest.fixture
def tab(new_tab: NewTab) -> Tab:
    return new_tab()


@pytest.fixture
def service(system: System) -> str:
    """A new service without keys; it stands in dev, staging and (protected) prod."""
    slug = f"service-{next(_numbers)}"
    status, made = system.call("POST", "/services", {"slug": slug})
    assert status == 201, made
    return slug
