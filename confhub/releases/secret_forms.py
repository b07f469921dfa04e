"""How a secret is written in what comes in. Pure.

{"$secret": value}                                 a new value
{"$secret": value, "write_only": true}             the same, which nobody may ever reveal
{"$secret": true, "fingerprint": …, "version": …}  the mask, as it is answered: as it is now
"(secret 3f2a9c1b, kept)"                          the mask as it stands in a text format
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchers.redact import MASK as REDACTED
from watchers.wire.canonical import Json, canonical
from watchers.wire.names import BadName

MAX_SECRET_BYTES = 64 * 1024  # of its canonical JSON
SECRET = "$secret"  # noqa: S105  # the member's name
_MASK_MEMBERS = {SECRET, "fingerprint", "version", "write_only"}
_TEXT_MASK = re.compile(r"\(secret ([0-9a-f]{4,64}), kept\)")
_DOTS = re.compile(rf"\s*(?:[*•●]{{3,}}|{re.escape(REDACTED)})\s*")


@dataclass(frozen=True)
class NewSecret:
    """A value to be sealed. `write_only` None: as the key was."""

    value: Json
    write_only: bool | None = None


@dataclass(frozen=True)
class Kept:
    """The secret with this fingerprint, as it is. A text format's mask has its first digits only."""

    fingerprint: str
    is_short: bool = False

    def is_of(self, entry: Mapping[str, Any]) -> bool:
        known = str(entry.get("fingerprint", "")) if entry.get("secret") else ""
        return known.startswith(self.fingerprint) if self.is_short else known == self.fingerprint


def read(key: str, value: Json) -> NewSecret | Kept | None:
    """What `value` says of a secret; None for a plain value. Raises BadName (no value is quoted)."""
    if isinstance(value, str):
        mask = _TEXT_MASK.fullmatch(value)
        return Kept(mask[1], is_short=True) if mask else None
    if isinstance(value, dict) and SECRET in value:
        return _read_member(key, value)
    if _holds_secret(value):
        raise BadName(
            f'{key}: "{SECRET}" stands within the value. A secret is the whole value of a key: '
            f'write {{"{SECRET}": …}} around all of it.'
        )
    return None


def check(key: str, value: Json) -> None:
    """Raise BadName unless `value` may be kept, as a secret or plain."""
    asked = read(key, value)
    if isinstance(asked, NewSecret):
        check_secret(key, asked.value)


def check_secret(key: str, value: Json) -> None:
    """Raise BadName unless `value` may be a secret: no mask, not too large."""
    if holds_mask(value):
        raise BadName(
            f"{key}: this is the mask that stands for a secret, so it cannot be its value. Leave "
            "the key out to keep the secret, or write the new value."
        )
    if _holds_secret(value):
        raise BadName(f'{key}: "{SECRET}" stands within a secret\'s value. Write it once.')
    size_bytes = len(canonical(value))
    if size_bytes > MAX_SECRET_BYTES:
        raise BadName(
            f"{key}: the secret has {size_bytes:,} bytes; at most {MAX_SECRET_BYTES:,} are kept. "
            "Put large files into the container's own secret store."
        )


def holds_mask(value: Json) -> bool:
    """Is it, or does it hold, a text that somewhere stands for a secret?"""
    match value:
        case str():
            return bool(_TEXT_MASK.search(value) or _DOTS.fullmatch(value))
        case list():
            return any(map(holds_mask, value))
        case dict():
            return any(map(holds_mask, value.values()))
    return False


def _read_member(key: str, value: Mapping[str, Any]) -> NewSecret | Kept:
    strange = set(value) - _MASK_MEMBERS
    write_only = value.get("write_only")
    if strange or not (write_only is None or isinstance(write_only, bool)):
        raise BadName(
            f'{key}: write {{"{SECRET}": value}} for a new value (with "write_only": true where '
            "nobody may reveal it), or the mask as it was answered."
        )
    print_ = value.get("fingerprint")
    if value[SECRET] is True or "fingerprint" in value or "version" in value:
        if value[SECRET] is not True or not isinstance(print_, str) or not print_:
            raise BadName(
                f"{key}: this is neither the mask of a secret nor a new value. Send "
                f'{{"{SECRET}": value}}; a secret cannot be the bare word true.'
            )
        return Kept(print_)
    return NewSecret(value[SECRET], write_only)


def _holds_secret(value: Json) -> bool:
    match value:
        case list():
            return any(map(_holds_secret, value))
        case dict():
            return SECRET in value or any(map(_holds_secret, value.values()))
    return False
