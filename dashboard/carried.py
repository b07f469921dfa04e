"""A text that goes through a person's browser from one step of a form to the next, sealed.

It may hold secrets, so it must not stand in a page; and nothing is kept here, so that every process
can take the next step. It opens for the same person, at the same place, for an hour.
"""

import base64
import json
import zlib
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

MAX_AGE_S = 3600
_PURPOSE = "confhub.dashboard.carried"


class NotCarried(ValueError):
    """What came back is too old, of another person or place, or was changed."""


def sealed(text: str, filename: str, *, owner: str, place: str) -> str:
    """`text` for a hidden field."""
    held = json.dumps([owner, place, filename, text]).encode()
    return _box().encrypt(zlib.compress(held)).decode()


def opened(token: str, *, owner: str, place: str) -> tuple[str, str]:
    """(text, filename). Raises NotCarried."""
    try:
        held = json.loads(zlib.decompress(_box().decrypt(token.encode(), ttl=MAX_AGE_S)))
    except InvalidToken as error:
        raise NotCarried from error
    if held[:2] != [owner, place]:
        raise NotCarried
    return held[3], held[2]


def _box() -> MultiFernet:
    secrets = [str(each) for each in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    keys = [sha256(f"{_PURPOSE}:{secret}".encode()).digest() for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])
