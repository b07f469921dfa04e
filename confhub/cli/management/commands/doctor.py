"""`manage.py doctor`: what is missing or odd on this machine, each with a way out."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from confhub.cli import findings

MARKS = {"ok": "✓", "note": "·", "wrong": "✗"}


class Command(BaseCommand):
    help = "Look at this machine and at the running ConfHub. Exit 1 where something is wrong."
    requires_system_checks: list[str] = []  # it looks itself, also where they would refuse

    def handle(self, *_: Any, **__: Any) -> None:
        wrong = 0
        for found in findings.all_findings():
            self.stdout.write(f"{MARKS[found.state]} {found.about:<13} {found.text}")
            wrong += found.state == "wrong"
        if wrong:
            sys.exit(1)
