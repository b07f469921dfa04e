"""`./manage.py reconcile`: hold the database against etcd now, and write what differs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from confhub.core import clock
from confhub.publishing.epoch import STORE_TROUBLE
from confhub.publishing.reconcile import reconcile
from confhub.publishing.relay import relay_waiting


class Command(BaseCommand):
    """Exit 0: etcd says what the database says. Exit 1: it could not be reached or taken over."""

    help = "Compare etcd with the database and write what is missing or differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--adopt",
            action="store_true",
            help="take over a store that another database wrote, and write everything anew",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = reconcile(now=clock.now(), adopt=options["adopt"])
            moved = relay_waiting(now=clock.now())
        except STORE_TROUBLE as error:
            raise CommandError(str(error)) from error
        for name in report.repaired:
            self.stdout.write(f"{name}: differed, and was queued again")
        self.stdout.write(f"{report.checked} scopes compared, {moved} pointers written.")
