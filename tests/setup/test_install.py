"""What `make` does before .venv is there, and the sentences where it cannot."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "confhub" / "cli" / "install.py"


@pytest.fixture
def install(tmp_path: Path) -> Iterator[ModuleType]:
    """The script as a module, with all its paths below an empty tree."""
    spec = importlib.util.spec_from_file_location("install_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path
    module.VENV = tmp_path / ".venv"
    module.BIN = module.VENV / "bin"
    module.PYTHON = module.BIN / "python"
    module.STAMPS = module.VENV / "stamps.json"
    module.FRONTEND = tmp_path / "frontend"
    module.VENV.mkdir()
    return module


def a_program(directory: Path, name: str, script: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, text=True, capture_output=True,
        env={**os.environ, "PATH": path or os.environ["PATH"], "MAKEFLAGS": ""}, check=False,
    )  # fmt: skip


def test_help_names_the_two_commands_of_a_newcomer() -> None:
    said = make("help").stdout

    assert "make up " in said
    assert "make test " in said


def test_an_old_python_is_named_with_the_way_out(tmp_path: Path) -> None:
    a_program(tmp_path, "python3", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')

    done = make("up", f"PYTHON={tmp_path / 'python3'}")

    assert done.returncode == 2
    assert "is Python 3.9.2; ConfHub needs Python 3.11 or newer" in done.stderr
    assert "make up PYTHON=" in done.stderr


def test_a_newer_python_beside_an_old_one_is_found(tmp_path: Path) -> None:
    a_program(tmp_path, "python3", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    (tmp_path / "python3.11").symlink_to(Path(sys.executable).resolve())

    said = make("-n", "up", path=f"{tmp_path}:/usr/bin:/bin").stdout

    assert "python3.11 -I confhub/cli/install.py up" in said


def test_a_python_without_ensurepip_gets_a_sentence_and_no_half_venv(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(tmp_path / "bin", "python3", "exit 1")  # as Debian's, without python3-venv and pip
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python3"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(install.CannotInstall, match="sudo apt-get install python3-venv") as caught:
        install._make_venv("up")

    assert "make up PYTHON=" in str(caught.value)
    assert not install.VENV.exists()


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [("v18.20.4", False), ("v20.18.9", False), ("v20.19.0", True), ("v24.1.0", True), ("?", False)],
)
def test_node_is_taken_from_path_where_it_is_new_enough(
    install: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    is_enough: bool,
) -> None:
    a_program(tmp_path / "bin", "node", f"echo {version}")
    a_program(tmp_path / "bin", "npm", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert install._system_node() is is_enough


def test_node_without_npm_is_not_taken(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(tmp_path / "bin", "node", "echo v24.1.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert not install._system_node()


def test_a_front_end_is_built_once_and_again_when_a_source_changes(
    install: ModuleType, tmp_path: Path
) -> None:
    frontend = install.FRONTEND
    (frontend / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "src/app.ts"):
        (frontend / name).write_text("{}")
    log = tmp_path / "npm.log"
    a_program(
        tmp_path / "bin",
        "npm",
        f'echo "$1" >>{log}; mkdir -p node_modules dist; echo "{{}}" >dist/manifest.json',
    )
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}

    install._build_frontend(environment)
    install._build_frontend(environment)
    assert log.read_text().split() == ["ci", "run"]

    (frontend / "src" / "app.ts").write_text("changed")
    install._build_frontend(environment)
    assert log.read_text().split() == ["ci", "run", "run"]


def test_a_failed_build_shows_what_it_said_and_is_tried_again(
    install: ModuleType, tmp_path: Path
) -> None:
    frontend = install.FRONTEND
    frontend.mkdir()
    for name in ("package.json", "package-lock.json"):
        (frontend / name).write_text("{}")
    a_program(
        tmp_path / "bin", "npm", 'mkdir -p node_modules; [ "$1" = ci ] || { echo lost; exit 3; }'
    )
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}

    for _ in range(2):
        with pytest.raises(install.CannotInstall, match=r"lost\n[\s\S]*`npm run build` failed"):
            install._build_frontend(environment)
