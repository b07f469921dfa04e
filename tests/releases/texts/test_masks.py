"""A secret stands in a text as its mask, which says "unchanged" at its own key and nowhere else."""

from typing import Any

import pytest

from confhub.releases.texts import FORMATS, Format, TextUnreadable, read, write
from confhub.releases.texts.masks import MASK, is_kept, mask_of, unmasked

PRINTS = {"PASSWORD": "3f2a9c1b7d4e"}
MINE = mask_of(PRINTS["PASSWORD"])


def settled(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return unmasked(values, dict.fromkeys(values, 7), fingerprints=PRINTS, **more)


def test_a_mask_shows_eight_digits_of_the_fingerprint() -> None:
    assert MINE == "(secret 3f2a9c1b, kept)"
    assert MASK.fullmatch(MINE)
    assert is_kept(MINE)
    assert not is_kept("(secret of mine)")


@pytest.mark.parametrize("format", FORMATS)
def test_a_mask_comes_through_every_format(format: Format) -> None:
    assert read(format, write(format, {"PASSWORD": MINE})) == {"PASSWORD": MINE}


def test_the_very_mask_keeps_the_secret() -> None:
    assert settled({"PASSWORD": MINE, "A": 1}) == {"PASSWORD": MINE, "A": 1}


@pytest.mark.parametrize("value", ["hunter2", 7, ["x"], ""])
def test_anything_else_at_a_secret_is_its_new_value(value: Any) -> None:
    assert settled({"PASSWORD": value}) == {"PASSWORD": {"$secret": value}}


def test_the_form_of_rest_is_taken_as_it_is() -> None:
    assert settled({"PASSWORD": {"$secret": "x"}}) == {"PASSWORD": {"$secret": "x"}}
    assert settled({"NEW": {"$secret": "x"}}) == {"NEW": {"$secret": "x"}}


def test_a_key_that_its_schema_calls_secret_becomes_one() -> None:
    assert settled({"NEW": "x"}, secret_keys=frozenset({"NEW"})) == {"NEW": {"$secret": "x"}}


@pytest.mark.parametrize(
    ("key", "value"),
    [("OTHER", MINE), ("OTHER", ["a", MINE]), ("OTHER", {"x": f"user:{MINE}"}), ("PASSWORD", mask_of("ffffffffffff")), ("PASSWORD", f" {MINE}")],
)  # fmt: skip
def test_a_mask_is_never_saved_as_a_value(key: str, value: Any) -> None:
    with pytest.raises(TextUnreadable, match="mask of") as refused:
        settled({key: value})
    assert refused.value.line == 7
