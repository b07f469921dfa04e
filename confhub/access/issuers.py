"""The public keys of those who issue identity tokens, as they publish them, kept for minutes.

An issuer says at its `/.well-known/openid-configuration` where its keys are (OpenID Connect
Discovery 1.0), unless an administrator wrote that address down. Keys are fetched over TLS, because
whoever could change them on the way could make anybody's identity. Nobody waits for them with a
database connection in hand.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import connections

from confhub.core import outgoing
from confhub.core.errors import ConfHubError

log = structlog.get_logger("access")

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 5.0  # of each of the two questions
MAX_BYTES = 256 * 1024
MAX_KEYS = 100
FRESH_S = 600.0  # an issuer that takes a key back is believed within ten minutes
REFETCH_S = 30.0  # at most so often for a key id that is not known, because anybody can make one up
KEPT_S = (
    3600.0  # while an issuer does not answer, its keys are good so long after they were fetched
)
AGAIN_S = 5.0  # it is not asked anew sooner after it did not answer

Jwk: TypeAlias = Mapping[str, Any]


class IssuerAway(ConfHubError):
    """The issuer's keys cannot be had, so nobody knows whether the identity token is genuine."""

    code: ClassVar[str] = "oidc.issuer_away"
    status: ClassVar[int] = 503


class Source(NamedTuple):
    """Where keys come from."""

    issuer: str
    jwks_url: str  # "": discovered


class NoKeys(Exception):
    """What the issuer answered, or that it did not; a sentence."""


@dataclass
class _Held:
    """The keys of one source, and when it was asked."""

    keys: Mapping[str, Jwk] = field(
        default_factory=dict
    )  # by key id; replaced whole, never changed
    fetched_s: float = float("-inf")
    asked_s: float = float("-inf")
    trouble: str = ""  # why the newest question has no answer
    asking: threading.Lock = field(default_factory=threading.Lock)

    def usable(self, kid: str, now_s: float) -> Jwk | None:
        return self.keys.get(kid) if now_s - self.fetched_s <= KEPT_S else None

    def is_due(self, kid: str, now_s: float) -> bool:
        asked_ago_s = now_s - self.asked_s
        if self.trouble:
            return asked_ago_s >= AGAIN_S
        return now_s - self.fetched_s >= FRESH_S or (kid not in self.keys and asked_ago_s >= REFETCH_S)  # fmt: skip


class Issuers:
    """The keys of all sources, in the memory of this process. Safe for threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most: int = 200) -> None:
        self._clock, self._most = clock, most
        self._held: OrderedDict[Source, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def key(self, source: Source, kid: str) -> Jwk | None:
        """The public key `kid` of the source; None where the issuer has no such key.

        Raises IssuerAway.
        """
        held = self._of(source)
        if held.is_due(kid, self._clock()):
            # One asks. Who has the key already goes on with it; the others wait for the answer.
            has_it = held.usable(kid, self._clock()) is not None
            if held.asking.acquire(blocking=not has_it):
                try:
                    if held.is_due(kid, self._clock()):  # else somebody asked meanwhile
                        self._ask(source, held)
                finally:
                    held.asking.release()
        found = held.usable(kid, self._clock())
        if found is None and held.trouble:
            raise IssuerAway(
                f"The keys of {source.issuer} cannot be had. {held.trouble} Nothing was exchanged; "
                "try again in a moment.",
                extra={"retry_after_s": int(AGAIN_S)},
            )
        return found

    def forget(self) -> None:
        """Everything is asked anew."""
        with self._lock:
            self._held.clear()

    def _of(self, source: Source) -> _Held:
        with self._lock:
            held = self._held.setdefault(source, _Held())
            self._held.move_to_end(source)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
            return held

    def _ask(self, source: Source, held: _Held) -> None:
        _let_go_of_the_database()
        try:
            keys = fetch(source)
        except NoKeys as error:
            held.trouble = str(error)
            log.warning("issuer.away", issuer=source.issuer, reason=held.trouble)
        else:
            held.keys, held.fetched_s, held.trouble = keys, self._clock(), ""
            log.info("issuer.keys", issuer=source.issuer, keys=sorted(keys))
        held.asked_s = self._clock()


issuers = Issuers()  # of this process


def fetch(source: Source) -> dict[str, Jwk]:
    """{key id: key} as the source publishes them now. Raises NoKeys."""
    found = _document(source.jwks_url or _discovered(source.issuer)).get("keys")
    if not isinstance(found, list):
        raise NoKeys("What it answered is no key set: it has no list of keys.")
    keys: dict[str, Jwk] = {}
    for key in found[:MAX_KEYS]:
        if isinstance(key, dict) and isinstance(key.get("kid"), str):
            keys.setdefault(key["kid"], key)
    return keys


def address_problem(url: str) -> str | None:
    """The sentence that says why keys cannot be fetched from `url`; None where they can."""
    if (problem := outgoing.url_problem(url)) is not None:
        return problem
    parts = urlsplit(url)
    allowed = {parts.hostname, f"{parts.hostname}:{parts.port}"} & set(settings.CONFHUB_OUTGOING_ALLOW)  # fmt: skip
    if parts.scheme != "https" and not allowed:
        return (
            "Write it with https://, because whoever could change keys on their way could make "
            "anybody's identity."
        )
    return None


def _discovered(issuer: str) -> str:
    """Where the issuer says that its keys are. Raises NoKeys."""
    document = _document(issuer.rstrip("/") + DISCOVERY)
    if document.get("issuer") != issuer:  # section 4.3: they must be the same
        said = str(document.get("issuer"))[:200]
        raise NoKeys(f"Its discovery document is of another issuer, {said!r}.")
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        raise NoKeys("Its discovery document names no `jwks_uri`.")
    return url


def _document(url: str) -> dict[str, Any]:
    if (problem := address_problem(url)) is not None:
        raise NoKeys(f"{url[:200]!r} cannot be asked: {problem}")
    try:
        answer = outgoing.send(
            "GET", url, headers={"accept": "application/json"}, timeout_s=TIMEOUT_S,
            max_bytes=MAX_BYTES,
        )  # fmt: skip
    except outgoing.NotSent as error:
        raise NoKeys(f"{url}: {error}") from error
    if answer.status != 200:
        raise NoKeys(f"{url} answered {answer.status}.")
    if not answer.whole:
        raise NoKeys(f"{url} answered with more than {MAX_BYTES:,} bytes.")
    try:
        document = answer.json()
    except (ValueError, RecursionError) as error:
        raise NoKeys(f"{url} answered with what is no JSON.") from error
    if not isinstance(document, dict):
        raise NoKeys(f"{url} answered with what is no JSON object.")
    return document


def _let_go_of_the_database() -> None:
    """Give this thread's connection back while it waits for somebody else's server."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # a transaction would end with it
            connection.close()
