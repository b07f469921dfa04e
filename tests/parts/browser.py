"""A real Chromium, and tabs that fail their test for anything a user would call broken."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request

from tests.parts.require import missing
from tests.parts.system import PASSWORD, ROOT, System

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
FRONT_END = ROOT / "dashboard" / "frontend"
AXE = FRONT_END / "node_modules" / "axe-core" / "axe.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SAVED = re.compile(r"^Saved \d")
WIDE, NARROW, NARROWEST = (1280, 800), (375, 740), (320, 640)

# Violations of the policy reach the console as errors, but not all of them do so in every version.
_TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (event) =>
  console.error('CSP: ' + event.violatedDirective + ' ' + event.blockedURI));
"""


def chromium() -> str:
    """The browser's path; ends the test where there is none or the front end is not built."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("browser", "chromium is not on PATH")
    if not (FRONT_END / "dist" / "manifest.json").is_file() or not AXE.is_file():
        missing(
            "browser", "the front end is not built: npm ci && npm run build in dashboard/frontend"
        )
    return found


class Tab:
    """One page of one context, with everything that went wrong in it."""

    def __init__(self, context: BrowserContext, system: System) -> None:
        self.context = context
        self.system = system
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.broken: list[str] = []
        self.allowed: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.broken.append(f"exception: {error}"))
        self.page.on("requestfailed", self._failed)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.broken.append(f"{kind}: {text}")

    def _failed(self, request: Request) -> None:
        # A fetch that a navigation ends is no failure of anybody.
        if "ERR_ABORTED" not in str(request.failure):
            self.broken.append(f"request failed: {request.method} {request.url} {request.failure}")

    def allow(self, *words: str) -> None:
        """Let pass what the test itself breaks: messages that hold one of `words`."""
        self.allowed.extend(words)

    def check(self) -> None:
        found = [text for text in self.broken if not any(word in text for word in self.allowed)]
        assert found == [], found

    def open(self, path: str) -> Page:
        self.page.goto(self.system.url + path)
        return self.page

    def sign_in(self) -> None:
        page = self.open("/sign-in/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/services/")

    def wait_live(self) -> None:
        self.page.locator('live-root[data-state="live"]').wait_for()

    def wait_saved(self) -> None:
        """Until the editor says that all that was typed is saved."""
        self.page.locator("[data-save]", has_text=SAVED).wait_for()

    def key(self, name: str) -> Locator:
        """The row of one key in the editor."""
        return self.page.locator(f'.key[data-key="{name}"]')

    def tile(self, instance_id: str = "") -> Locator:
        """An instance's tile; the first one unless its id is given."""
        if instance_id:
            return self.page.locator(f'.tile[data-id="{instance_id}"]')
        return self.page.locator("[data-tiles] > .tile").first

    def scrolls_sideways(self) -> bool:
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(script))

    def axe(self) -> list[dict[str, Any]]:
        """What axe-core finds: [{"id", "help", "targets"}]. Runs under the page's own policy."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", AXE_TAGS
        )
        return [
            {
                "id": each["id"],
                "help": each["help"],
                "targets": [node["html"][:160] for node in each["nodes"]][:4],
            }
            for each in found["violations"]
        ]


@contextmanager
def a_tab(browser: Browser, system: System, **options: Any) -> Iterator[Tab]:
    """A tab in a context of its own; checked at the end."""
    width, height = options.pop("size", WIDE)
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.add_init_script(_TELL_VIOLATIONS)
    tab = Tab(context, system)
    try:
        yield tab
        tab.check()
    finally:
        context.close()


def signed_in_state(browser: Browser, system: System, path: Path) -> dict[str, Any]:
    """The cookies of admin's session, so that not every test has to sign in."""
    with a_tab(browser, system) as tab:
        tab.sign_in()
        tab.context.storage_state(path=path)
    state: dict[str, Any] = json.loads(path.read_text())
    return state
