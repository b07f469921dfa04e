"""What the hooks of Django, gunicorn and Celery share: every Config of this process."""

import logging

from confhub.client.errors import ConfigError
from confhub.client.watch import all_watches

log = logging.getLogger("confhub.client")


def report_all(who: str) -> dict[str, int]:
    """Begin every Config that was made here and report its release; {"Config's directory": release}.

    A worker that never read one would otherwise be no client, and hold no release up.
    Trouble is logged and does not keep the worker from starting: its first read raises it.
    """
    loaded = {}
    for watch in all_watches():
        if watch.is_closed:
            continue
        try:
            loaded[str(watch.source.files.directory)] = watch.start().release
            watch.report_again()
        except ConfigError as error:
            log.error("%s has no configuration: %s", who, error)
    return loaded


def close_all() -> None:
    """Leave, so that nobody waits for a process that is ending."""
    for watch in all_watches():
        watch.close()
