"""A part that a test cannot do without: skipped by name where it is missing, or failed where asked."""

import os
from typing import NoReturn

import pytest


def missing(part: str, why: str) -> NoReturn:
    """End the test: failed when CONFHUB_TEST_REQUIRE names `part`, else skipped with `why`."""
    required = [word.strip() for word in os.environ.get("CONFHUB_TEST_REQUIRE", "").split(",")]
    if part in required:
        pytest.fail(f"CONFHUB_TEST_REQUIRE names {part}, but {why}", pytrace=False)
    pytest.skip(f"{part}: {why}")
