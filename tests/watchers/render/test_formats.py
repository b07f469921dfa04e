"""Each format, read back by a reader of its own: exactly what went in, and sorted."""

import json
import tomllib

import javaproperties
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from watchers.render.errors import CannotRender
from watchers.render.formats import WRITERS, write_properties, write_toml, write_yaml
from watchers.wire.canonical import Json
from watchers.wire.documents import plain_value
from watchers.wire.names import KEY

TEXTS = [
    "", " ", "plain", "two words", " leads", "trails ", "it's", '"q"', "a: b", "a #b", "# c", "- d", "? e",
    "yes", "No", "ON", "y", "null", "~", "NaN", ".inf", "1", "1.5", "0x1f", "1e3", "1_000", "12:30", "2026-11-24",
    "=", "<<", "*a", "&a", "!t", "%d", "@x", "`x`", "{}", "[]", "a,b", "back\\slash", "tab\t", "\ttab", "null\0",
    "two\nlines", "ends\n", "ends\n\n", "\nbegins", "\n", "  indented\nblock", "a\n\n b\n", "cr\r\n", "---\n...\n",
    "a\n---\nb", "\x7f\x85\u2028\ufeff", "line\u2028sep\n", "ünï", "😀", "key=value", "!x", "\x1b[0m", "x" * 3000,
]  # fmt: skip
VALUES: dict[str, Json] = {
    **{f"T{number}": text for number, text in enumerate(TEXTS)},
    "INT": -5, "BIG": 2**62, "F": 1.0, "SMALL": 1e-07, "LARGE": 1e20, "E": 1.5e300, "ON": True, "OFF": False,
    "on": "a key that is a word", "dotted.key-x": 1, "EMPTY": {}, "NONE": [],
    "NEST": {"b": {"c": [1, "two", [3, [4]], {"d": "x", "a": {"q": [{}]}}]}, "a b": {"": 5}, "z\n": 1, "l" * 1500: [1]},
    "LIST": [{"b": 1, "a": "multi\nline\n"}, [], [[]], "multi\nline"],
}  # fmt: skip
anything = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
entries = st.dictionaries(st.from_regex(KEY, fullmatch=True), anything, max_size=4)


def same(found: object, values: object) -> bool:
    """Equal in type too: 1, 1.0 and true are three values."""
    return json.dumps(found, sort_keys=True) == json.dumps(values, sort_keys=True)


def test_yaml_is_read_back_exactly() -> None:
    values = {**VALUES, "NULL": None, "HUGE": 2**70}

    assert same(yaml.safe_load(write_yaml(values)), values)


def test_yaml_is_what_people_expect() -> None:
    values: dict[str, Json] = {
        "servers": [{"name": "a", "ports": [80, 443]}, {"name": "b"}], "on": "yes", "MOTD": "Hello\nworld\n",
    }  # fmt: skip

    assert write_yaml(values).decode() == (
        "MOTD: |\n  Hello\n  world\n"
        '"on": "yes"\n'
        "servers:\n  - name: a\n    ports:\n      - 80\n      - 443\n  - name: b\n"
    )


def test_toml_is_read_back_exactly() -> None:
    assert same(tomllib.loads(write_toml(VALUES).decode()), VALUES)


def test_toml_is_what_people_expect() -> None:
    values: dict[str, Json] = {
        "b.c": [1, {"x": "y"}],
        "A": "t",
        "db": {"pool": {"max": 2}, "on": True},
    }

    assert write_toml(values).decode() == (
        'A = "t"\n"b.c" = [1, { x = "y" }]\n\n[db]\non = true\n\n[db.pool]\nmax = 2\n'
    )


@given(entries)
def test_any_values_survive_yaml_and_toml(values: dict[str, Json]) -> None:
    assert same(yaml.safe_load(write_yaml(values)), values)
    assert same(tomllib.loads(write_toml(values).decode()), values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"A": None}, "A is null, which has no form in TOML"),
        ({"A": {"b": [1, None]}}, '"1" in "b" in A is null'),
        ({"A": 2**63}, "A is an integer of more than 64 bits"),
    ],
)
def test_what_toml_does_not_have_is_named(values: dict[str, Json], says: str) -> None:
    with pytest.raises(CannotRender, match=says):
        write_toml(values)


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-8"])
def test_properties_are_read_back_exactly(encoding: str) -> None:
    """As Java's Properties reads them, from bytes or through a reader."""
    values = {**VALUES, "NULL": None}

    found = javaproperties.loads(write_properties(values).decode(encoding))

    assert found == {key: plain_value(value).decode() for key, value in values.items()}


def test_properties_are_ascii_with_the_escapes_of_java() -> None:
    values: dict[str, Json] = {"b": " lead\n\\", "a.b-c": "ü😀", "C": {"x": [1]}}

    assert write_properties(values) == (
        b'C={"x":[1]}\na.b-c=\\u00fc\\ud83d\\ude00\nb=\\ lead\\n\\\\\n'
    )


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_the_order_of_the_values_changes_no_byte(form: str) -> None:
    values = {key: held for key, held in VALUES.items() if key != "on" and held != "null\0"}

    turned = dict(reversed(values.items()))

    assert WRITERS[form](values) == WRITERS[form](turned)
