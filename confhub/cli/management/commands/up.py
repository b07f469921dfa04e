"""`manage.py up`, which `make up` ends in: ConfHub and all it needs, on this machine's loopback."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from confhub import env
from confhub.cli import session, stack
from confhub.cli.ports import NoFreePort, why_not


class Command(BaseCommand):
    help = (
        "Run etcd, Redis, web, workers, beat and a demo service on loopback until Ctrl-C. Settings: "
        "PORT (8000), DEMO=0 leaves the demo out, VERBOSE=1 shows every log."
    )
    requires_system_checks: list[str] = []  # the database need not exist yet

    def handle(self, *_: Any, **__: Any) -> None:
        began = time.monotonic()
        if not env.flag("CONFHUB_LOCAL", default=settings.DEBUG):
            raise CommandError(
                "`up` is for a machine of one's own: it serves loopback with a key that it made. Run "
                "`make up`, or set CONFHUB_LOCAL=true. For real use: docs/operating/compose.md."
            )
        try:
            with session.only_one(env.VAR_DIR):
                port = settings.PORT
                if reason := why_not(port):
                    raise CommandError(f"{reason}\nNothing was started.")
                addresses = stack.choose_addresses(port)
                run = session.Session(
                    addresses,
                    host=settings.CONFHUB_HOST,
                    with_demo=env.flag("DEMO", default=True),
                    verbose=env.flag("VERBOSE", default=False),
                    began=began,
                )
                run.until_stopped()
        except (session.RunsAlready, session.DidNotStart, NoFreePort, stack.NotInstalled) as error:
            raise CommandError(str(error)) from error
