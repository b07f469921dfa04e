"""What a saved text changes, three ways: as it was opened, as it is now, and as it was written. Reads no rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confhub.core.actors import Actor
from confhub.releases import texts
from confhub.releases.places import Place
from confhub.releases.raw_now import Held, stale
from confhub.releases.texts import Format, Reading, TextUnreadable
from confhub.releases.texts.base import same
from confhub.releases.texts.masks import is_kept, unmasked
from watchers.wire.canonical import Json

_ABSENT: Any = object()


@dataclass(frozen=True)
class Asked:
    """A save, as it came in."""

    format: Format
    text: str
    opened: str | None
    expected: int | None
    expected_draft: int | None
    give_up: Collection[str]
    who: Actor
    now: datetime


def changes(
    asked: Asked, held: Held, read: Reading
) -> tuple[dict[str, Json], list[str], list[str]]:
    """(set, unset, revert): what the writer changed since the text was opened."""
    base = base_of(asked, held)
    mine = read.values
    touched = [
        key
        for key in {*base, *mine}
        if not _same(mine, base, key)
        and not _same(mine, held.values, key)
        and key not in asked.give_up
    ]
    wanted = {key: mine[key] for key in touched if key in mine}
    drafted = {change.key for change in held.view.changes}
    revert = [key for key in wanted if key in drafted and _same(wanted, held.published, key)]
    prints = {
        key: str(entry.get("fingerprint", ""))
        for key, entry in held.entries.items()
        if entry.get("secret")
    }
    set_ = unmasked(
        {key: value for key, value in wanted.items() if key not in revert},
        read.lines, fingerprints=prints, secret_keys=held.secret_keys,
    )  # fmt: skip
    unset = [key for key in touched if key not in mine]
    return set_, unset, revert


def _same(one: Mapping[str, Json], other: Mapping[str, Json], key: str) -> bool:
    mine, theirs = one.get(key, _ABSENT), other.get(key, _ABSENT)
    return mine is theirs or (mine is not _ABSENT and theirs is not _ABSENT and same(mine, theirs))


def base_of(asked: Asked, held: Held) -> dict[str, Json]:
    """What the writer began with."""
    if held.row and held.row.problem and held.version == asked.expected:
        base: dict[str, Json] = held.row.problem["base"]
        return base
    if asked.opened is None:
        return held.values
    try:
        return texts.read(asked.format, asked.opened, held.values)
    except TextUnreadable:
        return held.values


def base_to_keep(asked: Asked, held: Held) -> dict[str, Json]:
    """The same without the value of any secret."""
    base = base_of(asked, held)
    typed = {key for key in held.secret_keys & base.keys() if not is_kept(base[key])}
    return {
        key: held.values.get(key) if key in typed else value
        for key, value in base.items()
        if key not in typed or is_kept(held.values.get(key))
    }


def base_version(asked: Asked, held: Held) -> int:
    if held.row and held.row.problem:
        version: int = held.row.problem["draft"]
        return version
    return held.view.version if asked.expected_draft is None else asked.expected_draft


def kept_text(place: Place, asked: Asked, held: Held) -> str:
    """The text to keep: the writer's, or the one that was saved meanwhile where the writer changed
    values only. Raises TextIsStale."""
    return asked.text if held.version == asked.expected else _merged(place, asked, held)


def without_secrets(held: Held, format: Format, text: str) -> str:
    """`text` with the mask of each secret of the draft, as it is now, for what stands there."""
    if not held.secret_keys:
        return text
    said = texts.read(format, text, held.values)
    is_open = any(not is_kept(said[key]) for key in held.secret_keys & said.keys())
    return texts.patch(format, text, held.values) if is_open else text


def _merged(place: Place, asked: Asked, held: Held) -> str:
    opened, row = asked.opened, held.row
    if row is None or row.problem is not None or opened is None:
        raise stale(place, held, asked.format)
    if texts.has_same_notes(asked.format, asked.text, opened):
        return row.text
    if texts.has_same_notes(asked.format, row.text, opened):
        return asked.text
    raise stale(place, held, asked.format)
