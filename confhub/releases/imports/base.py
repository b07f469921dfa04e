"""What the sources of imports share: items, the rules by which names become keys, and flattening.

A name becomes a key by these rules, in this order:

    1.  a name that is a key already stays as it is
    2.  slashes at either end are left out, a '/' within becomes '.'
    3.  every other character that no key may have becomes '_'
    4.  what would begin with a digit, '.' or '-' gets a '_' in front

Of two names that become one key the one that is spelled like it wins, else the first. The other is
skipped, and so is whatever has no key and whatever no entry can hold; each with its reason.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from confhub.releases.texts.base import holds_nul
from watchers.wire.canonical import Json
from watchers.wire.names import KEY, BadName, check_value

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")
MAX_KEY_CHARS = 128
MAX_SHOWN_CHARS = 400  # of a name or a sentence about one
MAX_DEPTH = 64


class Unfit(Exception):
    """The text is no document of its source; the sentence says why and the way out.

    `line` counts from 1. `choices`: what it holds several of, one of which has to be named.
    """

    def __init__(self, message: str, *, line: int | None = None, choices: Iterable[str] = ()):
        super().__init__(message)
        self.message = message
        self.line = line
        self.choices = list(choices)


@dataclass(frozen=True)
class Item:
    """One value of a document under the name that it has there."""

    name: str
    value: Json
    is_secret: bool = False


@dataclass
class Found:
    """What a document holds, in its order, before names become keys."""

    items: list[Item] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    texts_only: bool = False  # it knows no numbers, so that "20" may be one
    last_wins: bool = False  # as its own reader has it, where a name stands there twice

    def skip(self, name: str, why: str) -> None:
        self.skipped.append((name, why))


def key_of(name: str) -> str:
    """The key that `name` becomes. Raises BadName with the reason where there is none."""
    if KEY.fullmatch(name):
        return name
    key = _UNFIT.sub("_", name.strip("/").replace("/", "."))
    if not key.strip("_.-"):
        raise BadName("Nothing of its name can be part of a key.")
    if not re.match(r"[A-Za-z_]", key):
        key = f"_{key}"
    if len(key) > MAX_KEY_CHARS:
        raise BadName(f"Its key would have {len(key):,} characters; at most {MAX_KEY_CHARS} fit.")
    return key


def flat(values: Mapping[str, Any], path: str = "", depth: int = 0) -> Iterator[tuple[str, Json]]:
    """("db.host", value) for each value below objects. Lists, empty objects and secrets stay whole."""
    for name, value in values.items():
        at = f"{path}.{name}" if path else str(name)
        if isinstance(value, dict) and value and not is_secret_form(value) and depth < MAX_DEPTH:
            yield from flat(value, at, depth + 1)
        else:
            yield at, value


def is_secret_form(value: Json) -> bool:
    """Is it how ConfHub itself writes a secret: new, masked or sealed?"""
    return isinstance(value, dict) and (
        "$secret" in value or (value.get("secret") is True and "ciphertext" in value)
    )


def collected(found: Found) -> dict[str, Any]:
    """{"set": {KEY: value}, "secrets": [KEY], "skipped": [[name, why]], "renamed": [[name, KEY]],
    "notes": [sentence], "texts_only": bool}"""
    set_: dict[str, Json] = {}
    owner: dict[str, str] = {}  # {KEY: the name that it came from}
    secrets: set[str] = set()
    for item in sorted(found.items, key=lambda item: KEY.fullmatch(item.name) is None):
        try:
            key = key_of(item.name)
            check_value(key, item.value)
            _refuse_nul(item.value)
        except BadName as error:
            found.skip(item.name, str(error))
            continue
        if owner.setdefault(key, item.name) != item.name:
            found.skip(item.name, f"Its key would be {key}, which {owner[key]} has taken.")
            continue
        if key in set_ and not found.last_wins:
            found.skip(item.name, "It stands there a second time; the first one is taken.")
            continue
        if key in set_:
            found.notes.append(f"{item.name} stands there more than once; the last one counts.")
        set_[key] = item.value
        (secrets.add if item.is_secret else secrets.discard)(key)
    return {
        "set": set_,
        "secrets": sorted(secrets),
        "skipped": [[shown(name), shown(why)] for name, why in found.skipped],
        "renamed": [[shown(name), key] for key, name in owner.items() if name != key],
        "notes": [shown(note) for note in found.notes],
        "texts_only": found.texts_only,
    }


def shown(text: str) -> str:
    """`text` for people: no half of a character, which no page could write, and not too long."""
    return text[:MAX_SHOWN_CHARS].encode(errors="replace").decode()


def _refuse_nul(value: Json) -> None:
    if holds_nul(value):
        raise BadName("Its value holds a NUL character (U+0000), which no entry can keep.")
