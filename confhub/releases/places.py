"""What can have a draft and releases: a scope, or a layer below scopes."""

from typing import TypeAlias

from django.db.models import Q

from confhub.catalog.models import Layer, Scope
from confhub.releases.models import LayerRelease, Release

Place: TypeAlias = Scope | Layer
Frozen: TypeAlias = Release | LayerRelease


def owner(place: Place) -> dict[str, Place]:
    """How a row names its place: {"scope": place} or {"layer": place}."""
    return {"scope": place} if isinstance(place, Scope) else {"layer": place}


def of_draft(place: Place) -> Q:
    """The same as a condition on rows that belong to a draft."""
    return Q(draft__scope=place) if isinstance(place, Scope) else Q(draft__layer=place)


def frozen(place: Place, number: int) -> Frozen | None:
    """Release `number` of the place; 0 and what is not there are None."""
    if not 0 < number < 2**31:  # beyond it is nothing, and PostgreSQL would refuse to look
        return None
    found: Frozen | None
    if isinstance(place, Scope):
        found = Release.objects.filter(scope=place, number=number).first()
        if found is not None:
            found.scope = place
        return found
    found = LayerRelease.objects.filter(layer=place, number=number).first()
    if found is not None:
        found.layer = place
    return found
