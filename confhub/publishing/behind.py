"""What stands behind a scope's pointer in etcd, as far as this database or this process knows.

Knowing it saves a question to etcd and, from memory, two to the database on the way of a change. It
is never trusted: the write is fenced with what is said here, and one that was wrong is refused.
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

from confhub.publishing import epoch as epochs
from confhub.publishing.models import Publication
from confhub.releases.entries import Entries
from confhub.releases.models import Release

SCOPES = 128  # remembered at once; their entries are at most a MiB each, and usually a few KiB


class Behind(NamedTuple):
    """The pointer's last write, and the entries for which `keys/` was written with it."""

    number: int  # the release it says; 0 where nothing was written yet
    revision: int  # the pointer's mod_revision; 0 likewise
    entries: Entries
    epoch: str


_lock = threading.Lock()
_remembered: OrderedDict[int, Behind] = OrderedDict()


def known_of(release: Release) -> Behind:
    """What stands there before `release` is written."""
    with _lock:
        held = _remembered.get(release.scope_id)
    # Only of an older release: to fence with a newer one's write would move the pointer back.
    if held is not None and held.number < release.number:
        return held
    last = (
        Publication.objects.filter(
            release__scope=release.scope_id, release__number__lt=release.number,
            state=Publication.State.WRITTEN, revision__isnull=False,
        )
        .select_related("release")
        .order_by("-release__number")
        .first()
    )  # fmt: skip
    epoch = epochs.known().epoch
    if last is None or last.revision is None:
        return Behind(0, 0, {}, epoch)
    return Behind(last.release.number, last.revision, last.release.entries, epoch)


def remember(release: Release, *, revision: int, epoch: str) -> None:
    """This process wrote `release`."""
    with _lock:
        _remembered[release.scope_id] = Behind(release.number, revision, release.entries, epoch)
        _remembered.move_to_end(release.scope_id)
        while len(_remembered) > SCOPES:
            _remembered.popitem(last=False)


def forget_all() -> None:
    """Another store is written to from here on."""
    with _lock:
        _remembered.clear()


def forget(release: Release) -> None:
    """It was wrong, or a write may have been left half-way."""
    with _lock:
        _remembered.pop(release.scope_id, None)
