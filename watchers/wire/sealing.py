"""Secret entries: `v1:KID:BASE64`, AES-256-GCM under a key of one service in one environment.

BASE64 is nonce (12 bytes) || ciphertext || tag (16 bytes) of the value's canonical JSON. KID names
the key. Service, environment, the entry's key and KID are authenticated with it, so that a sealed
value that somebody moved elsewhere does not open there.
"""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from watchers.wire.canonical import Json, canonical
from watchers.wire.names import SLUG

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
KID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
SEALED = re.compile(r"v1:(?P<kid>[A-Za-z0-9_.-]{1,64}):(?P<body>[A-Za-z0-9+/]+={0,2})")
FORM = "KID:BASE64 or SERVICE/ENVIRONMENT=KID:BASE64 with 32 bytes in BASE64, several with commas"


class BadKey(ValueError):
    """A key that cannot be used; the text says which, by its position and never by its content."""


class CannotOpen(Exception):
    """A sealed value does not open; the text names its key and why."""


@dataclass(frozen=True)
class SealingKey:
    """32 bytes under a name that may be known to everybody."""

    kid: str
    raw: bytes = field(repr=False)

    @classmethod
    def generate(cls, kid: str) -> Self:
        return cls(kid, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`KID:BASE64`. Raises ValueError with no part of the key in it."""
        kid, _, body = text.strip().partition(":")
        try:
            raw = base64.b64decode(body, validate=True)
        except binascii.Error:
            raw = b""
        if not KID.fullmatch(kid) or len(raw) != KEY_BYTES:
            raise BadKey("it is not KID:BASE64 with 32 bytes in BASE64")
        return cls(kid, raw)

    def to_text(self) -> str:
        return f"{self.kid}:{base64.b64encode(self.raw).decode()}"


@dataclass(frozen=True)
class Keyring:
    """The keys that an agent was given: those of one scope, and those that are tried for any."""

    keys: Mapping[tuple[str, str], SealingKey] = field(default_factory=dict)  # {(scope, kid): key}

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Keys with commas or on lines of their own; `#` begins a comment. Raises BadKey."""
        lines = (line.partition("#")[0] for line in text.splitlines())
        words = [word.strip() for line in lines for word in line.split(",") if word.strip()]
        return cls(dict(_read(words)))

    def find(self, service: str, environment: str, kid: str) -> SealingKey | None:
        return self.keys.get((f"{service}/{environment}", kid)) or self.keys.get(("", kid))


def _read(words: Iterable[str]) -> Iterable[tuple[tuple[str, str], SealingKey]]:
    for number, word in enumerate(words, 1):
        # A scope ends before the first ":", where a BASE64 may end with "=".
        scope, mark, rest = word.partition("=")
        if not mark or ":" in scope:
            scope, rest = "", word
        parts = scope.split("/")
        if scope and (len(parts) != 2 or not all(SLUG.fullmatch(part) for part in parts)):
            raise BadKey(f"Key {number} names no SERVICE/ENVIRONMENT: write {FORM}.")
        try:
            key = SealingKey.from_text(rest)
        except BadKey as error:
            raise BadKey(f"Key {number} cannot be used: {error}. Write {FORM}.") from error
        yield (scope, key.kid), key


def seal(value: Json, key: SealingKey, *, service: str, environment: str, name: str) -> str:
    """`value` as the ciphertext of the entry `name`; another text each time."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # most agents never need it

    nonce = secrets.token_bytes(NONCE_BYTES)
    bound = _bound(service, environment, name, key.kid)
    body = nonce + AESGCM(key.raw).encrypt(nonce, canonical(value), bound)
    return f"v1:{key.kid}:{base64.b64encode(body).decode()}"


def unseal(sealed: str, keyring: Keyring, *, service: str, environment: str, name: str) -> Json:
    """The value of the entry `name`. Raises CannotOpen."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    found = SEALED.fullmatch(sealed)
    body = base64.b64decode(found["body"]) if found and len(found["body"]) % 4 == 0 else b""
    if found is None or len(body) < NONCE_BYTES + TAG_BYTES:
        raise CannotOpen(f"{name} is secret, but not sealed as v1:KID:BASE64.")
    key = keyring.find(service, environment, found["kid"])
    if key is None:
        raise CannotOpen(
            f"{name} is secret and cannot be opened: no key {found['kid']} here; set "
            f"CONFHUB_SECRETS_KEY or CONFHUB_SECRETS_KEY_FILE to {FORM}."
        )
    bound = _bound(service, environment, name, key.kid)
    try:
        raw = AESGCM(key.raw).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], bound)
    except InvalidTag as error:
        raise CannotOpen(
            f"{name} is secret and does not open with the key {key.kid} that is here: another key "
            "has this name, or the value was changed or moved."
        ) from error
    opened: Json = json.loads(raw)
    return opened


def _bound(service: str, environment: str, name: str, kid: str) -> bytes:
    return canonical({"confhub": "v1", "scope": [service, environment], "key": name, "kid": kid})
