"""The doors to layers."""

from django.db.models import Q

from confhub.access.policies import NotFound, Verb, may, require, require_active
from confhub.access.queries import environment_for, service_for, sought
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor


def layer_for(who: Actor, verb: Verb, kind: str, slug: str = "") -> Layer:
    """The layer of `kind` ("global", "environment", "set", "service"). Raises NotFound, NotAllowed.

    Whoever may not see the environment or service does not see its layer either.
    """
    require_active(who, verb, f"{kind} {slug}".strip())
    layer = Layer.objects.filter(kind=kind, slug=sought(slug)).first()
    if layer is None and kind == Layer.Kind.GLOBAL:
        # A migration made it; a database that was emptied by hand has it back with its first use.
        layer, _ = Layer.objects.get_or_create(kind=kind, slug="")
    if layer is None or not may(who, "see", layer):
        if kind == Layer.Kind.ENVIRONMENT:
            environment_for(who, "see", slug)
        if kind == Layer.Kind.SERVICE:
            service_for(who, "see", slug)
        raise NotFound(
            f"There is no {kind} layer {slug[:80]!r}, or you may not see it.",
            fields={"layer": "No such layer."},
        )
    require(who, verb, layer)
    return layer


def layer_by_id(who: Actor, verb: Verb, pk: int) -> Layer:
    """The same by row id, for event streams."""
    require_active(who, verb, "it")
    layer = Layer.objects.filter(pk=pk).first()
    if layer is None or not may(who, "see", layer):
        raise NotFound("There is no such layer, or you cannot see it.")
    require(who, verb, layer)
    return layer


def layers_for(who: Actor) -> list[Layer]:
    """Every layer that `who` may see, by kind and name."""
    require(who, "see", "services")
    return [each for each in Layer.objects.order_by("kind", "slug") if may(who, "see", each)]


def sets_for(who: Actor) -> list[Layer]:
    """Every shared set that `who` may see, by name."""
    require(who, "see", "services")
    rows = Layer.objects.filter(kind=Layer.Kind.SET).order_by("slug")
    return [each for each in rows if may(who, "see", each)]


def scopes_on(layer: Layer) -> list[Scope]:
    """The scopes that stand on it, by service and then the environments' order."""
    scopes = Scope.objects.select_related("service", "environment")
    conditions = {
        Layer.Kind.GLOBAL: Q(),
        Layer.Kind.ENVIRONMENT: Q(environment=layer.environment_id),
        Layer.Kind.SERVICE: Q(service=layer.service_id),
        Layer.Kind.SET: Q(service__includes__layer=layer),
    }
    found = scopes.filter(conditions[Layer.Kind(layer.kind)])
    return list(found.order_by("service__slug", "environment__order", "environment__slug"))
