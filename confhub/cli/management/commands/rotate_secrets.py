"""`manage.py rotate_secrets [--data-keys]`: other keys for the secrets that there are."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.core.errors import ConfHubError
from confhub.publishing.rotation import rotate_data_keys
from confhub.releases.keyring import rewrap_all


class Command(BaseCommand):
    """Safe to repeat, and to stop at any point: every secret can be opened throughout."""

    help = (
        "Wrap every data key with the first of CONFHUB_MASTER_KEYS. With --data-keys also seal "
        "every secret with another data key, and publish a release for each place that has one. "
        "Agents that hold what secrets_key printed after the last rotation go on without a pause."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data-keys", action="store_true", help="seal the secrets themselves anew as well"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        now = clock.now()
        try:
            wrapped, total = rewrap_all()
            self.stdout.write(f"{wrapped} of {total} data keys wrapped anew.")
            if not options["data_keys"]:
                return
            for done in rotate_data_keys(who=SYSTEM, now=now):
                release = f"r{done.release}" if done.release is not None else "no release"
                self.stdout.write(f"{done.place}: seals with {done.kid}, {release}")
        except ConfHubError as error:
            raise CommandError(f"{error.detail} What is listed above is done.") from error
        self.stdout.write(
            "Give the agents what secrets_key prints now, before the next rotation: it has the "
            "key that will seal then."
        )
