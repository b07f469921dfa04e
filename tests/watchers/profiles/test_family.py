"""Checking new files where they cannot be shown to a command ahead of time: `confhub run`."""

import pytest

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.profiles.family import as_staged, quoted
from watchers.runtimes.here import Here


def attempt(**files: bytes) -> Attempt:
    named = {name.replace("_", "."): raw for name, raw in files.items()}
    return Attempt(7, "/run/confhub", "gen-7", named, {}, frozenset(), Here(None, {}), None)


@pytest.mark.parametrize(
    ("argv", "moved"),
    [
        ("nginx -c /run/confhub/nginx.conf", "nginx -c /run/confhub/gen-7/nginx.conf"),
        ("nginx -c /run/confhub/current/nginx.conf", "nginx -c /run/confhub/gen-7/nginx.conf"),
        ("haproxy -f /etc/own.cfg -f /run/confhub/", "haproxy -f /etc/own.cfg -f /run/confhub/gen-7"),
    ],
)  # fmt: skip
def test_a_command_is_pointed_at_the_staged_files(argv: str, moved: str) -> None:
    assert as_staged(attempt(nginx_conf=b""), argv.split()) == (moved.split(), "")


def test_a_main_file_that_is_not_delivered_cannot_be_checked() -> None:
    with pytest.raises(CheckFailed, match="nginx reads a main file that is not one of the release"):
        as_staged(attempt(site_conf=b"server {}"), ["nginx", "-t", "-g", "daemon off;"])


def test_a_file_that_names_another_by_its_whole_path_cannot_be_checked() -> None:
    files = attempt(nginx_conf=b"include /run/confhub/site.conf;", site_conf=b"")
    with pytest.raises(CheckFailed, match=r"Write site\.conf alone, relative to nginx\.conf"):
        as_staged(files, ["nginx", "-c", "/run/confhub/nginx.conf"])


def test_a_receipt_quotes_each_message_once_and_without_its_time() -> None:
    lines = [
        "2026/11/24 12:33:17 [emerg] 1#1: bind() failed",
        "2026/11/24 12:33:18 [emerg] 1#1: bind() failed",
        "2026/11/24 12:33:19 [emerg] 1#1: still could not bind()",
    ]
    assert quoted(lines) == "[emerg] 1#1: bind() failed [emerg] 1#1: still could not bind()"
