"""Keys that a draft and a release since its base both changed: what each side made of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from confhub.releases.draft_rows import OpenDraft
from confhub.releases.entries import BadEntries, Entries, masked_entry
from confhub.releases.merging import Merged, merge
from confhub.releases.places import Place, frozen
from confhub.releases.queries import DraftView, draft_of, head_of

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Overlap:
    """One key to decide about; entries are masked, None where the key is not there."""

    key: str
    author: str  # of the draft's side
    base: Entry | None
    mine: Entry | None
    theirs: Entry | None
    merged: Merged | None  # with both sides' changes, where they do not meet


def overlaps_of(place: Place, draft: DraftView | None = None) -> list[Overlap]:
    """Every key that has to be decided about before the draft can be published."""
    draft = draft_of(place) if draft is None else draft
    if not draft.overlapping:
        return []
    head, drafted = head_of(place), {change.key: change for change in draft.changes}
    published = head.own_entries if head is not None else {}
    base = _own_at(place, draft.base)
    found = []
    for key in draft.overlapping:
        sides = (base.get(key), drafted[key].entry or None, published.get(key))
        before, mine, theirs = (None if side is None else masked_entry(side) for side in sides)
        found.append(Overlap(key, drafted[key].author, before, mine, theirs, _merged(*sides)))
    return found


def merged_entries(held: OpenDraft, keys: Collection[str]) -> Entries:
    """{KEY: its entry with both sides' changes}. Raises BadEntries for what does not merge."""
    if not keys:
        return {}
    base, found = _own_at(held.place, held.draft.base), {}
    for key in keys:
        row = held.rows.get(key)
        merged = _merged(base.get(key), row.entry if row else None, held.own.get(key))
        if merged is None:
            raise BadEntries(
                f"Both sides changed the same part of {key[:140]} of {held.place}, so they do not "
                "merge. Decide for one of them.",
                fields={key[:140]: "The two sides do not merge."},
            )
        found[key] = {"value": merged.value}
    return found


def _merged(base: Entry | None, mine: Entry | None, theirs: Entry | None) -> Merged | None:
    sides = (base, mine, theirs)
    if any(not side or side.get("secret") for side in sides):  # a secret is one piece
        return None
    return merge(*(side["value"] for side in sides if side))


def _own_at(place: Place, number: int) -> Entries:
    release = frozen(place, number)
    return release.own_entries if release is not None else {}
