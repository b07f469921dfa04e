"""One byte form for a JSON value, so that two programs compute the same checksum."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

# What a JSON text can hold. Recursive in truth; `Any` below the first level keeps callers readable.
Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None


def canonical(value: Json | Mapping[str, Any]) -> bytes:
    """`value` as canonical JSON: sorted keys, no spaces, UTF-8.

    Raises ValueError for NaN and the infinities, which JSON does not have, and for a lone
    surrogate, which UTF-8 does not have.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def checksum(entries: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hexadecimal digits over the canonical JSON of a release's `entries`."""
    return "sha256:" + hashlib.sha256(canonical(entries)).hexdigest()
