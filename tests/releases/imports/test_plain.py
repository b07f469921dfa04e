"""The five formats of a draft as sources of an import."""

from typing import Any

import pytest

from confhub.releases import imports
from confhub.releases.imports import MAX_BYTES, ImportUnreadable, Options

ENV = """\ufeff# made by hand
export DATABASE_URL='postgres://app:p#ss@db/app'   # the main one
EMPTY=
QUOTED="two\\nlines"
PLAIN=a value # with a comment
HASH=a#b
DOLLAR=$HOME
MULTI="-----BEGIN
x
-----END"
POOL=1
POOL=20
2FA_ISSUER=confhub
"""


def test_env_as_shells_and_compose_write_it() -> None:
    read = imports.read("env", ENV)

    assert read.set == {
        "DATABASE_URL": "postgres://app:p#ss@db/app", "EMPTY": "", "QUOTED": "two\nlines",
        "PLAIN": "a value", "HASH": "a#b", "DOLLAR": "$HOME", "MULTI": "-----BEGIN\nx\n-----END",
        "POOL": "20", "_2FA_ISSUER": "confhub",
    }  # fmt: skip
    assert read.notes == ["POOL stands there more than once; the last one counts."]
    assert read.renamed == [("2FA_ISSUER", "_2FA_ISSUER")]
    assert (read.texts_only, read.secrets, read.skipped) == (True, frozenset(), [])


def test_windows_line_ends_are_no_part_of_values() -> None:
    assert imports.read("env", "A=1\r\nB='2'\r\n").set == {"A": "1", "B": "2"}


PROPERTIES = """! of the old server
spring.datasource.url = jdbc:postgresql://db/app
logging.level\\:root: INFO
greeting=gr\\u00fc\\u00df \\
    dich
empty
"""


def test_properties_as_java_reads_them() -> None:
    read = imports.read("properties", PROPERTIES)

    assert read.set == {
        "spring.datasource.url": "jdbc:postgresql://db/app", "logging.level_root": "INFO",
        "greeting": "grüß dich", "empty": "",
    }  # fmt: skip
    assert read.renamed == [("logging.level:root", "logging.level_root")]


NESTED: dict[str, str] = {
    "json": '{"db": {"host": "h", "ports": [1, 2], "opts": {}}, "debug": false, "n": null}',
    "yaml": "db:\n  host: h\n  ports: [1, 2]\n  opts: {}\ndebug: false\nn:\n",
}
AS_VALUES: dict[str, Any] = {
    "db": {"host": "h", "ports": [1, 2], "opts": {}}, "debug": False, "n": None,
}  # fmt: skip


@pytest.mark.parametrize("source", NESTED)
def test_objects_are_values_or_keys_with_dots(source: str) -> None:
    whole = imports.read(source, NESTED[source])
    flat = imports.read(source, NESTED[source], options=Options(flatten=True))

    assert whole.set == AS_VALUES
    assert flat.set == {
        "db.host": "h", "db.ports": [1, 2], "db.opts": {}, "debug": False, "n": None,
    }  # fmt: skip
    assert not whole.texts_only


def test_toml_tables_are_objects() -> None:
    text = 'debug = true\n[db]\nhost = "h"\nports = [1, 2]\n[[mirror]]\nurl = "u"\n'

    assert imports.read("toml", text).set == {
        "debug": True, "db": {"host": "h", "ports": [1, 2]}, "mirror": [{"url": "u"}],
    }  # fmt: skip
    assert imports.read("toml", text, options=Options(flatten=True)).set["db.host"] == "h"


@pytest.mark.parametrize(
    ("source", "text", "line"),
    [
        ("env", "A=1\nno equals sign\n", 2),
        ("env", "A=1\nB='open\n", 2),
        ("json", '{"A": 1,\n"A": 2}', 2),
        ("json", "[1]", 1),
        ("yaml", "A: 1\nB: *x\n", 2),
        ("yaml", "A: 1\n---\nB: 2\n", 2),
        ("yaml", "A: 1\nB: !!python/object:os.system x\n", 2),
        ("toml", "A = 1\nB = \n", 2),
        ("properties", "a=1\nb=\\u12\n", 2),
    ],
)
def test_what_does_not_read_says_its_line(source: str, text: str, line: int) -> None:
    with pytest.raises(ImportUnreadable) as refused:
        imports.read(source, text)

    assert refused.value.line == line
    assert refused.value.extra["line"] == line
    assert refused.value.detail.startswith(f"Line {line}: ")
    assert refused.value.status == 422


def test_size_emptiness_and_unknown_sources_are_refused_before_anything_is_read() -> None:
    for source, text, words in (
        ("env", "A=" + "x" * MAX_BYTES, "at most 1,048,576"),
        ("env", "A=" + "ü" * (MAX_BYTES // 2), "at most 1,048,576"),
        ("env", " \n", "There is no text"),
        ("docx", "A=1", "is no source"),
    ):
        with pytest.raises(ImportUnreadable) as refused:
            imports.read(source, text)
        assert words in refused.value.detail
        assert refused.value.line is None


def test_a_text_that_cannot_be_read_within_limits_is_one_error() -> None:
    with pytest.raises(ImportUnreadable):
        imports.read("json", "[" * 500_000)
    with pytest.raises(ImportUnreadable):
        imports.read("yaml", "A: " + "[" * 500_000)
    assert imports.read("env", "A=1").set == {"A": "1"}
