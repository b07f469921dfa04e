"""The relay: what waits in the outbox, into etcd. Safe to run twice, at once, and to be killed.

Rows are claimed by a conditional update with a limit in time; no database transaction is open
while etcd is asked; and the write is fenced in etcd itself, so that a relay that was paused for an
hour can neither move a pointer back nor lose anything. A claim that ran out is taken again.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from confhub.core import clock
from confhub.events import actions as events
from confhub.publishing import behind, store
from confhub.publishing import epoch as epochs
from confhub.publishing.epoch import ForeignStore
from confhub.publishing.models import Publication
from confhub.releases.entries import Entries
from confhub.releases.models import Release
from watchers.etcd import EtcdError, Refused
from watchers.wire.documents import Pointer

log = structlog.get_logger("publishing")

HOLD = timedelta(seconds=12)  # longer than all that etcd may take for one scope in the usual case
RETRY = timedelta(seconds=1)  # one small request a second while etcd is away
BATCH = 50
FENCED_TRIES = 5  # each time somebody else moved the pointer in between


@dataclass
class _Claim:
    """Publications of one scope that this relay holds, oldest first."""

    token: str
    publications: list[Publication]
    is_first_try: bool  # nothing of this scope can have been left half-written in etcd

    @property
    def newest(self) -> Release:
        return self.publications[-1].release


def relay_waiting(*, now: datetime) -> int:
    """Bring every publication that is due into etcd; return how many pointers were moved."""
    moved = 0
    while claims := _claim_due(now=now):
        for at, claim in enumerate(claims):
            try:
                moved += _relay(claim, now=now)
            except (EtcdError, ForeignStore) as error:
                _put_off(claim, error, now=clock.now())
                if not isinstance(error, Refused):
                    for rest in claims[at + 1 :]:  # etcd is away for them as well
                        _put_off(rest, error, now=clock.now())
                    return moved
        now = clock.now()
    return moved


def _claim_due(*, now: datetime) -> list[_Claim]:
    free = Q(held_until=None) | Q(held_until__lt=now)
    due = Publication.objects.filter(
        # A fresh one is due whatever the clock of the process that made it says.
        free,
        Q(tries=0) | Q(next_try_at__lte=now),
        state=Publication.State.WAITING,
    )
    token = uuid.uuid4().hex
    oldest = due.order_by("id").values("id")[:BATCH]
    if not due.filter(id__in=oldest).update(
        held_by=token, held_until=now + HOLD, tries=F("tries") + 1
    ):
        return []
    claims: dict[int, _Claim] = {}
    for publication in _held_by(token):
        claim = claims.setdefault(publication.release.scope_id, _Claim(token, [], True))
        claim.publications.append(publication)
        # A large release is written in several transactions, and a try may have ended between two.
        claim.is_first_try &= publication.tries == 1 and not publication.follows_unfinished
    return list(claims.values())


def _held_by(token: str) -> QuerySet[Publication, Any]:
    """What was claimed, by scope and number. `follows_unfinished`: an older release of its scope is
    parked, or in the hands of another relay that may have been killed."""
    unfinished = Publication.objects.filter(
        release__scope=OuterRef("release__scope"),
        release__number__lt=OuterRef("release__number"),
        state__in=[Publication.State.WAITING, Publication.State.PARKED],
    ).exclude(held_by=token)
    return (
        Publication.objects.filter(held_by=token, state=Publication.State.WAITING)
        .annotate(follows_unfinished=Exists(unfinished))
        .select_related("release__scope__service", "release__scope__environment")
        .order_by("release__scope_id", "release__number")
    )


def _relay(claim: _Claim, *, now: datetime) -> int:
    """Write the newest of one scope's publications; return 1 where the pointer was moved."""
    newest = claim.newest
    known = behind.known_of(newest)
    pointer_revision, epoch = known.revision, known.epoch
    before = known.entries if claim.is_first_try else None  # else what stands under `keys/` is read
    older = _older(claim, before)
    behind.forget(newest)  # until this write is known to have moved the pointer
    for _ in range(FENCED_TRIES):
        moved, here = store.write(
            newest, older=older, before=before, pointer_revision=pointer_revision, epoch=epoch
        )
        if moved:
            behind.remember(newest, revision=here.store_revision, epoch=epoch)
            _settle(claim, revision=here.store_revision, now=clock.now())
            epochs.saw(here.store_revision, epoch=epoch)
            _prune(newest)
            return 1
        if here.epoch != epoch:
            epoch = epochs.agree(now=now).epoch
        # Whatever the epoch was: the next try is fenced with this pointer, and would move it back.
        if here.pointer is not None and here.pointer.release > newest.number:
            if here.is_half_written:
                _tidy(newest.scope_id, here, epoch)
            _settle_behind(claim, here.pointer)
            return 0
        if here.epoch == epoch and store.holds(
            newest, here
        ):  # an earlier try, whose answer never came
            _settle(claim, revision=here.revision, now=clock.now())
            return 0
        pointer_revision, before = here.revision, None
        older = _older(claim, before)
    _put_off(claim, None, now=clock.now())
    return 0


def _tidy(scope_id: int, here: store.Standing, epoch: str) -> None:
    """A newer release came between our transactions, and may have looked at `keys/` before the last
    of them: write what it holds once more, all of it."""
    for _ in range(FENCED_TRIES):
        number = here.pointer.release if here.pointer is not None else 0
        current = (
            Release.objects.select_related("scope__service", "scope__environment")
            .filter(scope=scope_id, number=number)
            .first()
        )
        if current is None:
            return
        moved, here = store.write(
            current, older=(), before=None, pointer_revision=here.revision, epoch=epoch
        )
        if moved:
            return


def _prune(release: Release) -> None:
    try:
        store.prune(release)
    except EtcdError as error:  # the release is written; the next prune takes these as well
        log.info("prune.put_off", scope=str(release.scope), error=str(error))


def _older(claim: _Claim, before: Entries | None) -> Sequence[Release]:
    """Releases before the newest whose documents etcd may lack, oldest first."""
    newest = claim.newest
    first = newest.number - store.KEPT_DOCUMENTS + 1
    if before is None:
        # Without parked ones, because etcd refused them and would refuse this write with them.
        found = (
            Release.objects.filter(
                scope=newest.scope_id, number__gte=first, number__lt=newest.number
            )
            .exclude(publication__state=Publication.State.PARKED)
            .order_by("number")
        )
        for release in found:
            release.scope = newest.scope
        return list(found)
    waiting = [publication.release for publication in claim.publications[:-1]]
    return [release for release in waiting if release.number >= first]


@transaction.atomic
def _settle(claim: _Claim, *, revision: int, now: datetime) -> None:
    """The pointer says the newest of these releases: all of them are written, or no longer wanted."""
    newest = claim.publications[-1]
    unfinished = Publication.objects.filter(
        release__scope=newest.release.scope_id, release__number__lte=newest.release.number,
        state__in=[Publication.State.WAITING, Publication.State.PARKED],
    )  # fmt: skip
    unfinished.exclude(pk=newest.pk).update(
        state=Publication.State.WRITTEN, written_at=now, held_by="", held_until=None, last_error=""
    )
    if not unfinished.filter(pk=newest.pk).update(
        state=Publication.State.WRITTEN, written_at=now, revision=revision,
        held_by="", held_until=None, last_error="",
    ):  # fmt: skip
        return  # the claim ran out, and another relay has told it already
    took = None if newest.written_at else _ms_between(newest.created_at, now)
    scope, number = newest.release.scope, newest.release.number
    data = {"release": number, "revision": revision, "took_ms": took}
    events.record("publication.written", stream=scope.stream, data=data, now=now)
    log.info(
        "publication.written", scope=str(scope), release=number, revision=revision, took_ms=took,
        **_told_by(newest.release),
    )  # fmt: skip


def _ms_between(start: datetime, end: datetime) -> int:
    """Never below zero, because the two may be of two machines' clocks."""
    return max(0, int((end - start).total_seconds() * 1000))


def _settle_behind(claim: _Claim, pointer: Pointer) -> None:
    """The pointer says a newer release than ours; unless this database does not know that one."""
    newest = claim.newest
    known = Release.objects.filter(scope=newest.scope_id, number=pointer.release).first()
    if known is not None and known.checksum == pointer.checksum:
        ids = [publication.pk for publication in claim.publications]
        mine = Publication.objects.filter(pk__in=ids, held_by=claim.token)
        mine.filter(state=Publication.State.WAITING).update(
            state=Publication.State.WRITTEN, written_at=clock.now(), held_by="",
            held_until=None, last_error="",
        )  # fmt: skip
        return
    _park(
        claim,
        f"etcd says r{pointer.release} of {newest.scope}, which this database does not know (it "
        "was restored from an older copy, or something else writes there). Numbers only rise, so "
        f"r{newest.number} was not written. Publish until the number is higher, or remove the "
        f"pointer {store.keys_of(newest).current} by hand and run ./manage.py reconcile.",
    )


@transaction.atomic
def _put_off(claim: _Claim, error: Exception | None, *, now: datetime) -> None:
    """Queue them again, and let the pages say why; refused for ever means parked."""
    if isinstance(error, Refused):
        _park(claim, str(error))
        return
    sentence = str(error) if error else "Other writers kept moving the pointer."
    newest = claim.publications[-1]
    mine = Publication.objects.filter(held_by=claim.token, state=Publication.State.WAITING)
    queued = mine.filter(pk__in=[publication.pk for publication in claim.publications]).update(
        held_by="", held_until=None, next_try_at=now + RETRY, last_error=sentence
    )
    if queued and newest.last_error != sentence:  # once for each new reason, not once a second
        number, scope = newest.release.number, newest.release.scope
        data = {"release": number, "error": sentence}
        events.record("publication.delayed", stream=scope.stream, data=data, now=now)
        log.warning(
            "publication.delayed", scope=str(scope), release=number, error=sentence,
            **_told_by(newest.release),
        )  # fmt: skip


def _park(claim: _Claim, sentence: str) -> None:
    ids = [publication.pk for publication in claim.publications]
    mine = Publication.objects.filter(pk__in=ids, held_by=claim.token)
    if not mine.filter(state=Publication.State.WAITING).update(
        state=Publication.State.PARKED, held_by="", held_until=None, last_error=sentence
    ):
        return  # the claim ran out, and another relay has done better
    if claim.publications[-1].last_error == sentence:
        return  # reconcile tries it again now and then, and what it meets is known
    newest = claim.publications[-1].release
    data = {"release": newest.number, "error": sentence}
    events.record("publication.delayed", stream=newest.scope.stream, data=data, now=clock.now())
    log.error(
        "publication.parked", scope=str(newest.scope), release=newest.number, error=sentence,
        **_told_by(newest),
    )  # fmt: skip


def _told_by(release: Release) -> dict[str, str]:
    """The release's own request for a log line: the ring may have come from another one, or from none."""
    return {"request_id": release.request_id} if release.request_id else {}
