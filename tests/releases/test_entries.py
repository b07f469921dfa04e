"""What may be put into a release."""

import pytest

from confhub.releases.entries import BadEntries, check_changes, check_whole


def refused(**changes: object) -> dict[str, str]:
    with pytest.raises(BadEntries) as caught:
        check_changes(set_=changes.get("set_", {}), unset=changes.get("unset", ()))  # type: ignore[arg-type]
    return caught.value.fields


@pytest.mark.parametrize(
    "key", ["", "1ST", "a b", "ä", "a" * 129, "a/b", "-a", "a\n", "a\x00", "../etc", "KEY=1", "."]
)
def test_a_malformed_key_is_named_with_what_may_be_written(key: str) -> None:
    fields = refused(set_={key: 1})

    assert list(fields) == [key[:140]]
    assert "1 to 128 letters" in fields[key[:140]]


@pytest.mark.parametrize("key", ["A", "_", "a.b-c_d9", "a" * 128])
def test_a_well_formed_key_is_taken(key: str) -> None:
    check_changes(set_={key: None}, unset=())


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {"a": float("nan")}, {1, 2}, object()]
)
def test_what_is_no_json_is_refused_at_its_key(value: object) -> None:
    assert list(refused(set_={"KEY": value})) == ["KEY"]


def test_a_value_that_nests_too_deep_is_refused() -> None:
    deep: object = 1
    for _ in range(65):
        deep = [deep]

    assert "64 deep" in refused(set_={"KEY": deep})["KEY"]


def test_an_oversized_value_is_refused_with_its_size() -> None:
    assert "262,147 bytes" in refused(set_={"KEY": "x" * (256 * 1024 + 1)})["KEY"]


def test_a_nul_character_is_refused() -> None:
    assert "NUL" in refused(set_={"KEY": "a\x00b"})["KEY"]
    assert "NUL" in refused(set_={"KEY": ["a", {"b": "\x00"}]})["KEY"]


def test_a_backslash_u0000_that_is_text_is_taken() -> None:
    check_changes(set_={"KEY": "a\\u0000b"}, unset=())


def test_a_secret_is_not_stored_readable() -> None:
    nested = refused(set_={"KEY": {"login": {"$secret": "hunter2"}}})["KEY"]

    assert "A secret is the whole value of a key" in nested
    assert "hunter2" not in nested


def test_a_key_that_is_both_set_and_unset_is_refused() -> None:
    assert "Decide" in refused(set_={"KEY": 1}, unset=["KEY"])["KEY"]


def test_every_bad_key_is_named_at_once() -> None:
    assert set(refused(set_={"1": 1, "OK": 1, "2": 1}, unset=["3"])) == {"1", "2", "3"}


def test_two_keys_of_one_variable_are_refused() -> None:
    with pytest.raises(BadEntries) as caught:
        check_whole({"pool.size": {"value": 1}, "POOL_SIZE": {"value": 2}}, max_bytes=10**6)

    assert set(caught.value.fields) == {"pool.size", "POOL_SIZE"}
    assert "POOL_SIZE" in caught.value.detail


def test_an_oversized_release_names_its_largest_key() -> None:
    entries = {"SMALL": {"value": 1}, "LARGE": {"value": "x" * 2000}}

    with pytest.raises(BadEntries) as caught:
        check_whole(entries, max_bytes=1000)

    assert list(caught.value.fields) == ["LARGE"]
    assert "CONFHUB_MAX_RELEASE_BYTES" in caught.value.detail
