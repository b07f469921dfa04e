"""Signals for a Celery worker: `import confhub.client.celery` beside the Celery app.

The worker reports its release once it is ready, and each process of its prefork pool does.
"""

from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown, worker_ready

from confhub.client.hooks import close_all, report_all


@worker_ready.connect
def report_worker(sender: Any = None, **_: object) -> None:
    report_all(f"Celery worker {getattr(sender, 'hostname', sender)}")


@worker_process_init.connect
def report_pool_process(**_: object) -> None:
    report_all("A Celery pool process")


@worker_process_shutdown.connect
def leave(**_: object) -> None:
    close_all()
