"""The Celery application: tasks are found in each folder's tasks.py, settings in settings.py.

Workers run the `threads` pool: `celery -A confhub worker --pool threads`. Two kinds:
`-Q confhub` relays, follows and sweeps (CONFHUB_FOLLOW=true); `-Q host.NAME` serves the containers
of the host NAME and nothing else (CONFHUB_HOST_DUTY=true).
"""

import sys
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun
from kombu.transport.redis import Channel

from confhub.env import SWITCH_S, name_settings_module
from watchers.wire.documents import REQUEST_ID

log = structlog.get_logger("core")

sys.setswitchinterval(SWITCH_S)
name_settings_module()

# A worker that loses Redis with a message in hand tries to put it back through the connection it
# has just lost, and ends (seen with Celery 5.7.0 in four of eight tries). What is not put back
# comes again after the visibility timeout; until then rows and sweeps do its work.
Channel.do_restore = False

app = Celery("confhub")
app.set_default()  # for every thread: "current" is only the one that made it, and bells ring elsewhere
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Django's LOGGING stands; Celery installs its own where nobody listens here."""


@task_prerun.connect
def _bind_request_id(task: Any = None, **_: object) -> None:
    """The lines of a task that was rung for by a request carry its id (core.wake)."""
    held = task.request.get("request_id") or (task.request.headers or {}).get("request_id")
    if isinstance(held, str) and REQUEST_ID.fullmatch(held):
        structlog.contextvars.bind_contextvars(request_id=held)
    log.debug("task.begun", task=task.name)


@task_postrun.connect
def _unbind_request_id(**_: object) -> None:
    """The thread goes on to another task."""
    structlog.contextvars.unbind_contextvars("request_id")


# By name, because these modules import models, which are ready only when a worker starts.
app.steps["worker"].update(
    {
        "confhub.fleet.steps:FollowStep",
        "confhub.fleet.steps:HostDutyStep",
        "confhub.publishing.steps:SweepStep",
        "confhub.webhooks.steps:WebhooksStep",
    }
)
