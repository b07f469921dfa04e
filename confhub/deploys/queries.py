"""The doors to deploy hooks and their deliveries. Who may publish at a hook's scope may do anything
with it; who may not even see the scope is told that there is no such hook.
"""

import json
from collections.abc import Collection
from typing import Any

from django.db.models import Max

from confhub.access.policies import NotFound, Verb, may, require, require_active
from confhub.access.queries import grants_of_user, sought
from confhub.core.actors import Actor, Reach
from confhub.deploys.models import Delivery, DeployHook
from confhub.releases.keyring import KeyIsSealed, Keys, NoMasterKey
from watchers.wire.canonical import Json

SHOWN = 100  # deliveries of a hook; models.Delivery
VERBS = frozenset({"see", "edit", "publish"})  # of a hook, at its scope and nowhere else


def _rows() -> Any:
    return DeployHook.objects.select_related("scope__service", "scope__environment", "user")


def hooks_for(who: Actor) -> list[DeployHook]:
    """Every hook at a scope where `who` may publish, by name."""
    require(who, "see", "services")
    return [hook for hook in _rows().order_by("name") if may(who, "publish", hook.scope)]


def hook_for(who: Actor, verb: Verb, name: str) -> DeployHook:
    """One hook. Raises NotFound, NotAllowed."""
    require_active(who, verb, name)
    hook: DeployHook | None = _rows().filter(name=sought(name)).first()
    if hook is None or not may(who, "see", hook.scope):
        raise NotFound(
            f"There is no deploy hook {name[:80]!r}.", fields={"name": "No such deploy hook."}
        )
    require(who, verb, hook.scope)
    return hook


def hook_named(name: str) -> DeployHook | None:
    """The same for whoever has yet to prove that they know its secret."""
    hook: DeployHook | None = _rows().filter(name=sought(name)).first()
    return hook


def actor_of(hook: DeployHook, request_id: str = "") -> Actor:
    """Who a hook acts as: its person, with what they may do now, within its scope."""
    person, scope = hook.user, hook.scope
    return Actor(
        name=f"hook:{hook.name}",
        user_id=person.pk,
        active=person.is_active,
        request_id=request_id,
        grants=grants_of_user(person.pk, is_superuser=person.is_superuser),
        reach=(Reach(VERBS, scope.service.slug, scope.environment.slug),),
    )


def deliveries_of(
    hook: DeployHook, *, before: int | None = None, limit: int = SHOWN
) -> list[Delivery]:
    """The newest first, of the newest hundred; below row id `before` where given."""
    rows = Delivery.objects.filter(hook=hook).order_by("-pk")
    shown = list(rows.values_list("pk", flat=True)[:SHOWN])
    wanted = [pk for pk in shown if before is None or pk < before][:limit]
    return list(rows.filter(pk__in=wanted))


def delivery_for(hook: DeployHook, number: int) -> Delivery:
    """Raises NotFound."""
    found = Delivery.objects.filter(hook=hook, pk=number).first() if 0 < number < 2**63 else None
    if found is None:
        raise NotFound(
            f"{hook.name} has no delivery {number}.", fields={"delivery": "No such delivery."}
        )
    found.hook = hook
    return found


def newest_deliveries(hooks: Collection[DeployHook]) -> dict[int, Delivery]:
    """{hook row id: its newest delivery} in one query."""
    newest = Delivery.objects.filter(hook__in=hooks).values("hook").annotate(newest=Max("pk"))
    rows = Delivery.objects.filter(pk__in=newest.values("newest")).defer("payload")
    return {row.hook_id: row for row in rows}


def newest_with_payload(hook: DeployHook) -> Delivery | None:
    """The delivery with which a mapping is tried."""
    rows = Delivery.objects.filter(hook=hook, payload__isnull=False)
    return rows.order_by("-pk").first()


def payload_name(hook_id: int) -> str:
    """What sealed payloads of a hook are bound to."""
    return f"payloads of deploy hook {hook_id}"


def payload_of(delivery: Delivery) -> Json:
    """What came; None where it was not kept, or cannot be opened any more."""
    if delivery.payload is None:
        return None
    try:
        text = Keys().open_text(delivery.payload, name=payload_name(delivery.hook_id))
    except (KeyIsSealed, NoMasterKey):
        return None
    found: Json = json.loads(text)
    return found
