"""`manage.py secrets_key SERVICE ENVIRONMENT`: what an agent opens a scope's secrets with."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from confhub.access.queries import scope_for
from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.core.errors import ConfHubError
from confhub.fleet import queries as fleet
from confhub.publishing.rotation import keys_for_agent


class Command(BaseCommand):
    help = (
        "Print CONFHUB_SECRETS_KEY for the agents of a service in an environment: the newest key "
        "first, and every one that a release in etcd may need. Several of these go into one "
        "CONFHUB_SECRETS_KEY_FILE, on lines of their own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service")
        parser.add_argument("environment")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            scope = scope_for(SYSTEM, "reveal", options["service"], options["environment"])
            running = {each["running"] for each in fleet.instances_of(scope) if each["running"]}
            text = keys_for_agent(scope, running=running, now=clock.now())
        except ConfHubError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(text)
