"""The search's benchmark runs and says what it found; what it measures is for `make bench`."""

import pytest

from benchmarks.search import PREVIEW_LIMIT_MS, SEARCH_LIMIT_MS, TEXTS, Measured, measure, words


@pytest.mark.django_db
def test_it_measures_everything_once_on_a_small_landscape() -> None:
    held = measure(services=2, keys=3, rounds=1)

    assert (held.scopes, held.touched) == (6, 6)
    assert set(held.search_ms) == set(held.search_floor_ms) == set(TEXTS)
    assert words(held).count("times its floor") == len(TEXTS) + 1


def test_what_misses_its_aim_is_said_as_plainly_as_what_reaches_it() -> None:
    slow, fast = SEARCH_LIMIT_MS + 1, PREVIEW_LIMIT_MS - 1
    held = Measured(3, 1_000_000, {"x": slow}, {"x": 10.0}, fast, 1000.0, touched=2)

    said = words(held)

    assert "301 ms, 30.1 times its floor of 10 ms (the aim is 300 ms: **missed**)." in said
    assert (
        "for 2 scopes: 1999 ms, 2.0 times its floor of 1000 ms (the aim is 2000 ms: reached)."
        in said
    )
