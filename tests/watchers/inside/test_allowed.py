"""What the engine may be asked for is written down by name, and nothing is allowed by itself."""

import pytest

from watchers.options import BadOption, from_environment


@pytest.mark.parametrize(
    ("told", "allowed"),
    [("", set()), ("exec", {"exec"}), (" restart, kill ,", {"restart", "kill"})],
)
def test_what_the_engine_may_be_asked_for(told: str, allowed: set[str]) -> None:
    assert from_environment({"CONFHUB_ENGINE_ALLOWS": told}).engine_allows == allowed


def test_a_word_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadOption, match="'start' is none of exec, archive, restart, kill"):
        from_environment({"CONFHUB_ENGINE_ALLOWS": "exec,start"})
