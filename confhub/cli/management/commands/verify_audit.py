"""`manage.py verify_audit`: compute the audit's chain anew and say whether every entry fits."""

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from confhub.events import chain

_NOTE = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


class Command(BaseCommand):
    """Exit 0: every entry fits. Exit 1: one does not; it is named."""

    help = "Check the audit's hash chain. Exit 1 names the first entry that does not fit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--noted",
            metavar="POSITION:DIGEST",
            help="a head that this command printed earlier; it must still stand in the chain",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        noted = _noted(options["noted"])
        chain.chain_new_entries()
        found = chain.verify(noted)
        if found.problem:
            raise CommandError(f"{found.problem} {found.checked} entries before it fit.")
        self.stdout.write(f"{found.checked} entries fit. Head: {found.head}")


def _noted(text: str | None) -> chain.Head | None:
    if text is None:
        return None
    found = _NOTE.fullmatch(text.strip())
    if found is None:
        raise CommandError(
            f"--noted: {text[:90]!r} is no head of a chain. Give one as it was printed, 7:3f2a…"
        )
    return chain.Head(int(found[1]), found[2])
