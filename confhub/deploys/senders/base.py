"""What every sender module has, and what one request tells of itself."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

TOLERANCE_S = 300  # between the sender's clock and ours
MAX_ID_CHARS = 200
MIN_SECRET_CHARS = 24
_ID = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class Sent:
    """A request as it came. Header names are in small letters."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


@dataclass(frozen=True)
class Proof:
    """What a request that was made with the hook's secret says of itself."""

    delivery_id: str  # the sender's id of it, or a digest of what was signed
    event: str = ""
    covers_id: bool = (
        True  # False: the id is not signed, so one body is one delivery whatever it says
    )
    is_greeting: bool = False  # a sender that only tries the address
    is_late: bool = False  # signed more than TOLERANCE_S ago, or that far in the future


class Sender(Protocol):
    """How one kind of sender proves that it knows the hook's secret."""

    title: str
    usual: tuple[str, ...]  # events that are taken where a hook names none; (): every one

    def new_secret(self) -> str: ...

    def proof(self, sent: Sent, secret: str, *, now: datetime) -> Proof | None:
        """None where it was not made with `secret`. Always one HMAC over the body, so that a wrong
        secret costs the same whatever the kind."""

    def text(self, sent: Sent) -> bytes:
        """The JSON in the body."""


def mac(secret: str | bytes, told: bytes) -> bytes:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, told, hashlib.sha256).digest()


def same(one: str, other: str) -> bool:
    """Are two texts the same, in a time that does not tell where they differ?"""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )


def is_late(stamp_s: int, now: datetime) -> bool:
    return abs(now.timestamp() - stamp_s) > TOLERANCE_S


def seconds_of(text: str) -> int | None:
    """Unix seconds; None for another text."""
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def id_of(text: str) -> str:
    """An id that can be kept: as it is, or its digest where it is long or strange; "" for none."""
    if not text or _ID.fullmatch(text):
        return text
    return digest(text.encode("utf-8", "surrogatepass"))


def event_of(text: str) -> str:
    return text[:60] if text.isascii() and text.isprintable() else ""
