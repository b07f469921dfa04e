"""Values as text in each format: sorted, the same bytes for the same values, read back exactly."""

import json
import re
from collections.abc import Callable, Mapping

from watchers.render.errors import CannotRender
from watchers.render.toml_form import write_toml
from watchers.render.yaml_form import write_yaml
from watchers.wire.canonical import Json
from watchers.wire.documents import plain_value
from watchers.wire.names import colliding, env_name

_PROPERTY = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}


def write_json(values: Mapping[str, Json]) -> bytes:
    text = json.dumps(values, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


# ── env ───────────────────────────────────────────────────────────────────────────────────────────


def variables(values: Mapping[str, Json]) -> dict[str, str]:
    """{"DB_POOL": "20", …}: the values as environment variables. Raises CannotRender."""
    for group in colliding(values):
        raise CannotRender(f"{' and '.join(group)} would be one environment variable; rename one.")
    made = {}
    for key, value in values.items():
        text = plain_value(value).decode()
        if "\0" in text:
            raise CannotRender(
                f"{key} holds a NUL character, which no environment variable can hold."
            )
        made[env_name(key)] = text
    return made


def write_env(values: Mapping[str, Json]) -> bytes:
    made = variables(values)
    return "".join(f"{name}={_quoted(text)}\n" for name, text in sorted(made.items())).encode()


def _quoted(text: str) -> str:
    """One word for a POSIX shell, and for Compose wherever one form serves both.

    Compose knows no quote inside single quotes, so an apostrophe takes double quotes, unless the
    text also holds what double quotes would change; that form is the shell's alone.
    """
    if "'" not in text:
        return f"'{text}'"
    if not re.search(r'["$`\\]', text):
        return f'"{text}"'
    return "'" + text.replace("'", "'\\''") + "'"


# ── properties ────────────────────────────────────────────────────────────────────────────────────


def write_properties(values: Mapping[str, Json]) -> bytes:
    """As java.util.Properties reads it, in ASCII alone: old readers take ISO-8859-1, new ones UTF-8.

    Texts as they are, every other value as JSON.
    """
    lines = []
    for key, value in sorted(values.items()):
        text = _escaped(plain_value(value).decode())
        # Blanks before a value are skipped, unless the first of them is escaped.
        first = "\\" if text.startswith(" ") else ""
        lines.append(f"{key}={first}{text}\n")
    return "".join(lines).encode()


def _escaped(text: str) -> str:
    return "".join(
        _PROPERTY.get(character) or (character if " " <= character <= "~" else _unicode(character))
        for character in text
    )


def _unicode(character: str) -> str:
    """`\\u00fc`, and two of them beyond U+FFFF, as Java counts."""
    raw = character.encode("utf-16-be").hex()
    return "".join(f"\\u{raw[at : at + 4]}" for at in range(0, len(raw), 4))


WRITERS: Mapping[str, Callable[[Mapping[str, Json]], bytes]] = {
    "env": write_env,
    "json": write_json,
    "properties": write_properties,
    "toml": write_toml,
    "yaml": write_yaml,
}
