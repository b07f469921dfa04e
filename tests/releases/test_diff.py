"""The key-level diff."""

from hypothesis import given
from hypothesis import strategies as st

from confhub.releases.diff import Change, diff

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
ENTRIES = st.dictionaries(st.sampled_from("ABCDE"), VALUES.map(lambda value: {"value": value}))


def test_each_kind_of_change_is_told_by_key() -> None:
    old = {"GONE": {"value": 1}, "KEPT": {"value": 2}, "MOVED": {"value": 3}}
    new = {"KEPT": {"value": 2}, "MOVED": {"value": "3"}, "NEW": {"value": None}}

    assert diff(old, new) == [
        Change("GONE", "removed", 1, None),
        Change("MOVED", "changed", 3, "3"),
        Change("NEW", "added", None, None),
    ]


def test_true_and_one_differ_as_they_do_in_the_document() -> None:
    assert [change.kind for change in diff({"A": {"value": 1}}, {"A": {"value": True}})] == [
        "changed"
    ]
    assert [change.kind for change in diff({"A": {"value": 1}}, {"A": {"value": 1.0}})] == [
        "changed"
    ]


@given(ENTRIES, ENTRIES)
def test_the_diff_leads_from_one_to_the_other(old: dict, new: dict) -> None:
    after = dict(old)
    for change in diff(old, new):
        if change.kind == "removed":
            del after[change.key]
        else:
            after[change.key] = {"value": change.new}

    assert diff(after, new) == []
    assert diff(old, old) == []
