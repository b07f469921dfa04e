"""Is the store that answers the one we wrote to? The epoch and the highest revision tell.

An etcd that lost its data keeps its cluster id, and a watch resumed at an old revision stays silent
on it; so a word of ours stands in the store, and another one is put there when it was lost. All words
of one database begin alike ("<database>.<turn>"), so that an older one of ours, from a snapshot or from
a process that was killed while it renewed, is not taken for somebody else's.
"""

import secrets
from datetime import datetime

import structlog

from confhub.core.actors import SYSTEM
from confhub.events import actions as events
from confhub.publishing import store
from confhub.publishing.models import Store
from watchers.etcd import EtcdError
from watchers.wire.keyspace import ScopeKeys

log = structlog.get_logger("publishing")


class ForeignStore(Exception):
    """The store holds another database's epoch; nothing is written before somebody decides."""


STORE_TROUBLE = (EtcdError, ForeignStore)  # for those who report it and do not speak to etcd


def known() -> Store:
    """The one row about the store, made with a new epoch at the very first."""
    row, _ = Store.objects.get_or_create(pk=1, defaults={"epoch": secrets.token_hex(12)})
    return row


def agree(*, now: datetime, adopt: bool = False) -> Store:
    """Make the store's epoch and ours one, and return the row that says which.

    A store that was wiped or restored from an older snapshot gets a new epoch, so that watchers
    read everything anew. Raises EtcdError; ForeignStore unless `adopt` says to take it over.
    """
    row = known()
    here = store.standing(ScopeKeys(store.keyspace().prefix + "/meta"))
    if here.epoch not in (None, row.epoch):
        row.refresh_from_db()  # another process of ours may have renewed both since
    lost = here.epoch is None and row.revision > 0
    foreign = here.epoch is not None and _database_of(here.epoch) != _database_of(row.epoch)
    older = here.epoch not in (None, row.epoch) and not foreign
    restored = older or (here.epoch == row.epoch and here.store_revision < row.revision)
    if foreign and not adopt:
        _remember_trouble(row, here.epoch)
        raise ForeignStore(row.trouble)
    if lost or restored or foreign:
        log.warning("store.renewed", lost=lost, restored=restored, adopted=foreign)
        _renew(row, now=now, why="lost" if lost else "restored" if restored else "adopted")
    if here.epoch is None:
        written = store.claim_epoch(row.epoch)
        if written != row.epoch:  # another process of ours was quicker, or another ConfHub
            row.refresh_from_db()
            if written != row.epoch:
                _remember_trouble(row, written)
                raise ForeignStore(row.trouble)
    elif here.epoch != row.epoch:
        store.replace_epoch(here.epoch, row.epoch)
    if row.trouble:
        row.trouble = ""
        row.save(update_fields=["trouble"])
    return row


def saw(revision: int, *, epoch: str) -> None:
    """Remember the highest revision that was seen of the store with `epoch`; of another one it would
    say later that the store was set back."""
    Store.objects.filter(pk=1, epoch=epoch, revision__lt=revision).update(revision=revision)


def _renew(row: Store, *, now: datetime, why: str) -> None:
    old = row.epoch
    word = f"{_database_of(old)}.{secrets.token_hex(6)}"
    # Compared with the old word, so that of two processes that notice one decides.
    Store.objects.filter(pk=row.pk, epoch=old).update(epoch=word, revision=0)
    row.refresh_from_db()
    if row.epoch == word:
        events.audit("store.renewed", who=SYSTEM, target="etcd", data={"why": why}, now=now)


def _remember_trouble(row: Store, theirs: str | None) -> None:
    row.trouble = (
        f"etcd holds the epoch {theirs!r} below {store.keyspace().prefix}, which another database "
        f"wrote; ours is {row.epoch!r}. Nothing is written there. Point ETCD_ENDPOINTS or "
        "ETCD_PREFIX elsewhere, or take it over: ./manage.py reconcile --adopt"
    )
    row.save(update_fields=["trouble"])


def _database_of(word: str) -> str:
    """What all epochs of one database have in common."""
    return word.partition(".")[0]
