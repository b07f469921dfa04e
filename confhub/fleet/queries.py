"""Who runs what, and how far a release has come."""

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.db.models import Count, Max, Q, Sum

from confhub.access.policies import NotFound, require
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.fleet.models import Instance, View
from confhub.fleet.tiles import Tile, tile_of
from confhub.releases.models import Release

PAIRS = 200  # in one query; SQLite nests alternatives, and takes a depth of 1000
Outcome = Literal["confirmed", "failed", "pending", "nobody"]


@dataclass(frozen=True)
class Freshness:
    """How fresh all statuses are: etcd proved at `as_of` that none is missing."""

    as_of: datetime | None
    age_s: float | None
    follower: str


@dataclass(frozen=True)
class Convergence:
    """How far one release has come in one scope."""

    release: int
    state: Outcome
    counts: dict[str, int] = field(default_factory=dict)  # {"confirmed": 3, "failed": 0, …}
    behind: list[dict[str, Any]] = field(default_factory=list)  # who is not confirmed, and why


def instances_of(scope: Scope) -> list[Tile]:
    """Every instance known of the scope, those that are gone last."""
    rows = list(Instance.objects.filter(scope=scope).order_by("host", "instance_id"))
    return tiles_of(rows, scopes=[scope])


def tiles_of(rows: Iterable[Instance], *, scopes: Collection[Scope]) -> list[Tile]:
    """The tiles of `rows`, whose scopes are all among `scopes`. One query for each 200 releases."""
    rows = list(rows)
    by_id = {scope.pk: scope for scope in scopes}
    wanted = {(row.scope_id, row.receipt["release"]) for row in rows if row.receipt}
    published = _published_at(wanted)
    for row in rows:
        row.scope = by_id[row.scope_id]
    rows.sort(key=lambda row: row.gone_at is not None)
    return [
        tile_of(
            row,
            published_at=published.get((row.scope_id, row.receipt["release"]))
            if row.receipt
            else None,
        )
        for row in rows
    ]


def tile_for(who: Actor, scope: Scope, instance_id: str) -> Tile:
    """One instance. Raises NotFound, NotAllowed."""
    require(who, "see", scope)
    row = Instance.objects.filter(scope=scope, instance_id=instance_id).first()
    if row is None:
        raise NotFound(f"{scope} has no instance {instance_id[:128]!r}.")
    return tiles_of([row], scopes=[scope])[0]


def convergence(scope: Scope, release: int) -> Convergence:
    """How far `release` has come among the scope's living instances."""
    return _converged(release, _alive(scopes=[scope]).get(scope.pk, []))


def convergence_of(scopes: Collection[Scope]) -> dict[int, Convergence]:
    """{scope row id: how far its newest release has come}; one query for all of them."""
    alive = _alive(scopes=scopes)
    return {scope.pk: _converged(scope.head, alive.get(scope.pk, [])) for scope in scopes}


def convergence_at(wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], Convergence]:
    """{(scope row id, release): how far it has come}; one query for all of them."""
    alive = _alive(scopes={scope_id for scope_id, _ in wanted}) if wanted else {}
    return {
        (scope_id, release): _converged(release, alive.get(scope_id, []))
        for scope_id, release in wanted
    }


def marks_of(scope_ids: Collection[int]) -> dict[int, tuple[Any, ...]]:
    """{scope row id: a mark that is another one once any of its instances has changed}; one query.

    A scope without instances is left out. The sum of revisions moves with every status that is
    taken, the newest `seen_at` also where a wiped store has made every revision 0.
    """
    if not scope_ids:
        return {}
    rows = Instance.objects.filter(scope__in=scope_ids).values("scope_id")
    marks = rows.annotate(
        all=Count("id"), gone=Count("gone_at"), told=Sum("revision"), last=Max("seen_at")
    )
    return {row["scope_id"]: (row["all"], row["gone"], row["told"], row["last"]) for row in marks}


def freshness(*, now: datetime) -> Freshness:
    """The age of what pages show of instances. None where nothing was ever followed."""
    view = View.objects.filter(pk=1).first()
    if view is None or view.confirmed_at is None:
        return Freshness(None, None, view.follower if view else "")
    return Freshness(
        view.confirmed_at, max(0.0, (now - view.confirmed_at).total_seconds()), view.follower
    )


def went_back(revision: int) -> bool:
    """True where the store at `revision` was wiped or restored since rows were last complete."""
    return View.objects.filter(pk=1, revision__gt=revision).exists()


def _alive(*, scopes: Collection[Scope] | Collection[int]) -> dict[int, list[Instance]]:
    rows: dict[int, list[Instance]] = {}
    for row in Instance.objects.filter(scope__in=scopes, gone_at=None).order_by(
        "host", "instance_id"
    ):
        rows.setdefault(row.scope_id, []).append(row)
    return rows


def _converged(release: int, instances: list[Instance]) -> Convergence:
    counts = dict.fromkeys(("confirmed", "applied", "delivered", "failed", "waiting"), 0)
    behind = []
    for instance in instances:
        state = _towards(instance, release)
        counts[state] += 1
        if state != "confirmed":
            receipt = instance.receipt or {}
            behind.append(
                {
                    "id": instance.instance_id,
                    "host": instance.host,
                    "state": state,
                    "running": instance.running,
                    "stage": receipt.get("stage", ""),
                    "reason": receipt.get("reason", ""),
                    "problems": instance.problems,
                }
            )
    return Convergence(release, _outcome(counts, instances), counts, behind)


def _towards(instance: Instance, release: int) -> str:
    """The instance's state as seen from `release`; one that runs a newer release has passed it."""
    receipt = instance.receipt
    if instance.running is not None and instance.running > release:
        return "confirmed"
    if receipt is None or receipt["release"] < release:
        return "waiting"
    if receipt["release"] > release:
        # On the way to a newer one; what it runs until then is what counts here.
        return "confirmed" if instance.running == release else "waiting"
    return str(receipt["state"])


def _outcome(counts: dict[str, int], instances: list[Instance]) -> Outcome:
    if not instances:
        return "nobody"
    if counts["failed"]:
        return "failed"
    return "confirmed" if counts["confirmed"] == len(instances) else "pending"


def _published_at(wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], datetime]:
    """{(scope id, number): when the release was accepted}"""
    published: dict[tuple[int, int], datetime] = {}
    pairs = iter(wanted)
    while some := list(itertools.islice(pairs, PAIRS)):
        which = Q()
        for scope_id, number in some:
            which |= Q(scope_id=scope_id, number=number)
        rows = Release.objects.filter(which).values_list("scope_id", "number", "created_at")
        published.update({(scope_id, number): at for scope_id, number, at in rows})
    return published
