"""How many calls one caller may make: a bucket for each, in the memory of this web process.

A bucket holds a minute's calls, which may be used up at once and come back evenly. It is kept as one
number, the moment at which it would be full again (the generic cell rate algorithm, GCRA), so that a
look costs a microsecond and waits for nothing: docs/decisions/0031-rate-limits-are-kept-in-the-process.md.
"""

import ipaddress
import math
import threading
import time
from typing import ClassVar, Literal, NamedTuple

from django.conf import settings
from django.http import HttpRequest

from confhub.core.errors import ConfHubError

MINUTE_S = 60.0
MAX_BUCKETS = (
    50_000  # some 12 MB; the caller that was silent longest is forgotten, with a full bucket
)
OF_AN_ADDRESS = 10  # whoever is not signed in has this part of the calls


class RateLimited(ConfHubError):
    """Too many calls within a minute. `Retry-After` says in how many seconds the next one is taken."""

    code: ClassVar[str] = "rate.limited"
    status: ClassVar[int] = 429


class Key(NamedTuple):
    """Whose calls are counted together."""

    kind: Literal["token", "person", "address"]
    who: str  # a token's digest, a person's id, an IP address


class Buckets:
    """When the bucket of each key would be full again. Safe for threads; no I/O."""

    def __init__(self, *, most: int = MAX_BUCKETS) -> None:
        self._full_at: dict[Key, float] = {}  # in order of last use, the oldest first
        self._most = most
        self._lock = threading.Lock()

    def take(self, key: Key, now_s: float, *, per_minute: int) -> float | None:
        """None where a call was taken out of the bucket, else the seconds until there is one.

        `now_s` is of one monotonic clock. A refusal takes nothing out, so whoever goes on asking
        does not wait longer for it.
        """
        each_s = MINUTE_S / per_minute
        with self._lock:
            full_at = max(self._full_at.get(key, 0.0), now_s) + each_s
            # Floats: a thousandth of a call may be missing after a thousand additions.
            wait_s = full_at - now_s - MINUTE_S
            if wait_s > each_s * 1e-6:
                return wait_s
            self._full_at.pop(key, None)
            self._full_at[key] = full_at
            if len(self._full_at) > self._most:
                del self._full_at[next(iter(self._full_at))]
        return None

    def __len__(self) -> int:
        return len(self._full_at)

    def clear(self) -> None:
        with self._lock:
            self._full_at.clear()


buckets = Buckets()  # of this process


def check(key: Key, now_s: float | None = None) -> float | None:
    """None where the call may be made, and is counted; else in how many seconds to ask again."""
    per_minute = int(settings.CONFHUB_CALLS_PER_MINUTE)
    if per_minute <= 0:
        return None
    if key.kind == "address":
        per_minute = max(1, per_minute // OF_AN_ADDRESS)
    return buckets.take(key, time.monotonic() if now_s is None else now_s, per_minute=per_minute)


def require(key: Key) -> None:
    """Count a call. Raises RateLimited."""
    wait_s = check(key)
    if wait_s is not None:
        raise limited(wait_s)


def limited(wait_s: float) -> RateLimited:
    """The refusal for somebody whose next call is taken in `wait_s` seconds."""
    seconds = max(1, math.ceil(wait_s))
    return RateLimited(
        f"These were too many calls within a minute. Try again in {seconds} s.",
        extra={"retry_after_s": seconds},
    )


def of_token(digest: str) -> Key:
    """The key of a token, by the hash that is kept of it (`access.queries.token_digest`)."""
    return Key("token", digest)


def of_person(user_id: int | None) -> Key:
    return Key("person", str(user_id))


def of_client(address: str) -> Key:
    """The key of whoever is not signed in. One network of IPv6 is one caller, because everybody has
    2^64 addresses of their own there."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Key("address", "unknown")  # a unix socket, say: all of them together
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return Key("address", str(found.ipv4_mapped))
        return Key("address", str(ipaddress.ip_network((int(found), 64), strict=False)))
    return Key("address", str(found))


def by_address(request: HttpRequest) -> bool:
    """For `auth=` of a call that anybody may make: counts it for the client's address.

    Raises RateLimited.
    """
    require(of_client(str(request.META.get("REMOTE_ADDR", ""))))
    return True
