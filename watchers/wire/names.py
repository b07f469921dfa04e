"""What keys, values, services and environments may be called, and what they become as variables."""

import re
from collections.abc import Iterable

from watchers.wire.canonical import Json, canonical

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAX_VALUE_BYTES = 256 * 1024  # larger things are files for an image, not configuration
MAX_DEPTH = 64  # deeper documents end in a RecursionError in some reader


class BadName(ValueError):
    """A key, a value or a slug that may not stand in a release; the text says which and what may."""


def check_key(key: str) -> None:
    """Raise BadName unless `key` may name an entry."""
    if not KEY.fullmatch(key):
        raise BadName(
            f"{key[:140]!r} is not a key: write 1 to 128 letters, digits, '_', '.' or '-', "
            "beginning with a letter or '_'."
        )


def check_slug(slug: str, *, what: str) -> None:
    """Raise BadName unless `slug` may name a `what` ("service", "environment")."""
    if not SLUG.fullmatch(slug):
        raise BadName(
            f"{slug[:80]!r} is not a name for a {what}: write 1 to 63 small letters, digits or "
            "'-', with no '-' at either end."
        )


def check_value(key: str, value: Json) -> None:
    """Raise BadName unless `value` may be stored under `key`."""
    if _depth(value, MAX_DEPTH) > MAX_DEPTH:
        raise BadName(f"{key}: lists and objects may nest {MAX_DEPTH} deep at most.")
    try:
        size_bytes = len(canonical(value))
    except (ValueError, TypeError) as error:
        raise BadName(f"{key}: {error}; write a JSON value.") from error
    if size_bytes > MAX_VALUE_BYTES:
        raise BadName(
            f"{key}: the value has {size_bytes:,} bytes; at most {MAX_VALUE_BYTES:,} are kept. "
            "Put large data into the image or a volume, and its address here."
        )


def _depth(value: Json, limit: int) -> int:
    """How deep `value` nests, counting no further than one beyond `limit`."""
    level: list[Json] = [value]
    for depth in range(limit + 1):
        level = [
            child
            for node in level
            if isinstance(node, list | dict)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return depth
    return limit + 1


def env_name(key: str) -> str:
    """`key` as an environment variable: upper-cased, every other character a `_`."""
    return re.sub(r"[^A-Z0-9_]", "_", key.upper())


def colliding(keys: Iterable[str]) -> list[tuple[str, ...]]:
    """The groups of `keys` that would be one environment variable, each group sorted."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(env_name(key), []).append(key)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
