"""Reveal a secret to one person: a right, with a reason where it matters, and in the audit for ever."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from django.db import transaction

from confhub.access.layers import scopes_on
from confhub.access.policies import NotFound, require
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.releases import secrets
from confhub.releases.entries import BadEntries
from confhub.releases.layering import Ground
from confhub.releases.places import Place, frozen
from confhub.releases.queries import drafted_own, head_of
from confhub.releases.writing import facts_of
from watchers.wire.canonical import Json

MAX_REASON_CHARS = 2000
Of = Literal["draft"] | int  # the draft as it is now, or a release's number


class WriteOnly(ConfHubError):
    """Nobody may reveal this secret."""

    code: ClassVar[str] = "secret.write_only"
    status: ClassVar[int] = 403


@dataclass(frozen=True)
class Revealed:
    """The one answer that holds a secret's value."""

    key: str
    value: Json = field(repr=False)
    version: int
    fingerprint: str


@transaction.atomic
def reveal(
    place: Place, key: str, *, of: Of = "draft", reason: str, who: Actor, now: datetime
) -> Revealed:
    """The secret `key` as the draft has it, or as release `of` had it; written to the audit first.

    Raises NotAllowed, NotFound (no such key or release), BadEntries (no secret, no reason),
    WriteOnly, CannotOpenSecret, NoMasterKey, KeyIsSealed; nothing is written then.
    """
    require(who, "reveal", place)
    reason = _checked(reason.strip(), place)
    source, entry = _found(place, key, of)
    if not entry.get("secret"):
        raise BadEntries(
            f"{key[:140]} of {place} is no secret. Its value stands in the configuration.",
            fields={"key": "It is no secret."},
        )
    if is_write_only(place, key, entry):
        raise WriteOnly(
            f"{key} of {place} is write-only: nobody may reveal it. Set a new value where the old "
            "one is not known."
        )
    value = secrets.open_entry(source, key, entry)
    data = {"key": key, "reason": reason, "of": of, "version": entry["version"]}
    events.audit("secret.revealed", who=who, target=str(place), data=data, now=now)
    return Revealed(key, value, int(entry["version"]), str(entry["fingerprint"]))


def needs_reason(place: Place) -> bool:
    """True in a protected environment, and for a layer that reaches one."""
    if isinstance(place, Scope):
        return place.environment.protected
    if place.kind == Layer.Kind.ENVIRONMENT and place.environment is not None:
        return place.environment.protected
    return any(scope.environment.protected for scope in scopes_on(place))


def is_write_only(place: Place, key: str, entry: Mapping[str, Any]) -> bool:
    """True where the entry says so, or the schema of a service that has the key through `place`."""
    if entry.get("write_only"):
        return True
    places: list[Place] = [place] if isinstance(place, Scope) else [place, *scopes_on(place)]
    known = (facts_of(each).get(key) for each in places)
    return any(each is not None and each.write_only for each in known)


def _checked(reason: str, place: Place) -> str:
    if not reason and needs_reason(place):
        raise BadEntries(
            f"{place} is protected, or reaches an environment that is: say why you reveal it. The "
            "audit shows the reason.",
            fields={"reason": "Say why; the audit shows it."},
        )
    if len(reason) > MAX_REASON_CHARS or "\x00" in reason:
        sentence = f"Write at most {MAX_REASON_CHARS:,} characters, without NUL."
        raise BadEntries(f"The reason cannot be kept. {sentence}", fields={"reason": sentence})
    return reason


def _found(place: Place, key: str, of: Of) -> tuple[Place, Mapping[str, Any]]:
    """(whose key seals it, the entry). Raises NotFound."""
    if of == "draft":
        return _drafted(place, key)
    release = frozen(place, of)
    if release is None:
        raise NotFound(f"{place} has no release {of}.", fields={"release": "No such release."})
    if key not in release.entries:
        raise NotFound(f"r{of} of {place} has no key {key[:140]}.", fields={"key": "No such key."})
    return place, release.entries[key]


def _drafted(place: Place, key: str) -> tuple[Place, Mapping[str, Any]]:
    head = head_of(place)
    own = drafted_own(place, head)
    if key in own:
        return place, own[key]
    if isinstance(place, Scope):
        inherited = head.entries.get(key) if head is not None else None
        if inherited is not None and head is not None and key not in head.own_entries:
            return place, inherited
        ground = Ground.of([place])
        for release in reversed(ground.layers_at(ground.numbers(place))):
            if key in release.entries:
                return release.layer, release.entries[key]
    raise NotFound(f"{place} has no key {key[:140]}.", fields={"key": "No such key."})
