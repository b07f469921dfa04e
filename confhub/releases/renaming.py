"""Give a key of a draft another name, in one act: its value, secret or not, goes along."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.releases import secrets
from confhub.releases.actions import lock
from confhub.releases.draft_rows import OpenDraft, open_draft
from confhub.releases.entries import BadEntries
from confhub.releases.places import Place
from confhub.releases.queries import DraftView, head_of, layer_names
from confhub.releases.writing import Writing
from watchers.wire.names import BadName, check_key


@transaction.atomic
def rename_key(
    place: Place, old: str, new: str, *, expected: int | None, who: Actor, now: datetime
) -> DraftView:
    """Set `new` to what `old` is in the draft, and remove `old`. References to it are not followed.

    `expected` is compared at both keys. Raises BadEntries (`fields` names "from" or "to"),
    DraftIsStale, and what secrets raise; then nothing is changed.
    """
    _check_name(new)
    place = lock(place)
    held = open_draft(place, head_of(place), keys={old, new}, who=who, now=now)
    held.refuse_moved({old, new}, expected=expected)
    entry = _entry_to_move(held, old, new)
    held.put(new, entry)
    held.put(old, {}, removed=old in held.own)
    held.check_sum()
    return held.finish("rename")


def _check_name(new: str) -> None:
    try:
        check_key(new)
    except BadName as error:
        raise BadEntries(str(error), fields={"to": str(error)}) from error


def _entry_to_move(held: OpenDraft, old: str, new: str) -> Mapping[str, Any]:
    """Raises BadEntries where there is nothing to rename, or where something stands already."""
    entries, place = held.entries, held.place
    if old not in entries:
        layers = layer_names(place) if isinstance(place, Scope) else {}
        why = (
            f"{old} of {place} comes from the layer {layers[old]}, so it cannot be renamed here. "
            "Rename it there, or set the new key here."
            if old in layers
            else f"{place} has no key {old[:140]}, so it cannot be renamed."
        )
        raise BadEntries(why, fields={"from": why})
    if new in entries:
        why = f"{place} has a key {new} already. Remove it first, or choose another name."
        raise BadEntries(why, fields={"to": why})
    entry = entries[old]
    if not entry.get("secret"):
        # The new name may be one that the schema, a layer or the newest release knows as a secret.
        writing = Writing(place, held.head, {}, held.now)
        return writing.entries_for({new: entry["value"]})[new]
    # A sealed value is bound to its key's name, so that nobody moves it about in the database.
    return secrets.reseal(entry, new, source=place, target=place, source_key=old, now=held.now)
