"""A release as the bytes of files: `config.json`, `config.env`, and entries that are whole files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from watchers.wire.canonical import Json
from watchers.wire.documents import ReleaseDocument, plain_value
from watchers.wire.names import KEY, colliding, env_name

FORMATS = ("env", "json")
LATER = ("yaml", "toml", "properties")  # named by the contract, not written by this version
TAKEN = re.compile(r"current|release|config\.(env|json|yaml|toml|properties)|gen-.*")


class BadSpec(ValueError):
    """A `confhub.files` that cannot be followed; the text says which part and what can be written."""


class CannotRender(Exception):
    """This release cannot become the files that were asked for; the text names the entry."""


@dataclass(frozen=True)
class Files:
    """What one instance wants written."""

    formats: tuple[str, ...] = ("env", "json")
    entries: tuple[str, ...] = ()  # entries whose value is the text of a file of that name


def parse_files(spec: str) -> Files:
    """`env,json,entry:nginx.conf` as Files. Raises BadSpec."""
    words = [word.strip() for word in spec.split(",") if word.strip()]
    if not words:
        raise BadSpec(f"confhub.files={spec!r} names nothing: write env, json or entry:NAME.")
    formats = tuple(dict.fromkeys(word for word in words if not word.startswith("entry:")))
    entries = tuple(dict.fromkeys(word[6:] for word in words if word.startswith("entry:")))
    for word in formats:
        if word not in FORMATS:
            raise BadSpec(f"confhub.files names {word!r}, {_why_not(word)}")
    for name in entries:
        if not KEY.fullmatch(name):
            raise BadSpec(f"confhub.files names entry:{name[:80]}, which cannot be an entry's key.")
        if TAKEN.fullmatch(name):
            raise BadSpec(
                f"confhub.files names entry:{name}, but ConfHub uses that name in the directory itself."
            )
    return Files(formats, entries)


def _why_not(word: str) -> str:
    now = "this version writes env, json and entry:NAME."
    if word in LATER or "=" in word:
        return f"which is planned, but not written yet; {now}"
    return f"which is no format; {now}"


def render(document: ReleaseDocument, files: Files) -> dict[str, bytes]:
    """{"config.json": b"…", "release": b"42\\n", …}, the same bytes for the same release.

    Raises CannotRender when an entry is missing, is no text, or cannot be a variable.
    """
    values = document.values
    made = {"release": f"{document.release}\n".encode()}
    if "json" in files.formats:
        text = json.dumps(values, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        made["config.json"] = f"{text}\n".encode()
    if "env" in files.formats:
        made["config.env"] = _env_file(variables(values))
    for name in files.entries:
        made[name] = _whole_file(document.release, name, values)
    return made


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


def _env_file(made: Mapping[str, str]) -> bytes:
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


def _whole_file(release: int, name: str, values: Mapping[str, Json]) -> bytes:
    if name not in values:
        raise CannotRender(
            f"Release {release} has no entry {name}, which confhub.files asks for as a file."
        )
    value = values[name]
    if not isinstance(value, str):
        raise CannotRender(f"{name} is no text in release {release}, so it cannot be a file.")
    return value.encode()
