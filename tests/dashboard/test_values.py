"""Values as people read and type them."""

import pytest

from dashboard import changes, values


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "a\r\nb ", "a\nb "),
        ("string", "", ""),
        ("number", " 200 ", 200),
        ("number", "-1.5e3", -1500.0),
        ("number", "12345678901234567890", 12345678901234567890),
        ("boolean", "true", True),
        ("null", "whatever", None),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
    ],
)
def test_what_is_typed_becomes_a_value_of_its_kind(kind: str, text: str, value: object) -> None:
    found = values.read(kind, text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("number", "12a", "'12a' is not a number"),
        ("number", "01", "not a number"),
        ("number", "NaN", "not a number"),
        ("number", "1e999", "too large"),
        ("boolean", "yes", "true or false"),
        ("json", "{", "line 1, column 2"),
        ("json", "[NaN]", "NaN is not JSON"),
        ("json", "[1e999]", "too large"),
        ("json", "[" * 100_000, "nests too deeply"),
        ("spoon", "1", "not a kind"),
    ],
)
def test_what_is_no_value_of_its_kind_is_refused_with_the_reason(
    kind: str, text: str, says: str
) -> None:
    with pytest.raises(values.NotAValue, match=says):
        values.read(kind, text)


@pytest.mark.parametrize(
    "value", ["", "two\nlines", 0, 1.0, 12345678901234567890, True, None, [], {"a": {"b": [1]}}]
)
def test_what_is_shown_can_be_typed_again(value: object) -> None:
    shown = values.shown(value)  # type: ignore[arg-type]  # any JSON

    again = values.read(shown.kind, shown.text)

    assert again == value
    assert type(again) is type(value)


def test_a_change_shows_both_sides_and_what_kind_they_are() -> None:
    drawn = changes.drawn(
        {"A": {"value": "1"}, "GONE": {"value": "x"}},
        {"A": {"value": 1}, "NEW": {"value": "one\ntwo"}},
    )

    assert [(each.key, each.kind) for each in drawn] == [
        ("A", "changed"), ("GONE", "removed"), ("NEW", "added"),
    ]  # fmt: skip
    assert drawn[0].kind_moved == "Text → Number"
    assert drawn[1].new is None
    assert [row.new_number for row in drawn[2].rows] == [1, 2]
    assert changes.counts(drawn) == {"added": 1, "changed": 1, "removed": 1}
