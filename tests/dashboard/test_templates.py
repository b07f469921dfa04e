"""No template needs an exception from the strict policy, and the build keeps within its budget."""

import gzip
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import Settings

from dashboard.checks import front_end_is_built
from tests.parts.require import missing

TEMPLATES = sorted((Path(settings.BASE_DIR) / "dashboard" / "templates").rglob("*.html"))
FIRST_LOAD_JS_KB, FIRST_LOAD_CSS_KB, LAZY_KB = 45, 25, 150
NOT_ALLOWED = {
    "an inline style": r"\sstyle\s*=",
    "a style element": r"<style\b",
    "an inline handler": r"\son[a-z]+\s*=\s*[\"']",
    "an inline script": r"<script\b(?![^>]*\bsrc=)",
    "a javascript: address": r"javascript:",
    "unescaped output": r"\|\s*safe\b|autoescape off",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_inline(template: Path) -> None:
    text = template.read_text()

    found = [what for what, pattern in NOT_ALLOWED.items() if re.search(pattern, text)]

    assert found == []


def test_every_part_says_what_it_shows() -> None:
    silent = [
        path.name
        for path in TEMPLATES
        if path.parent.name == "parts" and not path.read_text().startswith("{# parts/")
    ]

    assert silent == []


def test_the_policy_allows_nothing_inline_and_nobody_else(client: Client) -> None:
    answer = client.get("/sign-in/")

    assert sorted(answer["Content-Security-Policy"].split("; ")) == [
        "base-uri 'none'", "connect-src 'self'", "default-src 'none'", "font-src 'self'",
        "form-action 'self'", "frame-ancestors 'none'", "img-src 'self' data:",
        "script-src 'self'", "style-src 'self'",
    ]  # fmt: skip


def test_first_load_and_lazy_parts_keep_within_their_budget() -> None:
    built = _manifest()
    entry = built["src/app.ts"]

    assert _gz_kb(entry["file"]) <= FIRST_LOAD_JS_KB
    assert sum(_gz_kb(name) for name in entry["css"]) <= FIRST_LOAD_CSS_KB
    for chunk in built.values():
        if chunk.get("isDynamicEntry"):
            assert _gz_kb(chunk["file"]) <= LAZY_KB


def test_a_missing_build_is_named_at_start(tmp_path: Path, settings: Settings) -> None:
    settings.FRONTEND_DIST = tmp_path

    found = front_end_is_built()

    assert [each.id for each in found] == ["confhub.W001"]


def test_the_lock_names_no_registry() -> None:
    frontend = Path(settings.BASE_DIR) / "dashboard" / "frontend"
    lock = json.loads((frontend / "package-lock.json").read_text())

    assert not any("resolved" in held for held in lock["packages"].values())
    assert not re.search(
        r"https?://(?!opencollective|github|tidelift)[^\"]*registry",
        (frontend / "package-lock.json").read_text(),
    )


def _manifest() -> dict[str, dict[str, object]]:
    path = settings.FRONTEND_DIST / "manifest.json"
    if not path.is_file():
        missing("browser", "the front end is not built: npm ci && npm run build")
    held: dict[str, dict[str, object]] = json.loads(path.read_text())
    return held


def _gz_kb(name: object) -> float:
    return len(gzip.compress((settings.FRONTEND_DIST / str(name)).read_bytes(), 9)) / 1024
