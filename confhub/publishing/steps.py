"""The sweep inside a worker: publishing goes on while Redis is away."""

import threading
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from confhub.core import clock
from confhub.core.loops import LoopStep
from confhub.events import actions as events
from confhub.publishing.relay import relay_waiting

EVERY_S = 2.0  # one small query while nothing waits


class SweepStep(LoopStep):
    """Looks into the outbox by itself (CONFHUB_FOLLOW), because a bell can be lost with its broker."""

    loop_name = "sweep"

    def include_if(self, worker: Any) -> bool:
        return bool(settings.CONFHUB_FOLLOW)

    def loop(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY_S):
            close_old_connections()
            relay_waiting(now=clock.now())
            events.fan_out()
