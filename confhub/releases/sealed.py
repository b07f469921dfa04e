"""The entries of a scope's release, every secret under the scope's own key."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from confhub.catalog.models import Scope
from confhub.releases.entries import Entries
from confhub.releases.keyring import Keys
from confhub.releases.models import LayerRelease
from confhub.releases.places import Place
from confhub.releases.secrets import sealed_for


def sealed_entries(
    scope: Scope, entries: Entries, own: Mapping[str, Any], *, below: Sequence[LayerRelease] = (),
    parent: Entries | None = None, now: datetime,
) -> Entries:  # fmt: skip
    """`entries` as they go into a release of the scope. Keys in `own` are sealed for the scope
    already; each other one comes from the last of `below`, lowest first, that has it.

    A secret that `parent` (the release before) has with the same value keeps its ciphertext.
    Raises CannotOpenSecret, NoMasterKey, KeyIsSealed.
    """
    hidden = [key for key, entry in entries.items() if entry.get("secret")]
    if not hidden:
        return entries
    sources: dict[str, Place] = {
        key: release.layer for release in below for key in release.entries if key in entries
    }
    keys = Keys()
    sealed = dict(entries)
    for key in hidden:
        source = scope if key in own else sources[key]
        before = parent.get(key) if parent is not None else None
        sealed[key] = sealed_for(scope, key, entries[key], source, before, now=now, keys=keys)
    return sealed
