"""Places by one word, as commands and bulk calls name them.

checkout@prod · global · environment/prod · set/tls · service/checkout
"""

import re
from typing import ClassVar

from confhub.access.layers import layer_for
from confhub.access.policies import Verb
from confhub.access.queries import scope_for
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError

_SCOPE = re.compile(r"([^@/\s]+)@([^@/\s]+)")
_LAYER = re.compile(r"(environment|set|service)/([^@/\s]+)")
WORDS = "Write service@environment, global, environment/…, set/… or service/…."


class BadPlace(ConfHubError):
    """A word that names no scope and no layer."""

    code: ClassVar[str] = "place.bad"
    status: ClassVar[int] = 422


def place_named(who: Actor, verb: Verb, word: str) -> Scope | Layer:
    """The scope or layer. Raises BadPlace, NotFound, NotAllowed."""
    if word == Layer.Kind.GLOBAL:
        return layer_for(who, verb, word)
    if found := _SCOPE.fullmatch(word):
        return scope_for(who, verb, found[1], found[2])
    if found := _LAYER.fullmatch(word):
        return layer_for(who, verb, found[1], found[2])
    raise BadPlace(f"{word[:120]!r} names no place. {WORDS}", fields={"place": WORDS})


def name_of(place: Scope | Layer) -> str:
    """The word that `place_named` takes."""
    if isinstance(place, Scope):
        return str(place)
    return f"{place.kind}/{place.slug}" if place.slug else str(place.kind)
