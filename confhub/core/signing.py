"""Signatures of what is sent, as Standard Webhooks 1.0 has them: an id, a moment and a body, by HMAC-SHA-256.

    webhook-id: msg_2f…          the same at every try, so that a receiver can drop a repetition
    webhook-timestamp: 1795550400
    webhook-signature: v1,BASE64

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32


class BadSecret(ValueError):
    """A signing secret is not `whsec_` and 24 to 64 bytes in base64."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes of `whsec_…`. Raises BadSecret."""
    try:
        raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSecret(f"Write {PREFIX} and base64.") from error
    if not secret.startswith(PREFIX) or not 24 <= len(raw) <= 64:
        raise BadSecret(f"Write {PREFIX} and 24 to 64 random bytes in base64.")
    return raw


def headers(secret: str, message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The three headers. `now` is an aware UTC time. Raises BadSecret."""
    stamp = str(int(now.timestamp()))
    told = f"{message_id}.{stamp}.".encode() + body
    digest = hmac.new(key_of(secret), told, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
