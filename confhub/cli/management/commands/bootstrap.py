"""`manage.py bootstrap`: what a new database needs before anybody can sign in. Safe to repeat."""

import json
import secrets
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from confhub.access import actions as access
from confhub.access import queries
from confhub.catalog import actions as catalog
from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.publishing import actions as publishing
from confhub.releases import queries as releases
from watchers.wire.canonical import Json

ADMIN = "admin"
DEMO, DEMO_ENVIRONMENT = "demo", "dev"
ENVIRONMENTS = (
    ("dev", "Development", False),
    ("staging", "Staging", False),
    ("prod", "Production", True),
)
DEMO_CONFIG: dict[str, Json] = {
    "GREETING": "Hello from ConfHub",
    "WORKERS": 4,
    "LOG_LEVEL": "info",
    "FEATURES": {"search": True, "checkout": False},
}


class Command(BaseCommand):
    help = (
        "Make the person admin, the environments and, with --demo, the service demo and its first "
        "release. What is there already stays as it is."
    )
    requires_system_checks: list[str] = []  # it runs before everything that they ask for

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--migrate", action="store_true", help="apply migrations first")
        parser.add_argument("--demo", action="store_true", help="make the service demo")
        parser.add_argument("--json", action="store_true", help="answer with one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        now = clock.now()
        if options["migrate"]:
            call_command("migrate", interactive=False, verbosity=0)
        made = ensure_admin(now)
        ensure_environments(now)
        if options["demo"]:
            ensure_demo(now)
        if options["json"]:
            self.stdout.write(json.dumps(made))
            return
        for line in _shown(made):
            self.stdout.write(line)


def ensure_admin(now: datetime) -> dict[str, str]:
    """The person and the token that the environment asks for, or made up on a first start.

    Returns what was made up here and is shown nowhere again: {} or {"password", "token"}.
    """
    password, token = settings.CONFHUB_ADMIN_PASSWORD, settings.CONFHUB_ADMIN_TOKEN
    is_new = not get_user_model().objects.filter(username=ADMIN).exists()
    made: dict[str, str] = {}
    if is_new and not password:
        password = made["password"] = secrets.token_urlsafe(9)
    if is_new and not token:
        token = made["token"] = secrets.token_urlsafe(32)
    person = access.ensure_person(ADMIN, password=password or None, now=now)
    if token:
        access.set_token(ADMIN, token=token, user=person, now=now)
    return made


def ensure_environments(now: datetime) -> None:
    """dev, staging and prod on a first start only: who deleted one does not want it back."""
    if queries.environments_for(SYSTEM):
        return
    for order, (slug, name, protected) in enumerate(ENVIRONMENTS):
        catalog.create_environment(
            slug=slug, name=name, protected=protected, order=order, who=SYSTEM, now=now
        )


def ensure_demo(now: datetime) -> None:
    """The service that `make up` runs beside ConfHub, with a release that it can start from."""
    if DEMO not in {service.slug for service in queries.services_for(SYSTEM)}:
        catalog.create_service(
            slug=DEMO, name="Demo", description="A small web page that shows its configuration.",
            who=SYSTEM, now=now,
        )  # fmt: skip
    if DEMO_ENVIRONMENT not in {held.slug for held in queries.environments_for(SYSTEM)}:
        return
    scope = queries.scope_for(SYSTEM, "publish", DEMO, DEMO_ENVIRONMENT)
    if releases.head_of(scope) is None:
        publishing.publish_changes(
            scope, set=DEMO_CONFIG, unset=(), message="The demo's first release.",
            expected_release=None, who=SYSTEM, now=now,
        )  # fmt: skip


def _shown(made: dict[str, str]) -> list[str]:
    if not made:
        return [f"{ADMIN} is there already; password and token stay as they are."]
    lines = ["Written down nowhere else:"]
    if "password" in made:
        lines.append(f"  sign in as {ADMIN} with the password {made['password']}")
    if "token" in made:
        lines.append(f"  token for programs (CONFHUB_TOKEN): {made['token']}")
    return lines
