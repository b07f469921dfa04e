"""A release as files: the same bytes each time, readable by a shell and by Compose, or a clear refusal."""

import json
import subprocess

import pytest

from watchers.render.errors import BadSpec, CannotRender
from watchers.render.files import Files, parse_files
from watchers.render.formats import variables
from watchers.render.release import render
from watchers.wire.canonical import Json, checksum
from watchers.wire.documents import ReleaseDocument


def document(values: dict[str, Json]) -> ReleaseDocument:
    entries = {key: {"value": held} for key, held in values.items()}
    return ReleaseDocument("shop", "dev", 42, checksum(entries), entries)


def test_json_holds_every_value_as_it_is() -> None:
    values: dict[str, Json] = {"A": 1, "b.c": [True, None, {"x": "ü"}], "TEXT": "two\nlines"}

    made = render(document(values), Files(("json",)))

    assert json.loads(made["config.json"]) == values
    assert made["release"] == b"42\n"
    assert made == render(document(dict(reversed(values.items()))), Files(("json",)))


AWKWARD = [
    "", "plain", "two words", "two\nlines", "it's", "$HOME `id` \\ \"q\"", "it's $HOME `id` \\ \"q\"",
    "ends with '", "'", "#no comment", "a=b", "tab\there", "ünïcode", "!history", "trailing\n",
]  # fmt: skip


def test_a_shell_reads_env_back_exactly() -> None:
    values: dict[str, Json] = {f"K{number}": text for number, text in enumerate(AWKWARD)}
    made = render(document(values), Files(("env",)))["config.env"].decode()

    script = made + "".join(f'printf "%s\\0" "$K{number}"\n' for number in range(len(AWKWARD)))
    out = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout

    assert out.decode().split("\0")[:-1] == AWKWARD


def test_env_has_other_values_as_json_and_names_as_variables() -> None:
    made = render(document({"db.pool-size": 20, "ON": True, "LIST": [1]}), Files(("env",)))

    assert made["config.env"] == b"DB_POOL_SIZE='20'\nLIST='[1]'\nON='true'\n"


def test_an_entry_is_a_file_of_its_own() -> None:
    made = render(document({"nginx.conf": "events {}\n"}), parse_files("entry:nginx.conf"))

    assert made == {"release": b"42\n", "nginx.conf": b"events {}\n"}


@pytest.mark.parametrize(
    ("values", "spec", "says"),
    [
        ({}, "entry:nginx.conf", "no entry nginx.conf"),
        ({"nginx.conf": 5}, "entry:nginx.conf", "is no text"),
        ({"A": "a\0b"}, "env", "A holds a NUL"),
        ({"a.b": 1, "A_B": 2}, "env", "A_B and a.b would be one"),
    ],
)
def test_what_cannot_be_a_file_is_named(values: dict[str, Json], spec: str, says: str) -> None:
    with pytest.raises(CannotRender, match=says):
        render(document(values), parse_files(spec))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "names nothing"),
        ("xml", "no format"),
        ("nginx.conf=etc/t.j2", "no absolute path"),
        ("nginx.conf=/etc/../t.j2", "no absolute path"),
        ("nginx.conf=", "no absolute path"),
        ("../x=/etc/t.j2", "cannot be the name of a file"),
        ("release=/etc/t.j2", "uses that name"),
        ("entry:a,a=/etc/t.j2", "names a twice"),
        ("entry:../x", "cannot be the name of a file"),
        ("entry:current", "uses that name"),
        ("entry:config.json", "uses that name"),
        ("entry:gen-1", "uses that name"),
    ],
)
def test_a_spec_that_cannot_be_followed_says_what_can(spec: str, says: str) -> None:
    with pytest.raises(BadSpec, match=says):
        parse_files(spec)


def test_a_spec_keeps_its_order_and_no_doubles() -> None:
    spec = " json, env,json,entry:a.b , x.ini=/etc/x.j2"

    assert parse_files(spec) == Files(("json", "env"), ("a.b",), (("x.ini", "/etc/x.j2"),))


def test_variables_are_text() -> None:
    assert variables({"x": None, "Y": 1.5}) == {"X": "null", "Y": "1.5"}
