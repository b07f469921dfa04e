"""A signed-in client and a service with something in it."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from confhub.catalog.models import Scope
from tests.parts import factories


@pytest.fixture(autouse=True)
def _static_root(settings: Settings, tmp_path: Path) -> None:
    """A directory that is there, because WhiteNoise warns of one that is not."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def scope(db: None) -> Scope:
    """billing in dev: two keys published as r1, one of them changed as r2."""
    made = factories.a_scope("billing", "dev")
    factories.a_release(
        made, {"POOL": 10, "nginx.conf": "server {\n  listen 80;\n}\n"}, message="first"
    )
    factories.a_release(made, {"POOL": 20}, message="more room")
    made.refresh_from_db()
    return made


@pytest.fixture
def protected(db: None) -> Scope:
    """billing in prod, where publishing asks for the name."""
    made = factories.a_scope("billing", "prod", protected=True)
    factories.a_release(made, {"POOL": 10})
    made.refresh_from_db()
    return made


@pytest.fixture
def admin(client: Client, db: None) -> Client:
    """A client with admin's session."""
    client.force_login(factories.a_person())
    return client


@pytest.fixture
def stranger(db: None) -> Any:
    """A client of somebody whose account was switched off while signed in."""
    person = factories.a_person("eve")
    held = Client()
    held.force_login(person)
    person.is_active = False
    person.save(update_fields=["is_active"])
    return held
