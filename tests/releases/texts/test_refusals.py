"""What is wrong with a text is one error with its line and the way out, whatever the text is."""

import pytest

from confhub.releases import texts
from confhub.releases.texts import TextUnreadable, TextUnwritable

BOMB = "A: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("format", "text", "line", "column", "words"),
    [
        ("yaml", "A: 1\nB: 2\nA: 3\n", 3, 1, "second time"),
        ("yaml", "A:\n  x: 1\n  x: 2\n", 3, 3, "second time"),
        ("yaml", "- 1\n", 1, 1, "top level"),
        ("yaml", "text\n", 1, 1, "top level"),
        ("yaml", "A: 1\n---\nB: 2\n", 2, 1, "second document"),
        ("yaml", "A: 1\nB: &x 2\n", 2, 4, "Anchors"),
        ("yaml", "A: *x\n", 1, 4, "aliases"),
        ("yaml", BOMB, 1, 4, "Anchors"),
        ("yaml", "A: !!python/object:os.system x\n", 1, 4, "Tags"),
        ("yaml", "A: !x 1\n", 1, 4, "Tags"),
        ("yaml", "A:\n  <<: {x: 1}\n", 2, 3, "merge keys"),
        ("yaml", "A: .nan\n", 1, 4, "quotes"),
        ("yaml", "A: -.inf\n", 1, 4, "quotes"),
        ("yaml", "A: 1e999\n", 1, 4, "quotes"),
        ("yaml", "ZIP: 01234\n", 1, 6, "begins with 0"),
        ("yaml", "A: b: c\n", 1, 5, "quotes"),
        ("yaml", "A: 1\nB:\n\t- 1\n", 3, 1, "tabs"),
        ("yaml", "A: 'x\n", 2, 1, "never closed"),
        ("yaml", "A: 1\nB: [1\nC: 2\n", 3, 2, "opens on line 2"),
        ("yaml", "A: 1\nbad key: 2\n", 2, 1, "is not a key"),
        ("yaml", "A: " + "[" * 100_000, 1, 68, "nest too deeply"),
        ("yaml", "[a]: 1\n", 1, 1, "cannot be a key"),
        ("json", "", 1, 1, "empty"),
        ("json", "[1]", 1, 1, "object belongs"),
        ("json", '{"A": 1,\n "A": 2}', 2, 2, "second time"),
        ("json", '{"A": {"x": 1,\n "x": 2}}', 2, 2, "second time"),
        ("json", '{"A": 1,\n}', 1, 8, "Remove it"),
        ("json", '{"A": NaN}', 1, 7, "no JSON value"),
        ("json", '{"A": 1e999}', 1, 7, "no number"),
        ("json", '{"A": ' + "9" * 5_000 + "}", 1, 7, "digits"),
        ("json", '{"A": "\\ud800"}', 1, 2, "surrogate"),
        ("json", '{"A":' + "[" * 100_000, 1, 70, "nest too deeply"),
        ("json", '{"A": 1} x', 1, 10, "goes on"),
        ("json", '{"A": 1', 1, 8, "the end of the text"),
        ("json", '{"1st": 1}', 1, 2, "is not a key"),
        ("toml", "A = 1\nA = 2\n", 2, 1, "second time"),
        ("toml", "A = 1979-05-27\n", 1, 1, "in quotes"),
        ("toml", "A = 1\n[B]\nx = 07:32:00\n", 3, 1, "in quotes"),
        ("toml", "A = [nan]\n", 1, 1, "quotes"),
        ("toml", "A = yes\n", 1, 5, "quotes"),
        ("toml", "A = 1\n'b c' = 2\n", 2, 1, "is not a key"),
        ("toml", "A = " + "[" * 5_000, 1, 1, "nest too deeply"),
        ("env", "A=1\nA=2\n", 2, 1, "second time"),
        ("env", "A=1\nno value\n", 2, 1, "KEY=value"),
        ("env", "A='1\n", 1, 3, "never closed"),
        ("env", 'A="1\n', 1, 3, "never closed"),
        ("env", "A='1' 2\n", 1, 6, "closing quote"),
        ("env", "A-é=1\n", 1, 1, "is not a key"),
        ("properties", "A=1\nA=2\n", 2, 1, "second time"),
        ("properties", "A=1\nB=\\u12\n", 2, 3, "four hexadecimal digits"),
        ("properties", "A=\\ud800\n", 1, 3, "only in pairs"),
        ("properties", "A=x\\", 1, 5, "goes on nowhere"),
        ("properties", "=x\n", 1, 1, "is not a key"),
        ("env", "A=\x00\n", 1, 3, "U+0000"),
        ("env", "A=1\rB=2\n", 1, 4, "U+000D"),
        ("json", "\ufeff{}", 1, 1, "U+FEFF"),
        ("yaml", "A: \x07\n", 1, 4, "control characters"),
    ],
)
def test_it_is_refused_at_its_place(
    format: texts.Format, text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(TextUnreadable) as refused:
        texts.read(format, text)
    error = refused.value
    assert words in error.message, error.message
    assert (error.line, error.column) == (line, column), error.message
    assert error.detail == f"Line {line}: {error.message}"


def test_a_text_that_is_longer_than_any_is_not_read() -> None:
    with pytest.raises(TextUnreadable, match="Make it shorter"):
        texts.read("env", "A=" + "x" * (4 << 20))


@pytest.mark.parametrize(("word", "value"), [("yes", "yes"), ("on", "on"), ("12:30", "12:30"), ("2026-11-24", "2026-11-24"), ("0o17", 15), ("0x1F", 31), ("~", None), ("", None), ("True", True), (".5", 0.5), ("-7", -7), ("+7", 7), ("'7'", "7"), ("1_000", "1_000")])  # fmt: skip
def test_plain_words_of_yaml_mean_what_the_core_schema_says(word: str, value: object) -> None:
    assert texts.read("yaml", f"A: {word}\n") == {"A": value}


@pytest.mark.parametrize("format", ["env", "properties"])
def test_texts_are_read_as_the_type_that_the_value_had(format: texts.Format) -> None:
    held = {"N": 200, "S": "200", "B": True, "L": [1], "Z": None, "O": {"a": 1}}
    read = texts.read(format, "N=300\nS=300\nB=false\nL=[2]\nZ=null\nO={}\nNEW=5\n", held)
    assert read == {"N": 300, "S": "300", "B": False, "L": [2], "Z": None, "O": {}, "NEW": "5"}
    other = texts.read(format, "N=abc\nB=1\nL={}\nZ=0\nO=[1e999]\n", held)
    assert other == {"N": "abc", "B": "1", "L": "{}", "Z": "0", "O": "[1e999]"}


def test_null_has_no_form_in_toml() -> None:
    with pytest.raises(TextUnwritable, match="A is null"):
        texts.write("toml", {"A": None})
    with pytest.raises(TextUnwritable, match="null"):
        texts.patch("toml", "A = 1\n", {"A": {"b": None}})


@pytest.mark.parametrize(
    ("format", "text", "values", "after"),
    [
        ("yaml", "# a\nA: 'x' # why\nB: 1\n", {"A": "y", "C": [1]}, "# a\nA: 'y' # why\nC:\n  - 1\n"),
        ("yaml", "A:\n  # low\n  x: 1\n  y: 2\n", {"A": {"x": 5, "y": 2, "z": 0}}, "A:\n  # low\n  x: 5\n  y: 2\n  z: 0\n"),
        ("yaml", "A: |\n  one\n  two\nB: 1\n", {"A": "one\nthree\n", "B": 1}, "A: |\n  one\n  three\nB: 1\n"),
        ("yaml", "A: # none\nB: 1\n", {"A": 7, "B": 1}, "A: 7 # none\nB: 1\n"),
        ("yaml", '{"A": 1, "B": 2}\n', {"A": 3, "B": 2}, '{"A": 3, "B": 2}\n'),
        ("json", '{"A": 1, "B": 2}', {"B": 2, "C": "x"}, '{"B": 2, "C": "x"}'),
        ("json", '{\n\t"A": 1\n}\n', {"A": 1, "B": {"x": 1}}, '{\n\t"A": 1,\n\t"B": {\n\t\t"x": 1\n\t}\n}\n'),
        ("toml", "A = 'x' # why\n\n[B] # table\nx = 1\n", {"A": "y", "B": {"x": 2, "n": True}, "C": 1}, "A = 'y' # why\nC = 1\n\n[B] # table\nx = 2\nn = true\n"),
        ("toml", "b.c = 1\nb.d = 2\n", {"b": {"c": 1, "d": 3}}, "b.c = 1\nb.d = 3\n"),
        ("env", "export A=1 # one\nB=\"x\"\n", {"A": "2", "B": "it's $5"}, "export A=2 # one\nB=\"it's \\$5\"\n"),
        ("env", "A= # none\n", {"A": "x y"}, "A='x y' # none\n"),
        ("properties", "! c\nA : one \\\n   two\nB\n", {"A": "three", "B": "=4"}, "! c\nA : three\nB=\\=4\n"),
    ],
)  # fmt: skip
def test_only_what_differs_is_written(
    format: texts.Format, text: str, values: dict[str, object], after: str
) -> None:
    assert texts.patch(format, text, values) == after  # type: ignore[arg-type]  # JSON, all of it
