"""The lock files: every package by hash, and no address of an index."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PACKAGE = re.compile(r"^[A-Za-z0-9][^\s=]*==\S+", re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_a_hash_and_no_index_is_named(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    packages = PACKAGE.split(text)[1:]

    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text


def test_what_up_installs_has_the_same_versions_in_tests() -> None:
    up, tests = (
        set(PACKAGE.findall((ROOT / name).read_text(encoding="utf-8")))
        for name in ("requirements.lock", "requirements-dev.lock")
    )

    assert up <= tests


def test_the_front_end_s_lock_is_whole_and_names_no_registry() -> None:
    """npm 11.16 and newer refuse a lock in which a platform's optional package is missing."""
    path = ROOT / "dashboard" / "frontend" / "package-lock.json"
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    names = {place.rpartition("node_modules/")[2] for place in packages}

    for place, package in packages.items():
        assert "resolved" not in package, place
        assert not place or package["integrity"].startswith("sha512-"), place
        assert set(package.get("optionalDependencies", {})) <= names, place
