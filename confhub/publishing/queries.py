"""Read the outbox, and what is known of the store it goes to."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db.models import OuterRef, Subquery

from confhub.catalog.models import Scope
from confhub.publishing import store
from confhub.publishing.models import Publication, Store
from confhub.releases.models import Release
from watchers.etcd import Etcd, EtcdError

REPLAYED = 10  # releases; whoever missed more gets the current one alone


@dataclass(frozen=True)
class StoreState:
    """The outbox in numbers. Ages in seconds."""

    waiting: int
    oldest_waiting_s: float | None
    parked: int
    last_error: str  # of the oldest that waits; "" where nothing went wrong
    reconciled_at: datetime | None
    trouble: str  # why reconcile does not write; "" where it does


def publications_of(releases: Iterable[Release]) -> dict[int, Publication]:
    """{release row id: its publication}."""
    found = Publication.objects.filter(release__in=[release.pk for release in releases])
    return {publication.release_id: publication for publication in found}


def publication_of(release: Release) -> Publication | None:
    return Publication.objects.filter(release=release).first()


def newest_written(scope_ids: Collection[int]) -> dict[int, int]:
    """{scope row id: the newest release that etcd was seen to hold}, 0 before the first; a scope that
    was removed is left out. One query."""
    if not scope_ids:
        return {}
    written = Release.objects.filter(
        scope=OuterRef("pk"), publication__state=Publication.State.WRITTEN
    ).order_by("-number")
    rows = Scope.objects.filter(pk__in=scope_ids).annotate(
        written=Subquery(written.values("number")[:1])
    )
    return {pk: number or 0 for pk, number in rows.values_list("pk", "written")}


def releases_to_send(scope_id: int, sent: int, newest: int) -> tuple[int, ...]:
    """The releases for whoever has `sent` (0: nothing) where etcd holds `newest`, oldest first: all
    that came since where these are few, else `newest` alone, which is all that counts.

    Where `newest` is lower than `sent` the database was set back, and it counts as well.
    """
    if newest in (0, sent):
        return ()
    if sent == 0 or newest < sent or newest == sent + 1 or newest - sent > REPLAYED:
        return (newest,)
    rows = Release.objects.filter(
        scope=scope_id, number__gt=sent, number__lte=newest,
        publication__state=Publication.State.WRITTEN,
    )  # fmt: skip
    return tuple(rows.order_by("number").values_list("number", flat=True))


def document_shown(scope_id: int, number: int) -> bytes | None:
    """The release document on one line as etcd has it, but of a secret only what everybody may see:
    its fingerprint and version. None where there is no such release."""
    rows = Release.objects.select_related("scope__service", "scope__environment")
    release = rows.filter(scope=scope_id, number=number).first()
    if release is None:
        return None
    return replace(store.document_of(release), entries=release.shown).to_bytes()


def store_state(*, now: datetime) -> StoreState:
    """What still waits, and since when."""
    waiting = Publication.objects.filter(state=Publication.State.WAITING).order_by("created_at")
    oldest = waiting.first()
    known = Store.objects.filter(pk=1).first()
    return StoreState(
        waiting=waiting.count(),
        oldest_waiting_s=(now - oldest.created_at).total_seconds() if oldest else None,
        parked=Publication.objects.filter(state=Publication.State.PARKED).count(),
        last_error=oldest.last_error if oldest else "",
        reconciled_at=known.reconciled_at if known else None,
        trouble=known.trouble if known else "",
    )


def store_answers(*, timeout_s: float) -> str:
    """ "" when etcd answers a linearizable read within `timeout_s`, else the sentence why not."""
    probe = Etcd(store.endpoints(), timeout_s=timeout_s, credentials=settings.ETCD_CREDENTIALS)
    try:
        probe.get(store.keyspace().epoch)
    except EtcdError as error:
        return str(error)
    finally:
        probe.close()
    return ""
