"""When a token was used last and from where, to within a minute.

The row is written at most once a minute, and only where nobody has to wait for it: reading
configuration must neither become slower nor fail because of a note beside it.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from confhub.access.models import Token

log = structlog.get_logger("access")

EVERY = timedelta(minutes=1)


def needs_touch(last_used_at: datetime | None, now: datetime) -> bool:
    """Is it time to write the use down? Pure; `last_used_at` is the row's."""
    return last_used_at is None or now - last_used_at >= EVERY


def touch(token_id: int, last_used_at: datetime | None, *, address: str, now: datetime) -> bool:
    """Write down that the token was used from `address` now, where a minute is over; True if so.

    `last_used_at` is what its row said a moment ago. Never raises, never waits: where the database
    is locked, the next use writes it.
    """
    if not needs_touch(last_used_at, now):
        return False
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - EVERY)
    try:
        with _without_waiting(), transaction.atomic():
            # Skipping what is locked, so that of many requests one writes and none waits for it.
            free = Token.objects.select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked
            )
            ids = list(free.filter(stale, pk=token_id).values_list("pk", flat=True))
            rows = Token.objects.filter(pk__in=ids)
            return rows.update(last_used_at=now, last_used_from=_ip(address)) == 1
    except DatabaseError as error:
        log.debug("token.use_not_written", token=token_id, error=type(error).__name__)
        return False


@contextmanager
def _without_waiting() -> Iterator[None]:
    """SQLite has one lock for everything, for which a write would wait ten seconds."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        [waits_ms] = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(waits_ms)}")


def _ip(address: str) -> str:
    """The address without an IPv6 zone; "" for what is none (a unix socket)."""
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return ""
