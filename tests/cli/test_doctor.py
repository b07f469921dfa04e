"""`manage.py doctor`: each finding in one line, with a way out, and exit 1 where something is wrong."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from confhub import env
from confhub.cli import findings
from tests.parts.servers import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_built_front_end(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    settings.FRONTEND_DIST = tmp_path
    settings.PORT = free_port()
    monkeypatch.setattr(env, "VAR_DIR", tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")


@pytest.fixture
def admin() -> None:
    call_command("bootstrap", stdout=StringIO())


def examine() -> tuple[int, str]:
    """Its exit code and what it said."""
    said = StringIO()
    try:
        call_command("doctor", stdout=said)
    except SystemExit as ended:
        return int(str(ended.code)), said.getvalue()
    return 0, said.getvalue()


def an_etcd(directory: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = directory / "bin" / "etcd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.fixture
def a_server(settings: Settings) -> Iterator[dict[str, Any]]:
    """Answers /readyz with what the test puts into the dictionary."""
    document: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", settings.PORT), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield document
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("admin")
def test_a_sound_machine_without_a_running_confhub_is_told_how_to_start_one() -> None:
    code, said = examine()

    assert code == 0, said
    assert "✓ database      sqlite, all migrations applied" in said
    assert (
        f"· server        no ConfHub answers at http://127.0.0.1:{findings.settings.PORT}" in said
    )


def test_a_database_in_which_nobody_can_sign_in_is_wrong() -> None:
    code, said = examine()

    assert code == 1
    assert "✗ people        nobody can sign in: manage.py bootstrap makes admin" in said


@pytest.mark.usefixtures("admin")
def test_a_missing_front_end_is_wrong(settings: Settings, tmp_path: Path) -> None:
    settings.FRONTEND_DIST = tmp_path / "nowhere"

    code, said = examine()

    assert code == 1
    assert "make web" in said


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(
    ("version", "mark"), [("3.5.1", "·"), ("3.4.23", "✓"), ("3.5.33", "✓"), ("3.6.0", "✓")]
)
def test_a_corrupting_etcd_is_good_enough_to_try_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, mark: str
) -> None:
    an_etcd(tmp_path, version, monkeypatch)

    code, said = examine()

    assert code == 0, said
    [line] = [line for line in said.splitlines() if "etcd program" in line]
    assert line.startswith(f"{mark} etcd program  {version}")
    assert ("Not for real use" in line) is (mark == "·")


@pytest.mark.usefixtures("admin")
def test_what_the_running_server_misses_is_wrong_here_too(a_server: dict[str, Any]) -> None:
    a_server["dependencies"] = {
        "etcd": {"ok": False, "why": "etcd did not answer within 1 s."},
        "redis": {"ok": True, "why": ""},
    }

    code, said = examine()

    assert code == 1
    assert "✗ etcd          etcd did not answer within 1 s." in said
    assert "✓ redis         well" in said
