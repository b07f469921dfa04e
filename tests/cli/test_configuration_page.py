"""docs/configuration.md names every setting that the code reads, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "configuration.md"
READERS = {"text", "flag", "number", "words"}
NAME = re.compile(r"[A-Z][A-Z0-9_]+")


def test_every_setting_of_the_server_stands_in_the_page() -> None:
    read = set(_read_through_env_py()) | set(_read_by(ROOT / "confhub" / "env.py"))

    assert read <= _named("Server") | _named("Container side")
    assert _named("Server") <= read | {"PORT"}


def test_every_setting_of_the_container_side_stands_in_the_page() -> None:
    assert set(_read_by(ROOT / "watchers" / "options.py")) == _named("Container side")


def test_every_variable_of_the_compose_file_stands_in_the_page() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    read = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))

    assert read - _named("Server") - _named("Container side") == _named("`docker compose` only")


def test_the_example_env_file_names_only_variables_of_the_page() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    written = set(re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE))

    assert written <= _named("Server") | _named("Container side") | _named("`docker compose` only")


def test_every_variable_of_the_makefile_stands_in_the_page() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    asked = set(re.findall(r"^(?:ifndef |)([A-Z_]+)(?: \?=|$)", text, re.MULTILINE))

    assert asked | {"CONFHUB_TEST_REQUIRE"} == _named("`make` only")


def _named(section: str) -> set[str]:
    """The variables in the first column of the table below the heading that begins with `section`."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    [part] = [part for part in parts if part.startswith(section)]
    rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in NAME.findall(row)}


def _read_through_env_py() -> Iterator[str]:
    """Names given to env.text(…) and its sisters anywhere in the server."""
    for folder in ("confhub", "dashboard"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in _calls(path):
                if isinstance(call.func, ast.Attribute) and call.func.attr in READERS:
                    owner = call.func.value
                    if isinstance(owner, ast.Name) and owner.id == "env":
                        yield from _first_word(call)


def _read_by(path: Path) -> Iterator[str]:
    """Names that one of the two readers asks the environment for, by `.get` or by its own `text`."""
    for call in _calls(path):
        function = call.func
        is_get = isinstance(function, ast.Attribute) and function.attr == "get"
        if is_get or (isinstance(function, ast.Name) and function.id in READERS):
            yield from _first_word(call)


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


def _first_word(call: ast.Call) -> Iterator[str]:
    first = call.args[0] if call.args else None
    word = first.value if isinstance(first, ast.Constant) else None
    if isinstance(word, str) and NAME.fullmatch(word):
        yield word
