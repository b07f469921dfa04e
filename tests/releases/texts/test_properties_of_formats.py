"""What every format promises: values come back as they are, and a text that says them is not touched."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confhub.releases.texts import reading
from confhub.releases.texts.base import FORMATS, same_values

CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    st.sampled_from(list("\n\r\t '\"\\#:=$!-[]{}`|>&*%@,~\u0085\u2028\ufeff\x7f")),
)
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=20),
    st.sampled_from(
        ["", " ", "yes", "null", "~", "01", "1e3", "=x", "'", '"', "a: b", "x #y", "a\nb\n", "\n",
         "---", "...", "- a", "${HOST}/x", "C:\\dir\\", "end\\", "2026-11-24", "(secret 3f2a9c1b, kept)"]
    ),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS = st.one_of(st.booleans(), NUMBERS, TEXTS)
KEYS = st.one_of(
    st.text(string.ascii_letters + "_", min_size=1, max_size=3),
    st.sampled_from(["A", "B", "C", "db.pool", "db.pool-size", "true", "null", "y", "export"]),
)
NAMES = st.one_of(
    st.text(CHARACTERS, max_size=6), st.sampled_from(["a", "b", "c", "<<", "", "a b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
WITHOUT_NULL = st.dictionaries(KEYS, VALUES, max_size=5)
WITH_NULL = st.dictionaries(KEYS, st.one_of(st.none(), st.lists(st.none(), max_size=2), VALUES), max_size=5)  # fmt: skip


def values_for(format: str) -> st.SearchStrategy[dict[str, Any]]:
    return WITHOUT_NULL if format == "toml" else WITH_NULL


def said(format: str, text: str, held: dict[str, Any]) -> dict[str, Any]:
    answer = reading.read(format, text, held)
    assert "problem" not in answer, (answer["problem"], text)
    values: dict[str, Any] = answer["values"]
    return values


@pytest.mark.parametrize("format", FORMATS)
def test_a_first_text_reads_as_what_was_written(format: str) -> None:
    @given(values_for(format))
    def check(values: dict[str, Any]) -> None:
        text = reading.written(format, values)
        assert same_values(said(format, text, values), values), text
        assert reading.patched(format, text, values) == text

    check()


@pytest.mark.parametrize("format", FORMATS)
def test_a_patched_text_reads_as_the_new_values_and_was_not_written_anew(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = reading.written

    @settings(max_examples=250)
    @given(values_for(format), values_for(format), st.booleans())
    def check(old: dict[str, Any], new: dict[str, Any], windows: bool) -> None:
        text = written(format, old)
        text = text.replace("\n", "\r\n") if windows and "\n\n" not in text else text
        if not same_values(said(format, text, old), old):
            return  # a value with a line break of its own
        monkeypatch.setattr(reading, "written", _never)
        patched = reading.patched(format, text, {**old, **new})
        less = reading.patched(format, patched, new)
        monkeypatch.setattr(reading, "written", written)
        assert same_values(said(format, patched, {**old, **new}), {**old, **new}), patched
        assert same_values(said(format, less, new), new), less

    check()


def _never(format: str, values: dict[str, Any]) -> str:
    raise AssertionError(f"{format} was written anew for {values}")


NOTED = {
    "yaml": "# the file\n\n# the pool\nPOOL: 10 # each\n\nHOST: \"db\"\nLIMITS:\n  # soft\n  low: 1\n  high: 2\n\n# end\n",
    "json": '{\n    "POOL": 10,\n    "HOST": "db",\n\n    "LIMITS": {"low": 1, "high": 2}\n}\n',
    "env": "# the file\n\n# the pool\nexport POOL=10 # each\n\nHOST=\"db\"\nLIMITS='{\"low\": 1, \"high\": 2}'\n# end\n",
    "toml": "# the file\n\n# the pool\nPOOL = 10 # each\n\nHOST = \"db\"\n[LIMITS]\n# soft\nlow = 1\nhigh = 2\n\n# end\n",
    "properties": "# the file\n\n! the pool\nPOOL : 10\n\nHOST db\nLIMITS={\"low\": 1, \\\n   \"high\": 2}\n# end\n",
}  # fmt: skip
HELD: dict[str, Any] = {"POOL": 10, "HOST": "db", "LIMITS": {"low": 1, "high": 2}}


@pytest.mark.parametrize("format", FORMATS)
def test_changes_leave_every_comment_where_it_is(format: str) -> None:
    base = NOTED[format]

    @given(values_for(format), st.sets(st.sampled_from(["POOL", "HOST", "LIMITS"])))
    def check(new: dict[str, Any], gone: set[str]) -> None:
        wanted = {key: value for key, value in {**HELD, **new}.items() if key not in gone}
        patched = reading.patched(format, base, wanted)
        assert same_values(said(format, patched, wanted), wanted), patched
        for note in ("# the file", "# end"):
            assert (note in patched) == (note in base), patched
        for key in wanted:
            if key in HELD and wanted[key] == HELD[key]:
                line = next(line for line in base.split("\n") if key in line)
                assert line in patched.split("\n") or format == "json"

    check()


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_text_says_already_changes_no_byte_of_it(format: str) -> None:
    for text in (NOTED[format], NOTED[format].replace("\n", "\r\n"), NOTED[format].rstrip("\n")):
        assert said(format, text, HELD) == HELD
        assert reading.patched(format, text, HELD) == text


@pytest.mark.parametrize("format", FORMATS)
def test_any_text_at_all_is_read_or_refused_with_a_place(format: str) -> None:
    pieces = st.sampled_from(
        ["A", "b", "1", "0", ".", "=", ":", " ", "\n", "#", "'", '"', "[", "]", "{", "}", ",", "-",
         "\\", "\t", "|", ">", "&a", "*a", "!!x", "'''", '"""', "[[", "]]", "\r\n", "? ", "é", "\u2028"]
    )  # fmt: skip

    @settings(max_examples=400)
    @given(st.one_of(st.text(CHARACTERS, max_size=60), st.lists(pieces, max_size=30).map("".join)))
    def check(text: str) -> None:
        answer = reading.read(format, text, {})
        if "problem" in answer:
            assert 1 <= answer["problem"]["line"] <= text.count("\n") + 1
            assert answer["problem"]["column"] >= 1
            assert answer["problem"]["message"].endswith((".", "}"))
            return
        values = answer["values"]
        assert reading.patched(format, text, values) == text
        more = {**values, "NEW": "x"}
        assert same_values(said(format, reading.patched(format, text, more), more), more)

    check()
