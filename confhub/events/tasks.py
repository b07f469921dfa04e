"""Celery's way in; each task finds its work in rows."""

from datetime import timedelta

from celery import shared_task

from confhub.core import clock
from confhub.events import actions

EVENTS_ARE_KEPT = timedelta(days=7)


@shared_task(name="confhub.events.fan_out", ignore_result=True)
def fan_out(**_from_newer_callers: object) -> None:
    actions.fan_out()


@shared_task(name="confhub.events.forget_old", ignore_result=True)
def forget_old(**_from_newer_callers: object) -> None:
    actions.forget_old(before=clock.now() - EVENTS_ARE_KEPT)
