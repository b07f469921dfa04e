"""Celery's way in; each task finds its work in rows, so that a lost or doubled ring changes nothing."""

import structlog
from celery import shared_task

from confhub.core import clock
from confhub.publishing.epoch import STORE_TROUBLE
from confhub.publishing.reconcile import reconcile as reconcile_once
from confhub.publishing.relay import relay_waiting
from confhub.publishing.telling import tell_due

log = structlog.get_logger("publishing")


@shared_task(name="confhub.publishing.relay", ignore_result=True)
def relay(**_from_newer_callers: object) -> None:
    relay_waiting(now=clock.now())


@shared_task(name="confhub.publishing.reconcile", ignore_result=True)
def reconcile(**_from_newer_callers: object) -> None:
    try:
        reconcile_once(now=clock.now())
    except STORE_TROUBLE as error:
        log.warning("reconcile.put_off", error=str(error))


@shared_task(name="confhub.publishing.tell_hooks", ignore_result=True)
def tell_hooks(**_from_newer_callers: object) -> None:
    tell_due(now=clock.now())
