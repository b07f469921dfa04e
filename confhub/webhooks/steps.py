"""The loop of webhooks in a worker (CONFHUB_FOLLOW). Several workers may have one: rows are claimed.

A loop of its own, so that receivers who take their time delay neither publishing nor pages.
"""

import threading
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from confhub.core import clock
from confhub.core.listen import DatabaseBell
from confhub.core.loops import LoopStep
from confhub.events import queries as events
from confhub.webhooks import intake
from confhub.webhooks.senders import Senders

EVENTS = "confhub_events"  # rung by a trigger, events 0002
EVERY_S = 1.0  # two small queries while nothing happens
NUMBERED_S = 0.1  # who rang may not have a position yet, which another loop hands out


class WebhooksStep(LoopStep):
    """Turns events into deliveries and sends what is due: at once where the database rings, else
    every second."""

    loop_name = "webhooks"

    def include_if(self, worker: Any) -> bool:
        return bool(settings.CONFHUB_FOLLOW)

    def loop(self, stop: threading.Event) -> None:
        with DatabaseBell(EVENTS) as bell, Senders(clock.now) as senders:
            while bell.wait(stop, EVERY_S):
                close_old_connections()
                if events.some_wait_for_a_position():
                    stop.wait(NUMBERED_S)
                intake.take_new_events(now=clock.now())
                senders.fill()
                close_old_connections()
