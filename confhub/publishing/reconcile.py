"""Hold the database against etcd, and queue again what is missing there or differs.

It repairs from the database to etcd, by the relay and its fence; it never changes a release and
never deletes what it does not know.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import F

from confhub.core import wake
from confhub.publishing import epoch as epochs
from confhub.publishing import store
from confhub.publishing.models import Publication, Store
from confhub.releases.models import Release
from watchers.wire.keyspace import ScopeKeys

log = structlog.get_logger("publishing")


@dataclass(frozen=True)
class Report:
    """What one round found. `repaired` names the scopes whose release was queued again."""

    checked: int
    repaired: list[str]


def reconcile(*, now: datetime, adopt: bool = False) -> Report:
    """One round over every scope that was ever published. Raises EtcdError, ForeignStore."""
    epoch = epochs.agree(now=now, adopt=adopt).epoch
    heads = _heads()
    checked, revision, repaired = 0, 0, []
    for keys, standing, document in store.standings(list(heads)):
        release = heads[keys]
        checked, revision = checked + 1, max(revision, standing.store_revision)
        pointer = standing.pointer
        if pointer is None or pointer.release < release.number:
            right = False
        elif pointer.release > release.number:
            continue  # the store is ahead: the relay parks what comes next and says so
        else:
            right = pointer.checksum == release.checksum == document
        if not right and _queue_again(release, now=now):
            repaired.append(str(release.scope))
    epochs.saw(revision, epoch=epoch)
    Store.objects.filter(pk=1).update(reconciled_at=now)
    if repaired:
        log.warning("store.repaired", scopes=len(repaired), first=repaired[0])
        wake.after_commit("confhub.publishing.relay")  # on PostgreSQL rung already, and harmless
    return Report(checked, repaired)


def _heads() -> dict[ScopeKeys, Release]:
    """The newest release of each scope but those that wait, without its entries, which are not
    compared here."""
    newest = Release.objects.filter(
        # One that waits is the relay's, which may write it while this round still reads.
        scope__head__gt=0, number=F("scope__head"),
        publication__state__in=[Publication.State.WRITTEN, Publication.State.PARKED],
    )  # fmt: skip
    rows = newest.select_related("scope__service", "scope__environment").defer("entries")
    return {store.keys_of(release): release for release in rows.order_by("scope_id")}


def _queue_again(release: Release, *, now: datetime) -> bool:
    """True when the release was written before, or parked, and waits again now.

    A parked one is tried again because what was in its way may be gone: the pointer that somebody
    removed, a limit of etcd that was raised.
    """
    done = [Publication.State.WRITTEN, Publication.State.PARKED]
    found = Publication.objects.filter(release=release, state__in=done)
    # Tried twice from the start, so that the relay reads `keys/` instead of trusting its memory.
    return bool(found.update(state=Publication.State.WAITING, next_try_at=now, tries=1))
