"""Celery's way in: sweeps, and what a host is asked through its own queue."""

import structlog
from celery import shared_task

from confhub.core import clock
from confhub.fleet import actions, hostduty

log = structlog.get_logger("fleet")


@shared_task(name="confhub.fleet.forget_gone", ignore_result=True)
def forget_gone(**_from_newer_callers: object) -> None:
    actions.forget_gone(now=clock.now())


@shared_task(name="confhub.fleet.look_again", ignore_result=True)
def look_again(**_from_newer_callers: object) -> None:
    """Runs on the asked host's own worker, in the process of its agent."""
    hostduty.agent().look_again()


@shared_task(name="confhub.fleet.retry", ignore_result=True)
def retry(*, instance_id: str, **_from_newer_callers: object) -> None:
    hostduty.agent().retry(instance_id)
