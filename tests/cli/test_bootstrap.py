"""`manage.py bootstrap`: what a first start makes, and that a later one changes nothing."""

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from pytest_django import Settings

from confhub.access import queries
from confhub.catalog import actions as catalog
from confhub.cli.management.commands.bootstrap import DEMO_CONFIG
from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.releases import queries as releases
from confhub.releases.entries import values

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_given(settings: Settings) -> None:
    settings.CONFHUB_ADMIN_PASSWORD = settings.CONFHUB_ADMIN_TOKEN = ""


def bootstrap(*options: str) -> dict[str, str]:
    """Run it; return what it made up."""
    said = StringIO()
    call_command("bootstrap", "--json", *options, stdout=said)
    made: dict[str, str] = json.loads(said.getvalue())
    return made


def demo_values() -> dict[str, Any]:
    scope = queries.scope_for(SYSTEM, "see", "demo", "dev")
    return values(releases.entries_of(scope))


def test_a_first_start_makes_an_admin_who_can_sign_in() -> None:
    made = bootstrap()

    assert authenticate(username="admin", password=made["password"]) is not None
    actor = queries.actor_of_token(made["token"])
    assert actor is not None
    assert actor.name == "token:admin"


def test_a_first_start_makes_the_environments() -> None:
    bootstrap()

    assert [(e.slug, e.protected) for e in queries.environments_for(SYSTEM)] == [
        ("dev", False),
        ("staging", False),
        ("prod", True),
    ]


def test_a_second_start_makes_nothing_up_and_changes_nothing() -> None:
    made = bootstrap("--demo")

    assert bootstrap("--demo") == {}
    assert authenticate(username="admin", password=made["password"]) is not None
    assert queries.actor_of_token(made["token"]) is not None
    head = releases.head_of(queries.scope_for(SYSTEM, "see", "demo", "dev"))
    assert head is not None
    assert head.number == 1


def test_a_given_password_and_token_are_taken_and_not_shown(settings: Settings) -> None:
    settings.CONFHUB_ADMIN_PASSWORD, settings.CONFHUB_ADMIN_TOKEN = "a long one", "t" * 43

    assert bootstrap() == {}

    assert authenticate(username="admin", password="a long one") is not None
    assert queries.actor_of_token("t" * 43) is not None


def test_a_password_given_later_replaces_the_first(settings: Settings) -> None:
    made = bootstrap()
    settings.CONFHUB_ADMIN_PASSWORD = "another one"

    assert bootstrap() == {}

    assert authenticate(username="admin", password=made["password"]) is None
    assert authenticate(username="admin", password="another one") is not None
    assert queries.actor_of_token(made["token"]) is not None


def test_the_demo_starts_with_a_published_release() -> None:
    bootstrap("--demo")

    assert demo_values() == DEMO_CONFIG


def test_without_demo_there_is_no_service() -> None:
    bootstrap()

    assert queries.services_for(SYSTEM) == []


def test_an_environment_that_somebody_removed_stays_removed() -> None:
    bootstrap("--demo")
    staging = queries.environment_for(SYSTEM, "administer", "staging")
    catalog.delete_environment(staging, who=SYSTEM, now=clock.now())

    bootstrap("--demo")

    assert [e.slug for e in queries.environments_for(SYSTEM)] == ["dev", "prod"]


def test_people_are_told_what_was_made_up() -> None:
    said = StringIO()
    call_command("bootstrap", stdout=said)

    assert "sign in as admin with the password " in said.getvalue()
