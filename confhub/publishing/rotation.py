"""Other keys for secrets: wrap what there is with another master key, or seal everything anew."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from confhub.access.queries import all_scopes
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.events import actions as events
from confhub.publishing.actions import publish_resealed
from confhub.publishing.store import KEPT_DOCUMENTS
from confhub.releases import actions as releases
from confhub.releases.keyring import Keys, used_by
from confhub.releases.models import LayerRelease, SealingKeyRow
from confhub.releases.places import Place, frozen
from confhub.releases.queries import head_of, releases_of
from confhub.releases.secrets import reseal

MESSAGE = "Seal the secrets with a new key"


@dataclass(frozen=True)
class Rotated:
    """One place that seals with another key. `release` is None where it has no published secret."""

    place: str
    kid: str  # of the key that seals from now on
    release: int | None


def rotate_data_keys(*, who: Actor, now: datetime) -> Iterator[Rotated]:
    """Let the reserve key of every place seal, make another reserve, and seal what stands anew.

    Each place in a transaction of its own, so that what fails at one changes nothing there and
    everything else holds. An agent that was given the reserve before needs nothing new: it opens
    the releases from before and after. Raises what `publish_resealed` raises.
    """
    for layer in Layer.objects.filter(keys__isnull=False).distinct().order_by("pk"):
        yield _rotate_layer(layer, who=who, now=now)
    for scope in all_scopes(who):
        if SealingKeyRow.objects.filter(scope=scope).exists():
            yield _rotate_scope(scope, who=who, now=now)


def keys_for_agent(scope: Scope, *, running: Collection[int] = (), now: datetime) -> str:
    """What an agent needs as CONFHUB_SECRETS_KEY: the reserve, the key that seals now, and those of
    the releases that are kept in etcd or that an instance still runs (`running`); newest first.

    Raises NoMasterKey, KeyIsSealed.
    """
    keys = Keys()
    keys.sealing(scope, now=now)
    found = keys.all_of(scope)
    kept = [*releases_of(scope, limit=KEPT_DOCUMENTS), *(frozen(scope, each) for each in running)]
    used = {found[0].kid, found[1].kid}
    for release in kept:
        used |= used_by(release.entries.values()) if release is not None else set()
    where = f"{scope.service.slug}/{scope.environment.slug}"
    return ",".join(f"{where}={key.to_text()}" for key in found if key.kid in used)


@transaction.atomic
def _rotate_scope(scope: Scope, *, who: Actor, now: datetime) -> Rotated:
    scope = releases.lock(scope)
    kid = _turn(scope, now=now)
    release = publish_resealed(scope, message=MESSAGE, who=who, now=now)
    return Rotated(str(scope), kid, release.number if release is not None else None)


@transaction.atomic
def _rotate_layer(layer: Layer, *, who: Actor, now: datetime) -> Rotated:
    layer = releases.lock(layer)
    kid = _turn(layer, now=now)
    head = head_of(layer)
    release = _reseal_layer(layer, head, who=who, now=now) if head is not None else None
    return Rotated(str(layer), kid, release.number if release is not None else None)


def _reseal_layer(
    layer: Layer, head: LayerRelease, *, who: Actor, now: datetime
) -> LayerRelease | None:
    """The layer's newest content again. No scope is behind by it, for no value differs."""
    keys = Keys()
    fresh = {
        key: reseal(entry, key, source=layer, target=layer, now=now, keys=keys)
        for key, entry in head.entries.items()
        if entry.get("secret")
    }
    if not fresh:
        return None
    entries = {**head.entries, **fresh}
    release = releases.freeze_layer(layer, entries, message=MESSAGE, parent=head, who=who, now=now)
    data = {"release": release.number, "message": MESSAGE, "author": who.name,
            "created_at": now.isoformat(), "checksum": ""}  # fmt: skip
    moved = releases.settle_draft(layer, keys=(), who=who, now=now)
    events.record_all([("release.published", layer.stream, data), moved], now=now)
    return release


def _turn(place: Place, *, now: datetime) -> str:
    """Move to the reserve key and make another reserve; returns the name of the one that seals.

    What the draft holds is sealed with it when it is published.
    """
    keys = Keys()
    keys.add(place, now=now)
    return keys.sealing(place, now=now).kid
