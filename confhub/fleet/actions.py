"""Turn statuses from etcd into rows and events; ask hosts to look again."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from confhub.catalog.models import Scope
from confhub.core import wake
from confhub.core.actors import Actor
from confhub.events import actions as events
from confhub.fleet.models import Instance, Receipt, View
from confhub.fleet.queries import tiles_of
from confhub.fleet.statuses import facts_of, foreign, is_id, moment
from watchers.wire.documents import BadDocument

log = structlog.get_logger("fleet")

GONE_IS_SHOWN = timedelta(hours=24)
KEPT_RECEIPTS = 50  # of one instance
FORGOTTEN_AT_ONCE = 10_000  # receipts; the next sweep takes the rest


class Seen(NamedTuple):
    """One status key as etcd had it; `value` is None where it is gone."""

    service: str
    environment: str
    instance_id: str
    value: bytes | None
    revision: int


@transaction.atomic
def take_statuses(seen: Iterable[Seen], *, whole: bool, now: datetime) -> int:
    """Bring rows up to what was seen; return how many changed.

    `whole` says that `seen` is everything there is: then an instance that is not among it is gone,
    and revisions are not compared, because a store that was wiped counts from 1 again. Safe to
    repeat and to run at two workers at once: an older status never replaces a newer one.
    """
    scopes = {
        (scope.service.slug, scope.environment.slug): scope
        for scope in Scope.objects.select_related("service", "environment")
    }
    wanted: dict[tuple[int, str], Seen] = {}
    for one in seen:
        scope = scopes.get((one.service, one.environment))
        if scope is None:
            _say_unplaced(one.service[:80], one.environment[:80])
            continue
        if not is_id(one.instance_id):
            _say_unreadable(one.instance_id[:128], one.revision, "its key is no name")
            continue
        wanted[scope.pk, one.instance_id] = one
    rows = {(row.scope_id, row.instance_id): row for row in _rows(wanted, whole=whole)}
    moved, receipts = [], []
    for at, one in wanted.items():
        row = rows.get(at)
        if row is not None and not whole and one.revision <= row.revision:
            continue
        changed = _gone(row, one.revision, now) if one.value is None else _told(at, row, one, now)
        if changed is not None:
            moved.append(changed)
            receipts.append(changed)
    if whole:
        missing = [row for at, row in rows.items() if at not in wanted]
        moved += [row for row in missing if _gone(row, 0, now) is not None]
    _save(moved)
    _keep_receipts(receipts)
    _tell(moved, scopes={scope.pk: scope for scope in scopes.values()}, now=now)
    return len(moved)


def forget_revisions() -> None:
    """Another store counts from here on, so no status of it is older than what rows say."""
    Instance.objects.exclude(revision=0).update(revision=0)


def mark_fresh(*, revision: int, follower: str, now: datetime) -> None:
    """etcd has just proved that no status up to `revision` is missing here."""
    View.objects.update_or_create(
        pk=1, defaults={"revision": revision, "follower": follower, "confirmed_at": now}
    )


def ask_to_look_again(host: str, *, who: Actor, now: datetime) -> None:
    """Have the agent on `host` discover its containers and check their releases at once."""
    events.audit("host.look_again", who=who, target=host, now=now)
    wake.after_commit("confhub.fleet.look_again", queue=f"host.{host}")


def ask_to_retry(scope: Scope, instance_id: str, host: str, *, who: Actor, now: datetime) -> None:
    """Have the agent try the release again that this instance refused."""
    events.audit("instance.retry", who=who, target=f"{scope} {instance_id}", now=now)
    wake.after_commit("confhub.fleet.retry", queue=f"host.{host}", instance_id=instance_id)


@transaction.atomic
def forget_gone(*, now: datetime) -> int:
    """Delete instances gone for a day, and receipts beyond the newest fifty of each."""
    forgotten, _ = Instance.objects.filter(gone_at__lt=now - GONE_IS_SHOWN).delete()
    newer = Window(RowNumber(), partition_by=F("instance"), order_by=F("release").desc())
    old = Receipt.objects.annotate(place=newer).filter(place__gt=KEPT_RECEIPTS)
    Receipt.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    ).delete()
    return forgotten


@lru_cache(maxsize=1000)  # once, because everything is looked at again and again
def _say_unplaced(service: str, environment: str) -> None:
    log.info("status.unknown_scope", service=service, environment=environment)


@lru_cache(maxsize=1000)
def _say_unreadable(instance_id: str, revision: int, why: str) -> None:
    log.warning("status.unreadable", instance=instance_id, revision=revision, error=why)


def _rows(wanted: Mapping[tuple[int, str], Seen], *, whole: bool) -> list[Instance]:
    rows = Instance.objects.select_for_update().order_by("pk")  # two followers lock in one order
    if whole:
        return list(rows)
    return list(rows.filter(instance_id__in={instance_id for _, instance_id in wanted}))


def _gone(row: Instance | None, revision: int, now: datetime) -> Instance | None:
    """`row`, marked; None where it was not there or is gone already."""
    if row is None or row.gone_at is not None:
        return None
    row.gone_at, row.seen_at = now, now
    row.revision = max(revision, row.revision) if revision else 0
    return row


def _told(at: tuple[int, str], row: Instance | None, one: Seen, now: datetime) -> Instance | None:
    """The row with the status in it; None where the status cannot be read or says nothing new."""
    try:
        facts = facts_of(one.value or b"")
        if settings.CONFHUB_INSTANCE_PREFIX:
            facts["problems"] = [*foreign(one.instance_id, facts["host"]), *facts["problems"]]
    except BadDocument as error:
        _say_unreadable(one.instance_id, one.revision, str(error))
        return None
    if row is None:
        return Instance(
            scope_id=at[0], instance_id=at[1], revision=one.revision, seen_at=now, **facts
        )
    same = row.gone_at is None and all(getattr(row, name) == held for name, held in facts.items())
    if same and row.revision == one.revision:
        return None
    for name, held in facts.items():
        setattr(row, name, held)
    row.revision, row.seen_at, row.gone_at = one.revision, now, None
    return row


def _save(moved: list[Instance]) -> None:
    """One statement for each fifty, whether they are new or not: an UPDATE with a case for each row
    and column takes 25 times as long, and holds SQLite's only lock meanwhile."""
    written = [
        Instance(
            scope_id=row.scope_id,
            instance_id=row.instance_id,
            **{name: getattr(row, name) for name in _COLUMNS},
        )
        for row in moved
    ]
    # Another follower may have made one a moment ago; its rows and ours say the same.
    Instance.objects.bulk_create(
        written,
        batch_size=50,
        update_conflicts=True,
        unique_fields=["scope", "instance_id"],
        update_fields=_COLUMNS,
    )
    for row, held in zip(moved, written, strict=True):
        row.pk = held.pk


_COLUMNS = (
    "host", "runtime", "agent", "container", "pid", "target", "running", "checksum", "health",
    "problems", "receipt", "revision", "seen_at", "gone_at",
)  # fmt: skip


def _keep_receipts(rows: Iterable[Instance]) -> None:
    """One row for each instance and release, with the furthest it came."""
    kept = [
        Receipt(
            instance=row,
            release=row.receipt["release"],
            state=row.receipt["state"],
            stage=row.receipt["stage"],
            reason=row.receipt["reason"],
            delivered_at=moment(row.receipt["delivered_at"]),
            applied_at=moment(row.receipt["applied_at"]),
            confirmed_at=moment(row.receipt["confirmed_at"]),
            at=moment(row.receipt["at"]) or row.seen_at,
        )
        for row in rows
        if row.receipt
    ]
    Receipt.objects.bulk_create(
        kept,
        batch_size=100,
        update_conflicts=True,
        unique_fields=["instance", "release"],
        update_fields=[
            "state",
            "stage",
            "reason",
            "delivered_at",
            "applied_at",
            "confirmed_at",
            "at",
        ],
    )


def _tell(moved: list[Instance], *, scopes: Mapping[int, Scope], now: datetime) -> None:
    tiles = tiles_of(moved, scopes=list(scopes.values()))
    streams = {
        (scope.service.slug, scope.environment.slug): scope.stream for scope in scopes.values()
    }
    events.record_all(
        [
            (
                "instance.gone" if tile["gone_at"] else "instance.changed",
                streams[tile["service"], tile["environment"]],
                tile,
            )
            for tile in tiles
        ],
        now=now,
    )
