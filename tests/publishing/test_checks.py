"""Settings that could never publish stop the start with the way out."""

import pytest
from django.core.checks import run_checks


def found() -> dict[str, str]:
    return {
        message.id: f"{message.msg} {message.hint}"
        for message in run_checks()
        if str(message.id).startswith("confhub.E")
    }


def test_the_defaults_fit() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("CONFHUB_MAX_RELEASE_BYTES", 2 * 2**20, "confhub.E001"),
        ("CONFHUB_MAX_RELEASE_BYTES", 0, "confhub.E001"),
        ("ETCD_PREFIX", "confhub/", "confhub.E002"),
        ("ETCD_ENDPOINTS", [], "confhub.E003"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings, name: str, value: object, code: str) -> None:
    setattr(settings, name, value)

    assert name in found()[code] or "prefix" in found()[code].lower()
