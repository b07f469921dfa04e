"""`manage.py export_audit`: the whole audit, the oldest entry first, as JSON lines or CSV."""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from confhub.events import chain, export


class Command(BaseCommand):
    """Exit 0: everything was written. Exit 1: the file could not be."""

    help = "Write every entry of the audit, to standard output or into a new file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=export.FORMATS, default="jsonl")
        parser.add_argument("--output", metavar="FILE", help="a file that is not there yet")

    def handle(self, *_: Any, **options: Any) -> None:
        chain.chain_new_entries()
        lines = export.lines(chain.chained(), options["format"])
        if not options["output"]:
            for line in lines:
                self.stdout.write(line, ending="")
            return
        path = Path(options["output"])
        try:
            with open(path, "x", encoding="utf-8", newline="", opener=_for_owner) as file:
                file.writelines(lines)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror or error}. Nothing there was replaced.") from error  # fmt: skip
        print(f"Written: {path}. Head of the chain: {chain.newest()}", file=sys.stderr)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
