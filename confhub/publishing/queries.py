"""Read the outbox, and what is known of the store it goes to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from confhub.publishing import store
from confhub.publishing.models import Publication, Store
from confhub.releases.models import Release
from watchers.etcd import Etcd, EtcdError


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
