"""Keys that the draft and a release both changed, ready to be drawn; and what was decided of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confhub.releases.entries import answered
from confhub.releases.overlapping import overlaps_of
from confhub.releases.places import Place
from confhub.releases.queries import DraftView
from dashboard import values
from dashboard.values import Shown

SIDES = ("theirs", "mine", "merged")


@dataclass(frozen=True)
class DrawnOverlap:
    """`merged` where both sides' changes fit together; the others are None where not there."""

    key: str
    author: str
    base: Shown | None
    mine: Shown | None
    theirs: Shown | None
    merged: Shown | None


@dataclass(frozen=True)
class Decision:
    """Keys as published, and keys with both sides' changes; the others stay as drafted."""

    theirs: list[str]
    merged: list[str]


def drawn(place: Place, draft: DraftView) -> list[DrawnOverlap]:
    return [
        DrawnOverlap(
            each.key,
            each.author,
            _shown(each.base),
            _shown(each.mine),
            _shown(each.theirs),
            merged=values.shown(each.merged.value) if each.merged is not None else None,
        )
        for each in overlaps_of(place, draft)
    ]


def decided(posted: Mapping[str, Any], draft: DraftView) -> Decision | None:
    """What was chosen for each key; None where a choice is missing, or made about other releases."""
    sides = {key: posted.get(f"keep.{key}", "") for key in draft.overlapping}
    if posted.get("release") != str(draft.head) or not set(sides.values()) <= set(SIDES):
        return None
    return Decision(
        theirs=[key for key, side in sides.items() if side == "theirs"],
        merged=[key for key, side in sides.items() if side == "merged"],
    )


def _shown(entry: Mapping[str, Any] | None) -> Shown | None:
    return None if entry is None else values.shown(answered(entry))
