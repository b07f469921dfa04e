"""Layers laid over each other: which ones a scope stands on, and what comes out of them.

Later wins: global → environment → included sets in their order → service → the scope's own entries.
A scope's own publish uses the layers as its newest release used them, so that nothing comes in that
nobody looked at; `newest` names the layers that are to be taken as they are now.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Q

from confhub.catalog.models import Include, Layer, Scope
from confhub.releases import references
from confhub.releases.diff import same
from confhub.releases.entries import Entries
from confhub.releases.models import LayerRelease, Release

Numbers = dict[int, int]  # {layer row id: number of its release; 0 before its first}, lowest first
OWN = "own"  # the name of the uppermost layer


@dataclass(frozen=True)
class Resolved:
    """What a scope's entries come to. `problems` are sentences about references, by key."""

    written: Entries  # the layers laid over each other, references as people wrote them
    entries: Entries  # the same with references put in
    numbers: Numbers
    problems: dict[str, str]


@dataclass
class Ground:
    """What many scopes stand on, read with few queries and kept for as long as this object lives."""

    scopes: list[Scope]
    stacks: dict[int, list[Layer]] = field(default_factory=dict)  # by scope row id
    heads: dict[int, Release] = field(
        default_factory=dict
    )  # by scope row id; none before the first
    _held: dict[tuple[int, int], LayerRelease] = field(default_factory=dict)
    _neighbors: dict[int, "Neighborhood"] = field(default_factory=dict)

    @classmethod
    def of(cls, scopes: Iterable[Scope]) -> "Ground":
        """Raises nothing; scopes carry their service and environment (select_related)."""
        ground = cls(list(scopes))
        ground._read_stacks()
        found = Release.objects.filter(scope__in=ground.scopes, number=F("scope__head"))
        ground.heads = {release.scope_id: release for release in found}
        return ground

    def _read_stacks(self) -> None:
        services = {scope.service_id for scope in self.scopes}
        environments = {scope.environment_id for scope in self.scopes}
        everywhere: list[Layer] = []
        by_environment: dict[int | None, Layer] = {}
        by_service: dict[int | None, Layer] = {}
        for layer in Layer.objects.filter(
            Q(kind=Layer.Kind.GLOBAL) | Q(environment__in=environments) | Q(service__in=services)
        ):
            if layer.kind == Layer.Kind.GLOBAL:
                everywhere.append(layer)
            elif layer.kind == Layer.Kind.ENVIRONMENT:
                by_environment[layer.environment_id] = layer
            else:
                by_service[layer.service_id] = layer
        sets: dict[int, list[Layer]] = {}
        for include in (
            Include.objects.filter(service__in=services)
            .select_related("layer")
            .order_by("order", "id")
        ):
            sets.setdefault(include.service_id, []).append(include.layer)
        for scope in self.scopes:
            stack = [
                *everywhere,
                by_environment.get(scope.environment_id),
                *sets.get(scope.service_id, []),
                by_service.get(scope.service_id),
            ]
            self.stacks[scope.pk] = [layer for layer in stack if layer is not None]

    def numbers(self, scope: Scope, *, newest: Collection[int] | None = ()) -> Numbers:
        """The layers' releases to use: as in the scope's newest release, but those in `newest`
        (None: all) as they are now. A set that was included since is taken as it is now."""
        head = self.heads.get(scope.pk)
        used = _used_by(head)
        found: Numbers = {}
        for layer in self.stacks[scope.pk]:
            takes_newest = head is None or newest is None or layer.pk in newest
            if takes_newest or (layer.pk not in used and layer.kind == Layer.Kind.SET):
                found[layer.pk] = layer.head
            else:
                found[layer.pk] = used.get(layer.pk, 0)
        return found

    def layers_at(self, numbers: Numbers) -> list[LayerRelease]:
        """The layers' releases, lowest first; those at 0 have none."""
        wanted = [(pk, number) for pk, number in numbers.items() if number]
        missing = [each for each in wanted if each not in self._held]
        if missing:
            condition = Q()
            for pk, number in missing:
                condition |= Q(layer=pk, number=number)
            for release in LayerRelease.objects.filter(condition).select_related("layer"):
                self._held[release.layer_id, release.number] = release
        return [self._held[each] for each in wanted]

    def put(self, release: LayerRelease) -> None:
        """Use `release` although it is not in the database: a layer's draft, for a preview."""
        self._held[release.layer_id, release.number] = release

    def resolve(self, scope: Scope, own: Entries, numbers: Numbers) -> Resolved:
        """`own` laid over the layers, with references put in."""
        written: Entries = {}
        for release in self.layers_at(numbers):
            written.update(release.entries)
        written.update(own)
        entries, problems = references.put_in(
            written, service=scope.service.slug, neighbors=self.neighborhood(scope.environment_id)
        )
        return Resolved(written, entries, numbers, problems)

    def neighborhood(self, environment_id: int) -> "Neighborhood":
        return self._neighbors.setdefault(environment_id, Neighborhood(environment_id))


@dataclass
class Neighborhood:
    """The services of one environment as they were last published, read when they are asked for."""

    environment_id: int
    _heads: dict[str, Release | None] = field(default_factory=dict)
    _written: dict[str, Entries] = field(default_factory=dict)

    def published(self, service: str) -> Mapping[str, Mapping[str, Any]] | None:
        release = self._head(service)
        return release.entries if release is not None else None

    def written(self, service: str) -> Mapping[str, Mapping[str, Any]]:
        if service not in self._written:
            release = self._head(service)
            self._written[service] = written_of(release) if release is not None else {}
        return self._written[service]

    def _head(self, service: str) -> Release | None:
        if service not in self._heads:
            self._heads[service] = (
                Release.objects.filter(
                    scope__environment=self.environment_id, scope__service__slug=service,
                    number=F("scope__head"),
                )
                .select_related("scope__service", "scope__environment")
                .first()
            )  # fmt: skip
        return self._heads[service]


def written_of(release: Release) -> Entries:
    """A release's entries with references as people wrote them, and secrets as they are sealed."""
    laid: Entries = {}
    for layer_release in layer_releases_of(release):
        laid.update(layer_release.entries)
    return {**laid, **release.own_entries} if laid else release.own_entries


def layer_releases_of(release: Release) -> list[LayerRelease]:
    """The layers' releases that it was resolved from, lowest first."""
    return Ground([]).layers_at(_used_by(release))


def is_behind(ground: Ground, scope: Scope) -> bool:
    """True when the layers as they are now would give the scope other entries than it has."""
    head = ground.heads.get(scope.pk)
    if head is None:
        return False
    now = ground.numbers(scope, newest=None)
    if now == ground.numbers(scope):
        return False
    return not same_entries(ground.resolve(scope, head.own_entries, now).entries, head.entries)


def same_entries(one: Entries, other: Entries) -> bool:
    return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)


def _used_by(release: Release | None) -> Numbers:
    return dict(release.layers or ()) if release is not None else {}
