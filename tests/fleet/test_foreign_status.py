"""A status at a key of another host, where ids begin with their host's name."""

import json
from typing import Any

import pytest

from confhub.fleet import actions, queries
from confhub.fleet.actions import Seen
from tests.parts.factories import NOON, a_scope

pytestmark = pytest.mark.django_db


def problems_of(instance_id: str, host: str) -> list[str]:
    scope = a_scope()
    status = {
        "id": instance_id, "service": "billing", "environment": "prod", "host": host,
        "runtime": "docker", "problems": ["its own"],
    }  # fmt: skip
    seen = Seen("billing", "prod", instance_id, json.dumps(status).encode(), 7)
    actions.take_statuses([seen], whole=False, now=NOON)
    [tile] = queries.instances_of(scope)
    found: list[str] = tile["problems"]
    return found


@pytest.mark.parametrize(
    ("instance_id", "host"),
    [
        ("node-7.3f2a9c1b7d4e", "node-77"),
        ("node-7.example.org.3f2a9c1b7d4e", "node-7"),
        ("3f2a9c1b7d4e", "node-7"),
        ("node-7.", "node-7"),
    ],
)
def test_a_status_at_a_key_that_is_not_its_host_s_is_a_problem(
    settings: Any, instance_id: str, host: str
) -> None:
    settings.CONFHUB_INSTANCE_PREFIX = True

    found = problems_of(instance_id, host)

    assert "is not that host's" in found[0]
    assert found[1:] == ["its own"]


@pytest.mark.parametrize("instance_id", ["node-7.3f2a9c1b7d4e", "node-7.shop-dev"])
def test_a_status_at_its_own_host_s_key_is_none(settings: Any, instance_id: str) -> None:
    settings.CONFHUB_INSTANCE_PREFIX = True

    assert problems_of(instance_id, "node-7") == ["its own"]


def test_without_the_setting_ids_say_nothing_of_hosts() -> None:
    assert problems_of("3f2a9c1b7d4e", "node-7") == ["its own"]
