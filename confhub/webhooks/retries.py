"""When a delivery that failed is tried again. Pure.

Eleven tries over three days, as the specification of Standard Webhooks recommends it:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_H = 3600.0
DELAYS_S = (5.0, 30.0, 120.0, 600.0, _H, 5 * _H, 10 * _H, 14 * _H, 20 * _H, 24 * _H)
LAST_TRY = len(DELAYS_S) + 1
JITTER = 0.2  # of a delay is added at most, so that what failed together does not come together
LONGEST = timedelta(hours=24)  # that a receiver may ask for
OFF_AFTER = timedelta(days=3)  # of nothing but failures the webhook is switched off


def next_try(tries: int, *, now: datetime) -> datetime | None:
    """When to try again after `tries` of them failed; None: it is given up."""
    if tries > len(DELAYS_S):
        return None
    spread = 1 + JITTER * random.random()  # noqa: S311  # nothing to guess
    return now + timedelta(seconds=DELAYS_S[tries - 1] * spread)


def asked_for(retry_after: str | None, *, now: datetime) -> datetime | None:
    """The moment that a Retry-After header names, in seconds or as a date (RFC 9110, 10.2.3)."""
    text = (retry_after or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return now + min(timedelta(seconds=int(text[:9])), LONGEST)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(now, min(aware, now + LONGEST))
