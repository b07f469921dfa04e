"""The sweep inside a worker: it hears the database itself, and publishing goes on while Redis is away."""

import threading
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from confhub.core import clock
from confhub.core.listen import DatabaseBell
from confhub.core.loops import LoopStep
from confhub.events import actions as events
from confhub.publishing.relay import relay_waiting

OUTBOX, EVENTS = "confhub_outbox", "confhub_events"  # rung by triggers, publishing and events 0002
EVERY_S = 2.0  # two small queries while nothing waits


class SweepStep(LoopStep):
    """Looks into the outbox and at new events by itself (CONFHUB_FOLLOW): at once where the database
    rings, every two seconds where a bell can be lost with its broker."""

    loop_name = "sweep"

    def include_if(self, worker: Any) -> bool:
        return bool(settings.CONFHUB_FOLLOW)

    def loop(self, stop: threading.Event) -> None:
        with DatabaseBell(OUTBOX, EVENTS) as bell:
            while rang := bell.wait(stop, EVERY_S):
                close_old_connections()
                if OUTBOX in rang:  # first, because a container waits for it
                    relay_waiting(now=clock.now())
                if EVENTS in rang:
                    events.fan_out()
