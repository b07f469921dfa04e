"""Three-way merges: both sides' changes or none of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confhub.releases.merging import MAX_COMPARISONS, Merged, merge, merge_text

BASE = "worker 1;\nlog off;\nport 80;\nroot /;\n"


@pytest.mark.parametrize(
    ("mine", "theirs", "merged"),
    [
        (BASE.replace("1;", "4;"), BASE.replace("/;", "/srv;"), "worker 4;\nlog off;\nport 80;\nroot /srv;\n"),
        (BASE, BASE + "gzip on;\n", BASE + "gzip on;\n"),
        ("top;\n" + BASE, BASE + "end;\n", "top;\n" + BASE + "end;\n"),
        (BASE.replace("log off;\n", ""), BASE.replace("80", "81"), None),
        (BASE.replace("worker 1;\n", ""), BASE.replace("80", "81"), "log off;\nport 81;\nroot /;\n"),
        (BASE.replace("80", "81"), BASE.replace("80", "82"), None),
        (BASE.replace("80", "81"), BASE.replace("port 80;\n", ""), None),
        (BASE.replace("80", "81"), BASE.replace("80", "81"), BASE.replace("80", "81")),
        (BASE + "a\n", BASE + "b\n", None),
        ("", BASE, ""),
        (BASE.rstrip("\n"), BASE.replace("1;", "2;"), BASE.replace("1;", "2;").rstrip("\n")),
    ],
)  # fmt: skip
def test_texts_merge_by_line(mine: str, theirs: str, merged: str | None) -> None:
    assert merge_text(BASE, mine, theirs) == merged
    assert merge_text(BASE, theirs, mine) == merged


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {}, {"a": 1}, {}),
        ({"a": None}, {"a": None, "x": None}, {"a": 1}, {"a": 1, "x": None}),
        ({"in": {"a": 1, "b": 1}}, {"in": {"a": 2, "b": 1}}, {"in": {"a": 1, "b": 2}}, {"in": {"a": 2, "b": 2}}),
        ({"t": BASE}, {"t": BASE.replace("1;", "9;")}, {"t": BASE + "end\n"}, {"t": BASE.replace("1;", "9;") + "end\n"}),
        (1, 2, 2, 2),
        ([1], [1, 2], [1], [1, 2]),
        (None, 1, None, 1),
    ],
)  # fmt: skip
def test_what_does_not_meet_merges(base: Any, mine: Any, theirs: Any, merged: Any) -> None:
    assert merge(base, mine, theirs) == Merged(merged)


@pytest.mark.parametrize(
    ("base", "mine", "theirs"),
    [
        ({"a": 1}, {"a": 2}, {"a": 3}),
        ({"a": 1}, {}, {"a": 2}),
        ({}, {"a": 1}, {"a": 1.0}),
        ({}, {"a": True}, {"a": 1}),
        ([1], [1, 2], [0, 1]),
        (1, 2, 3),
        ("one line", "another line", "a third line"),
        ({"a": 1}, [1], {"a": 2}),
    ],
)
def test_what_meets_is_left_to_people(base: Any, mine: Any, theirs: Any) -> None:
    assert merge(base, mine, theirs) is None
    assert merge(base, theirs, mine) is None


LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=8).map("\n".join)


@given(LINES, LINES)
def test_a_side_that_changed_nothing_gives_way(base: str, other: str) -> None:
    assert merge_text(base, base, other) == other
    assert merge_text(base, other, base) == other
    assert merge_text(base, other, other) == other


@given(LINES, LINES, LINES)
def test_a_merge_invents_no_line_and_has_no_favourite(base: str, mine: str, theirs: str) -> None:
    merged = merge_text(base, mine, theirs)

    assert merged == merge_text(base, theirs, mine)
    if merged is not None:
        known = {*base.splitlines(), *mine.splitlines(), *theirs.splitlines()}
        assert set(merged.splitlines()) <= known


@given(st.lists(st.integers(0, 99), min_size=3, max_size=30, unique=True), st.data())
def test_changes_with_a_line_between_them_always_merge(numbers: list[int], data: Any) -> None:
    base = [f"{number}\n" for number in numbers]
    one = data.draw(st.integers(0, len(base) - 3))
    other = data.draw(st.integers(one + 2, len(base) - 1))
    mine, theirs = [*base], [*base]
    mine[one], theirs[other] = "mine\n", "theirs\n"
    both = [*mine]
    both[other] = "theirs\n"

    assert merge_text("".join(base), "".join(mine), "".join(theirs)) == "".join(both)


def test_a_text_that_would_take_too_long_is_left_to_people() -> None:
    lines = int(MAX_COMPARISONS**0.5) + 2
    base = "x\n" * lines
    mine, theirs = "y\n" + "x\n" * (lines - 1) + "z\n" * 3, "a\n" * lines

    assert merge_text(base, mine, theirs) is None
