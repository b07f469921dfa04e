"""The editor in Chromium at 5,000 keys, 500 of them drafted: `python -m benchmarks.editor`, and in `make bench`.

The whole system runs as child processes, and a Chromium without a screen opens its pages: the table
of keys, the text of the draft, the review. A time begins with the act (the key's own event, or the
navigation) and ends once the frame after it is painted: act, requestAnimationFrame, MessageChannel,
the clock. So each holds the wait for the next frame, 16.7 ms at most. Every page is opened in a
context of its own, whose cache is empty. The table draws 300 rows at once; "all rows" is after
somebody asked for more until there were no more.
"""

import argparse
import contextlib
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from confhub.releases.diff import diff
from tests.parts.browser import FLAGS, FRONT_END, Tab, a_tab, signed_in_state
from tests.parts.system import System

KEYS, CHANGED = 5000, 500
OPENINGS, DIFFS, FRAMES = 10, 15, 120
SERVICE = "large"
PAGE = f"/services/{SERVICE}/dev"
WORDS = ("key_49", "value 4999", "of nothing", "drafted 12", "_0500")  # typed, then deleted again
TYPED = "postgres://user:word@host.example:5432/name?sslmode=verify-full"

# In milliseconds; the 95th percentile is held against them.
BARS = {
    "editor usable": 1000.0,
    "filter keystroke": 60.0,
    "scroll frame": 40.0,
    "edit keystroke": 60.0,
    "scroll frame, all rows": 40.0,
    "edit keystroke, all rows": 60.0,
    "raw mode open": 800.0,
    "raw keystroke": 100.0,
    "key difference": 150.0,
    "review painted": 1000.0,
}

# `opened`: when the page of this document stood, in ms after the navigation began. `times`: from a
# key's event to the frame that shows what it did.
IN_PAGE = """
(() => {
  const channel = new MessageChannel();
  const waiting = [];
  channel.port1.onmessage = () => waiting.shift()();
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    waiting.push(() => done(performance.now()));
    channel.port2.postMessage(0);
  }));
  const stands = () => document.querySelector('config-editor [data-more] button')
    ?? document.querySelector('raw-editor config-text')?.shadowRoot?.querySelector('.cm-line')
    ?? document.querySelectorAll('.diff-key')[CHANGED - 1];
  const opened = (async () => {
    let at = performance.now();
    while (!stands()) at = await painted();
    return painted();
  })();
  const bench = { opened, times: [], last: Promise.resolve() };
  let began = 0;
  addEventListener('keydown', (event) => { began = event.timeStamp; }, true);
  addEventListener('input', (event) => {
    if (!event.isTrusted) return;
    bench.last = painted().then((now) => bench.times.push(now - began));
  }, true);
  bench.scroll = async (frames) => {
    const times = [];
    for (let frame = 0; frame < frames; frame++) {
      const from = performance.now();
      scrollBy(0, frame < frames / 2 ? 240 : -240);
      times.push(await painted() - from);
    }
    return times;
  };
  window.bench = bench;
})();
""".replace("CHANGED", str(CHANGED))


@dataclass(frozen=True)
class Figure:
    """One bar's times in milliseconds."""

    ms: list[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.ms)

    @property
    def p95(self) -> float:
        return sorted(self.ms)[math.ceil(0.95 * len(self.ms)) - 1]


def measure(system: System, browser: Browser, folder: Path) -> dict[str, Figure]:
    """By the names of BARS. `system` runs, and has no service SERVICE yet."""
    _fill(system)
    state = signed_in_state(browser, system, folder / "state.json")

    @contextlib.contextmanager
    def opened(path: str) -> Iterator[tuple[Tab, float]]:
        with a_tab(browser, system, storage_state=state) as tab:
            tab.page.add_init_script(IN_PAGE)
            tab.open(path)
            yield tab, tab.page.evaluate("bench.opened")

    times: dict[str, list[float]] = {}
    for name, path in {
        "editor usable": f"{PAGE}/config/",
        "raw mode open": f"{PAGE}/config/raw/?format=yaml",
        "review painted": f"{PAGE}/review/",
    }.items():
        with opened(path):
            pass  # the first opening finds the server's caches empty
        for _ in range(OPENINGS):
            with opened(path) as (_, ms):
                times.setdefault(name, []).append(ms)
    with opened(f"{PAGE}/config/") as (tab, _):
        times["scroll frame"] = _scrolled(tab)
        times["filter keystroke"] = _filtered(tab)
        times["edit keystroke"] = _edited(tab, "KEY_0101")
        _show_all(tab)
        times["scroll frame, all rows"] = _scrolled(tab)
        times["edit keystroke, all rows"] = _edited(tab, "KEY_0151")
    with opened(f"{PAGE}/config/raw/?format=yaml") as (tab, _):
        times["raw keystroke"] = _in_the_text(tab)
    times["key difference"] = _differences()
    return {name: Figure(times[name]) for name in BARS}


def _fill(system: System) -> None:
    status, made = system.call("POST", "/services", {"slug": SERVICE})
    assert status == 201, made
    system.publish(SERVICE, "dev", _published())
    path = f"/services/{SERVICE}/environments/dev/draft"
    status, made = system.call("PATCH", path, {"set": _drafted()}, If_Match="*")
    assert status == 200, made


def _published() -> dict[str, str]:
    return {f"KEY_{at:04}": f"value {at}" for at in range(KEYS)}


def _drafted() -> dict[str, str]:
    return {f"KEY_{at:04}": f"drafted {at}" for at in range(0, KEYS, KEYS // CHANGED)}


def _scrolled(tab: Tab) -> list[float]:
    times: list[float] = tab.page.evaluate("frames => bench.scroll(frames)", FRAMES)
    return times


def _filtered(tab: Tab) -> list[float]:
    tab.page.locator("#q").click()
    strokes = [[*word, *["Backspace"] * len(word)] for word in WORDS]
    return _typed(tab, [stroke for word in strokes for stroke in word])


def _edited(tab: Tab, key: str) -> list[float]:
    """Type at the end of a value; it saves itself in every pause."""
    tab.key(key).locator("[data-edit]").click()
    tab.key(key).locator("[data-single]").press("End")
    times = _typed(tab, list(TYPED))
    tab.wait_saved()
    tab.page.keyboard.press("Escape")
    return times


def _show_all(tab: Tab) -> None:
    """As somebody would who asks for more until there are no more."""
    more = tab.page.locator("[data-more] button")
    while more.is_visible():
        more.click()
    assert tab.page.locator(".key").count() == KEYS


def _in_the_text(tab: Tab) -> list[float]:
    """Type into the middle of the text; it saves itself in every pause."""
    page = tab.page
    page.locator("raw-editor .cm-content").click()
    page.keyboard.press("Control+Home")
    for _ in range(30):
        page.keyboard.press("PageDown")
    page.keyboard.press("End")
    return _typed(tab, list(TYPED.replace(":", "-")))


def _typed(tab: Tab, strokes: list[str]) -> list[float]:
    """Each stroke's time to its frame; the next begins once it is painted."""
    page = tab.page
    page.evaluate("() => { bench.times = []; }")
    for stroke in strokes:
        page.keyboard.press(stroke)
        page.evaluate("bench.last")
    times: list[float] = page.evaluate("bench.times")
    assert len(times) == len(strokes), f"{len(times)} of {len(strokes)} strokes were seen"
    return times


def _differences() -> list[float]:
    """What the server does for a review: the difference by key."""
    old = {key: {"value": value} for key, value in _published().items()}
    new = old | {key: {"value": value} for key, value in _drafted().items()}
    times = []
    for _ in range(DIFFS):
        began = time.perf_counter()
        found = diff(old, new)
        times.append((time.perf_counter() - began) * 1000)
        assert len(found) == CHANGED
    return times


def words(figures: dict[str, Figure]) -> str:
    lines = [f"The editor in Chromium at {KEYS:,} keys, {CHANGED} of them drafted, act to paint:"]
    for name, figure in figures.items():
        bar = BARS[name]
        verdict = "reached" if figure.p95 <= bar else "**missed**"
        lines.append(
            f"- {name}: p50 {figure.p50:.0f} ms, p95 {figure.p95:.0f} ms of {len(figure.ms)} "
            f"(the bar is {bar:.0f} ms at p95: {verdict})."
        )
    return "\n".join(lines)


def why_not() -> str:
    """Why there is no browser to measure in; "" where there is one."""
    if _chromium() is None:
        return "chromium is not on PATH"
    built = (FRONT_END / "dist" / "manifest.json").is_file()
    return "" if built else "the front end is not built: make web"


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def measured(into: Path | None) -> str:
    """The sentences; why not, where there is no browser. Writes `editor.json` into `into`."""
    if reason := why_not():
        return f"The editor is not measured here: {reason}."
    folder = Path(tempfile.mkdtemp(prefix="confhub-editor-"))
    try:
        with sync_playwright() as playwright, System(folder) as system:
            browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
            figures = measure(system, browser, folder)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
        (into / "editor.json").write_text(json.dumps(as_json(figures)) + "\n")
    return words(figures)


def as_json(figures: dict[str, Figure]) -> dict[str, Any]:
    """{"keys", "changed", "figures": {name: {"bar_ms", "p50", "p95", "ms"}}}"""
    return {
        "keys": KEYS,
        "changed": CHANGED,
        "figures": {
            name: {"bar_ms": BARS[name], "p50": figure.p50, "p95": figure.p95, **asdict(figure)}
            for name, figure in figures.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.editor", description=__doc__)
    parser.add_argument("--into", type=Path, help="where editor.json goes; default: nowhere")
    print(measured(parser.parse_args().into))
    return 0


if __name__ == "__main__":
    sys.exit(main())
