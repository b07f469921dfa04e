"""The loops that Celery workers run for the fleet; which worker runs which is its environment's."""

import threading
from typing import Any

from django.conf import settings

from confhub.core.loops import LoopStep
from confhub.fleet import follow, hostduty


class FollowStep(LoopStep):
    """Follows the instances (CONFHUB_FOLLOW); of several workers one does, the others stand by."""

    loop_name = "follow"

    def include_if(self, worker: Any) -> bool:
        return bool(settings.CONFHUB_FOLLOW)

    def loop(self, stop: threading.Event) -> None:
        follow.follow_forever(stop)


class HostDutyStep(LoopStep):
    """Serves this host's containers (CONFHUB_HOST_DUTY), as `confhub agent` does without Celery."""

    loop_name = "host-duty"

    def include_if(self, worker: Any) -> bool:
        return bool(settings.CONFHUB_HOST_DUTY)

    def loop(self, stop: threading.Event) -> None:
        hostduty.serve(stop)
