"""How a secret stands in a text: `(secret 3f2a9c1b, kept)`. Whoever saves it again keeps the secret;
whoever writes something else gives it a new value."""

import re
from collections.abc import Mapping

from confhub.releases.texts import TextUnreadable
from watchers.wire.canonical import Json

MASK = re.compile(r"\(secret ([0-9a-f]{4,64}), kept\)")
_SHOWN = 8  # digits of the fingerprint
SECRET = "$secret"  # noqa: S105  # the member's name in REST


def mask_of(fingerprint: str) -> str:
    """`(secret 3f2a9c1b, kept)`"""
    return f"(secret {fingerprint[:_SHOWN]}, kept)"


def unmasked(
    values: Mapping[str, Json], lines: Mapping[str, int],
    *, fingerprints: Mapping[str, str], secret_keys: frozenset[str] = frozenset(),
) -> dict[str, Json]:  # fmt: skip
    """`values` with each new secret as {"$secret": value}; a secret's own mask stays a mask.

    `fingerprints` are those of the secrets that the draft has; `secret_keys` are secret without
    having a value yet. Raises TextUnreadable for a mask anywhere else.
    """
    return {
        key: _unmasked(key, value, lines.get(key, 1), fingerprints.get(key), key in secret_keys)
        for key, value in values.items()
    }


def is_kept(value: Json) -> bool:
    """Is it a mask, which says that the secret stays as it is?"""
    return isinstance(value, str) and MASK.fullmatch(value) is not None


def _unmasked(key: str, value: Json, line: int, held: str | None, is_secret: bool) -> Json:
    if held is not None and value == mask_of(held):
        return value
    if _holds_mask(value):
        raise TextUnreadable(line, 1, _refusal(key, held))
    if held is None and not is_secret:
        return value
    return value if isinstance(value, dict) and SECRET in value else {SECRET: value}


def _refusal(key: str, held: str | None) -> str:
    if held is None:
        return (
            f"{key} is no secret here, so the mask of one cannot be its value. Write the value, "
            f"or {{{SECRET}: value}} for a new secret."
        )
    return (
        f"{key} has the mask of another secret or of an older value. Write {mask_of(held)} to "
        "keep it as it is, or the new value."
    )


def _holds_mask(value: Json) -> bool:
    match value:
        case str():
            return MASK.search(value) is not None
        case list():
            return any(map(_holds_mask, value))
        case dict():
            return any(map(_holds_mask, value.values()))
    return False
