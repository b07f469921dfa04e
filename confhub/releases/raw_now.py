"""A draft and its texts as they are now, read in one go: what raw mode compares with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from confhub.catalog.models import Scope
from confhub.core.errors import ConfHubError
from confhub.releases import texts
from confhub.releases.entries import Entries, masked
from confhub.releases.layering import Ground
from confhub.releases.models import DraftText
from confhub.releases.places import Frozen, Place, of_draft
from confhub.releases.queries import DraftView, draft_of, drafted_own, head_of
from confhub.releases.texts import Format, TextUnreadable
from confhub.releases.texts.masks import mask_of
from confhub.releases.writing import facts_of
from watchers.wire.canonical import Json


class TextIsStale(ConfHubError):
    """Somebody saved this text after the caller opened it, and changed more in it than values."""

    code: ClassVar[str] = "text.stale"
    status: ClassVar[int] = 412


@dataclass(frozen=True)
class Problem:
    """Why a text does not read."""

    line: int
    column: int
    message: str


@dataclass(frozen=True)
class TextView:
    """A draft in one format. `draft_version` is the one that the text was made from: what a save
    of it is compared with."""

    format: Format
    text: str
    version: int  # of the text; 0 before its first save
    draft_version: int
    problem: Problem | None
    changes: int  # keys that the draft changes
    author: str = ""
    changed_at: datetime | None = None


@dataclass(frozen=True)
class Held:
    """The draft as it is, before anything is changed."""

    view: DraftView
    entries: Entries  # masked
    published: dict[str, Json]
    values: dict[str, Json]  # with masks for secrets
    row: DraftText | None
    secret_keys: frozenset[str]  # here, in a layer below, or by the schema

    @property
    def version(self) -> int:
        return self.row.version if self.row else 0


def held_of(place: Place, format: Format) -> Held:
    head = head_of(place)
    entries = masked(drafted_own(place, head))
    row = DraftText.objects.filter(of_draft(place), format=format).select_related("draft").first()
    return Held(
        view=draft_of(place),
        entries=entries,
        published=_values(masked(head.own_entries) if head else {}),
        values=_values(entries),
        row=row,
        secret_keys=_secret_keys(place, head, entries),
    )


def _values(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    """{KEY: value}, of a secret its mask."""
    return {
        key: mask_of(str(entry.get("fingerprint", ""))) if entry.get("secret") else entry["value"]
        for key, entry in entries.items()
    }


def _secret_keys(place: Place, head: Frozen | None, entries: Entries) -> frozenset[str]:
    below: list[Entries] = []
    if isinstance(place, Scope) and head is not None:
        below = [head.entries]
    elif isinstance(place, Scope):
        ground = Ground.of([place])
        below = [release.entries for release in ground.layers_at(ground.numbers(place))]
    secret = {
        key for held in (entries, *below) for key, entry in held.items() if entry.get("secret")
    }
    return frozenset(secret | {key for key, fact in facts_of(place).items() if fact.secret})


def shown(held: Held, format: Format) -> TextView:
    """The text with the draft's values. Raises TextUnwritable."""
    row, version, count = held.row, held.view.version, len(held.view.changes)
    if row is None:
        return TextView(format, texts.write(format, held.values), 0, version, None, count)
    view = TextView(format, row.text, row.version, version, None, count, row.author, row.changed_at)
    if row.problem is not None:
        known = row.problem
        problem = Problem(known["line"], known["column"], known["message"])
        return replace(view, problem=problem, draft_version=known["draft"])
    try:
        return replace(view, text=texts.patch(format, row.text, held.values))
    except TextUnreadable:  # it read when it was saved, so it took too long this time
        return replace(view, text=texts.write(format, held.values))


def is_as_it_was(place: Place, format: Format, held: Held) -> bool:
    now = held_of(place, format)
    return versions(now) == versions(held) and now.view.head == held.view.head


def stale(place: Place, held: Held, format: Format) -> TextIsStale:
    author = held.row.author if held.row else "Somebody"
    return TextIsStale(
        f"{author} saved this text of {place} after you opened it, and comments or the order were "
        "changed on both sides. Nothing was saved. Look at both and save yours again, or take theirs.",
        extra={**versions(held), "by": author, "theirs": shown(held, format).text},
    )


def versions(held: Held) -> dict[str, int]:
    return {"version": held.version, "draft": held.view.version}
