"""`manage.py new_master_key`: a key for CONFHUB_MASTER_KEYS, printed once and kept nowhere."""

from secrets import token_hex
from typing import Any

from django.core.management.base import BaseCommand

from confhub.core import clock
from watchers.wire.sealing import SealingKey


class Command(BaseCommand):
    help = (
        "Print a new key for CONFHUB_MASTER_KEYS. Set it there first in the list, with a comma, and "
        "run rotate_secrets; then the ones behind it may go."
    )
    requires_system_checks: list[str] = []  # it is asked for where CONFHUB_MASTER_KEYS is wrong

    def handle(self, *_: Any, **__: Any) -> None:
        kid = f"m{clock.now():%Y%m%d}-{token_hex(3)}"
        self.stdout.write(SealingKey.generate(kid).to_text())
