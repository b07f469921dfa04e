"""What changed in a text: old left, new right, nothing lost and nothing made up."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard import textdiff
from dashboard.textdiff import Row, rows, words


def text_of(side: str, found: list[Row]) -> str:
    return "\n".join(
        "".join(segment.text for segment in getattr(row, side))
        for row in found
        if getattr(row, f"{side}_number") is not None
    )


LINES = st.lists(st.sampled_from(["a", "b", "server {", "  listen 80;", "}", ""]), max_size=8)


@given(LINES, LINES)
def test_both_texts_can_be_read_back_from_the_rows(old: list[str], new: list[str]) -> None:
    before, after = "\n".join(old), "\n".join(new)

    found = rows(before, after)

    if not any(row.kind == "skip" for row in found):
        assert text_of("old", found) == before
        assert text_of("new", found) == after
    assert all(row.kind in ("same", "skip") for row in found) == (before == after)


def test_unchanged_lines_far_from_a_change_are_folded() -> None:
    old = "\n".join(f"line {n}" for n in range(50))
    new = old.replace("line 25", "line twenty-five")

    found = rows(old, new)

    assert [row.kind for row in found] == [
        "skip", "same", "same", "same", "changed", "same", "same", "same", "skip",
    ]  # fmt: skip
    assert (found[0].skipped, found[-1].skipped) == (22, 21)
    assert (found[4].old_number, found[4].new_number) == (26, 26)


def test_only_the_words_that_differ_are_marked() -> None:
    old, new = words("worker_connections 512;", "worker_connections 1024;")

    assert [segment.text for segment in old if segment.changed] == ["512"]
    assert [segment.text for segment in new if segment.changed] == ["1024"]


def test_changed_whitespace_is_made_visible() -> None:
    _, new = words("listen 80;", "listen\t80; ")

    assert [segment.visible for segment in new if segment.changed] == ["→\t", "·"]


def test_two_lines_with_nothing_in_common_are_marked_whole() -> None:
    old, new = words("listen 8080;", "gzip on")

    assert all(segment.changed for segment in (*old, *new))


def test_a_huge_text_is_bounded_in_time_and_rows() -> None:
    old = "\n".join(f"old {n}" for n in range(20_000))
    new = "\n".join(f"new {n}" for n in range(20_000))

    found = rows(old, new)

    assert len(found) == textdiff.MAX_ROWS + 1
    assert found[-1].kind == "skip"
