"""Hooks for gunicorn's configuration file:

from confhub.client.gunicorn import post_fork, post_worker_init, worker_exit

Each worker then counts from its start on, with the release that it has loaded, and until its end.
Works with and without `preload_app`.
"""

from typing import Any

from confhub.client.hooks import close_all, report_all


def post_fork(server: Any, worker: Any) -> None:
    """With `preload_app`, the master's Config goes on in the worker; it is reported from its start."""
    report_all(f"gunicorn worker {worker.pid}")


def post_worker_init(worker: Any) -> None:
    """The worker has loaded the application, and with it whatever Config that makes."""
    for directory, release in report_all(f"gunicorn worker {worker.pid}").items():
        worker.log.info("ConfHub release %s is loaded (%s)", release, directory)


def worker_exit(server: Any, worker: Any) -> None:
    close_all()
