"""What failed is run once more, alone: red where it fails again, where too many did, where none did."""

import json
from pathlib import Path

import pytest

from tests import again


def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *bodies: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:django\n")
    names = []
    for number, body in enumerate(bodies):
        (tmp_path / f"test_{number}.py").write_text(f"def test_it():\n    {body}\n")
        names.append(f"test_{number}.py::test_it")
    held = tmp_path / "lastfailed"
    held.write_text(json.dumps(dict.fromkeys(names, True)))
    monkeypatch.setattr(again, "LAST_FAILED", held)


def test_green_where_all_pass_alone_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failed(tmp_path, monkeypatch, "assert True")

    assert again.main() == 0
    assert "PASSED ALONE (mend these):\n  test_0.py::test_it" in capfd.readouterr().out


def test_red_where_one_fails_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(tmp_path, monkeypatch, "assert True", "assert False")

    assert again.main() == 1


def test_red_without_running_where_too_many_failed_or_none_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(tmp_path, monkeypatch, *["assert True"] * (again.MOST + 1))
    assert again.main() == 1

    monkeypatch.setattr(again, "LAST_FAILED", tmp_path / "nothing")
    assert again.main() == 1
