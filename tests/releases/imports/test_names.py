"""How names of other tools become keys, and that nothing is lost without a word."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confhub.releases import imports
from confhub.releases.imports import reading
from confhub.releases.imports.base import Found, Item, collected, flat, key_of
from watchers.wire.names import KEY, MAX_VALUE_BYTES, BadName

NO_OPTIONS = {"flatten": None, "prefix": "", "item": ""}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("DB_HOST", "DB_HOST"),
        ("nginx.conf", "nginx.conf"),
        ("app/db/host", "app.db.host"),
        ("/app/db/", "app.db"),
        ("1st", "_1st"),
        (".dockerconfigjson", "_.dockerconfigjson"),
        ("-x", "_-x"),
        ("with blank", "with_blank"),
        ("größe", "gr__e"),
    ],
)
def test_the_rules(name: str, key: str) -> None:
    assert key_of(name) == key


@pytest.mark.parametrize("name", ["", "/", "...", "☃", "x/" * 70])
def test_a_name_of_which_no_key_can_be_made_says_why(name: str) -> None:
    with pytest.raises(BadName) as refused:
        key_of(name)
    assert str(refused.value).endswith(".")


@given(st.text(max_size=150))
def test_whatever_the_name_it_is_a_key_or_a_reason(name: str) -> None:
    try:
        key = key_of(name)
    except BadName:
        return
    assert KEY.fullmatch(key)
    assert key_of(key) == key


def test_of_two_names_for_one_key_the_one_spelled_like_it_wins() -> None:
    read = imports.read("json", '{"a/b": 1, "a.b": 2, "a b": 3, "a_b": 4}')

    assert read.set == {"a.b": 2, "a_b": 4}
    assert read.skipped == [
        ("a/b", "Its key would be a.b, which a.b has taken."),
        ("a b", "Its key would be a_b, which a_b has taken."),
    ]


def test_of_two_others_the_first_wins_and_is_named_as_renamed() -> None:
    read = imports.read("json", '{"a/b": 1, "/a/b": 2}')

    assert (read.set, read.renamed) == ({"a.b": 1}, [("a/b", "a.b")])
    assert read.skipped == [("/a/b", "Its key would be a.b, which a/b has taken.")]


def test_values_that_no_entry_holds_are_skipped_by_name() -> None:
    large = "x" * (MAX_VALUE_BYTES + 1)
    read = imports.read("json", f'{{"NUL": "a\\u0000b", "LARGE": "{large}", "OK": 1}}')

    assert read.set == {"OK": 1}
    assert [name for name, _ in read.skipped] == ["NUL", "LARGE"]
    assert large not in str(read.skipped)


def test_a_second_object_with_the_name_is_skipped_where_no_order_is_meant() -> None:
    found = collected(Found([Item("A", "1", is_secret=True), Item("A", "2")]))

    assert (found["set"], found["secrets"]) == ({"A": "1"}, ["A"])
    assert found["skipped"] == [["A", "It stands there a second time; the first one is taken."]]


@given(st.dictionaries(st.text(max_size=140), st.none() | st.integers() | st.text(), max_size=6))
def test_nothing_of_an_object_is_lost_silently(values: dict[str, Any]) -> None:
    answer = reading.read("json", json.dumps(values), NO_OPTIONS)

    came_from = dict(map(reversed, answer["renamed"]))
    taken = {came_from.get(key, key) for key in answer["set"]}
    assert taken | {name for name, _ in answer["skipped"]} == set(values)
    assert all(KEY.fullmatch(key) for key in answer["set"])


def test_half_a_character_in_a_name_or_a_value_breaks_no_page() -> None:
    answer = reading.read("json", '{"\\ud800": 1, "A\\udfff": 2, "B": "\\ud800"}', NO_OPTIONS)

    assert answer["set"] == {"A_": 2}
    assert [name for name, _ in answer["skipped"]] == ["B", "?"]
    str(answer).encode()


def test_flattening_keeps_lists_empty_objects_and_secrets_whole() -> None:
    tree = {"a": {"b": 1, "c": [{"d": 2}], "e": {}}, "p": {"$secret": "x"}, "q": None,
            "s": {"secret": True, "ciphertext": "v1:k:AAAA"}}  # fmt: skip

    assert dict(flat(tree)) == {
        "a.b": 1, "a.c": [{"d": 2}], "a.e": {}, "p": {"$secret": "x"}, "q": None,
        "s": {"secret": True, "ciphertext": "v1:k:AAAA"},
    }  # fmt: skip
