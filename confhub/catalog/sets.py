"""Shared sets, the services that include them, and scopes that hold back."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from django.db import IntegrityError, models, transaction

from confhub.catalog.actions import BadSlug, SlugTaken, StillInUse
from confhub.catalog.models import Include, Layer, Scope, Service
from confhub.core import rehearsal
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from watchers.wire.names import BadName, check_slug

MAX_DESCRIPTION_CHARS = 2000
MAX_INCLUDES = 20


class NoSuchSet(ConfHubError):
    """A service wants to include a set that is not there."""

    code: ClassVar[str] = "set.unknown"
    status: ClassVar[int] = 422


@transaction.atomic
def create_set(*, slug: str, description: str = "", who: Actor, now: datetime) -> Layer:
    """A new shared set, empty and included by nobody. Raises BadSlug, SlugTaken."""
    try:
        check_slug(slug, what="set")
    except BadName as error:
        raise BadSlug(str(error), fields={"slug": str(error)}) from error
    if len(description) > MAX_DESCRIPTION_CHARS or "\x00" in description:
        sentence = f"Write at most {MAX_DESCRIPTION_CHARS:,} characters, without NUL."
        raise BadSlug(
            f"The description cannot be kept. {sentence}", fields={"description": sentence}
        )
    try:
        with transaction.atomic():
            layer = Layer.objects.create(kind=Layer.Kind.SET, slug=slug, description=description)
    except IntegrityError as error:
        raise SlugTaken(
            f"There is already a set {slug!r}. Choose another name for it.",
            fields={"slug": "This name is taken."},
        ) from error
    rehearsal.note_fields("set", slug, None, {"slug": slug, "description": description})
    events.audit("set.made", who=who, target=f"set {slug}", now=now)
    return layer


@transaction.atomic
def delete_set(layer: Layer, *, who: Actor, now: datetime) -> None:
    """Remove a set that nobody includes and that was never published. Raises StillInUse."""
    if layer.kind != Layer.Kind.SET:
        raise StillInUse(f"The layer of {layer} goes with it; it is not removed alone.")
    users = [include.service.slug for include in layer.included_by.select_related("service")[:3]]
    if users or layer.head:
        why = f"{', '.join(users)} include it" if users else "releases were resolved from it"
        raise StillInUse(f"The set {layer.slug} stays, because {why}.")
    slug = layer.slug
    try:
        with transaction.atomic():
            layer.delete()
    except models.ProtectedError as error:
        raise StillInUse(f"The set {slug} is still in use and stays.") from error
    before = {"slug": slug, "description": layer.description}
    rehearsal.note_fields("set", slug, before, None)
    events.audit("set.removed", who=who, target=f"set {slug}", now=now)


@transaction.atomic
def set_includes(service: Service, slugs: Sequence[str], *, who: Actor, now: datetime) -> list[str]:
    """Let the service include these sets, a later one winning over an earlier one.

    It takes effect with each scope's next release. Raises NoSuchSet; then nothing is changed.
    """
    if len(set(slugs)) != len(slugs) or len(slugs) > MAX_INCLUDES:
        sentence = f"Name at most {MAX_INCLUDES} sets, each once."
        raise NoSuchSet(f"These includes cannot be kept. {sentence}", fields={"includes": sentence})
    found = {
        layer.slug: layer
        for layer in Layer.objects.filter(kind=Layer.Kind.SET, slug__in=list(slugs))
    }
    for slug in slugs:
        if slug not in found:
            sentence = f"There is no set {slug[:80]!r}. Make it first."
            raise NoSuchSet(sentence, fields={"includes": sentence})
    Service.objects.select_for_update().get(pk=service.pk)
    before = {"includes": includes_of(service)} if rehearsal.is_rehearsal() else {}
    rehearsal.note_fields("service", service.slug, before, {"includes": list(slugs)})
    Include.objects.filter(service=service).delete()
    Include.objects.bulk_create(
        [Include(service=service, layer=found[slug], order=at) for at, slug in enumerate(slugs)]
    )
    events.audit(
        "service.includes", who=who, target=service.slug, data={"includes": list(slugs)}, now=now
    )
    events.record("service.changed", stream="catalog", data={"service": service.slug}, now=now)
    return list(slugs)


def includes_of(service: Service) -> list[str]:
    """The sets that the service includes, the lowest first."""
    rows = Include.objects.filter(service=service).order_by("order", "id")
    return list(rows.values_list("layer__slug", flat=True))


@transaction.atomic
def hold_back(scope: Scope, holds: bool, *, who: Actor, now: datetime) -> None:
    """Let a layer's publish to "all" leave the scope out, or take it in again."""
    rehearsal.note_fields(
        "scope", str(scope), {"holds_back": scope.holds_back}, {"holds_back": holds}
    )
    Scope.objects.filter(pk=scope.pk).update(holds_back=holds)
    scope.holds_back = holds
    word = "scope.holds_back" if holds else "scope.follows"
    events.audit(word, who=who, target=str(scope), now=now)
