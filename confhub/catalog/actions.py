"""Make, change and remove services and environments. A scope stands wherever the two meet."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, Literal

from django.db import IntegrityError, models, transaction

from confhub.catalog.models import Environment, Layer, Scope, Service
from confhub.core import rehearsal
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from watchers.wire.names import BadName, check_slug

STREAM = "catalog"  # what the list pages listen to
MAX_NAME_CHARS = 120
MAX_DESCRIPTION_CHARS = 2000
MAX_ORDER = 10_000
# A service's own pages stand beside its environments: /services/checkout/schema/.
RESERVED = {"all", "compare", "includes", "layers", "schema"}


class BadSlug(ConfHubError):
    """A name, description or order that cannot be kept."""

    code: ClassVar[str] = "catalog.bad"
    status: ClassVar[int] = 422


class SlugTaken(ConfHubError):
    """A service or environment of that slug is there already."""

    code: ClassVar[str] = "catalog.taken"
    status: ClassVar[int] = 409


class StillInUse(ConfHubError):
    """Removing it would remove history or a running configuration."""

    code: ClassVar[str] = "catalog.in_use"
    status: ClassVar[int] = 409


@transaction.atomic
def create_service(
    *, slug: str, name: str = "", description: str = "", who: Actor, now: datetime
) -> Service:
    """A new service, with a scope in every environment. Raises BadSlug, SlugTaken."""
    _check_slug(slug, "service")
    _check_text(name=name, description=description)
    with _one_per_slug("service", slug):
        service = Service.objects.create(
            slug=slug, name=name or slug, description=description, created_at=now
        )
    Layer.objects.get_or_create(kind=Layer.Kind.SERVICE, slug=slug, defaults={"service": service})
    _meet_everywhere()
    transaction.on_commit(_meet_everywhere)
    rehearsal.note_fields("service", slug, None, _facts(service))
    _tell("service", slug, "made", who=who, now=now)
    return service


@transaction.atomic
def change_service(
    service: Service, *, name: str | None = None, description: str | None = None, who: Actor,
    now: datetime,
) -> Service:  # fmt: skip
    """Give `service` another name or description; None leaves it. Raises BadSlug."""
    _check_text(name=name or "", description=description or "")
    before = _facts(service)
    if name is not None:
        service.name = name or service.slug
    if description is not None:
        service.description = description
    service.save(update_fields=["name", "description"])
    rehearsal.note_fields("service", service.slug, before, _facts(service))
    _tell("service", service.slug, "changed", who=who, now=now)
    return service


def lock(thing: Service | Environment) -> bool:
    """Lock its row until the transaction ends, and have it as it is now; False where it is gone."""
    fresh = type(thing)._default_manager.select_for_update().filter(pk=thing.pk).first()
    if fresh is None:
        return False
    thing.refresh_from_db()
    return True


@transaction.atomic
def delete_service(service: Service, *, who: Actor, now: datetime) -> None:
    """Remove a service that was never published. Raises StillInUse.

    One with releases stays, because containers may still run them from etcd or their disks.
    """
    _delete("service", service, who=who, now=now)


@transaction.atomic
def create_environment(
    *, slug: str, name: str = "", protected: bool = False, order: int = 0, approvals: int = 0,
    who: Actor, now: datetime,
) -> Environment:  # fmt: skip
    """A new environment, with a scope for every service. Raises BadSlug, SlugTaken."""
    _check_slug(slug, "environment")
    if slug in RESERVED:
        sentence = f"{slug!r} is the name of a page of every service. Choose another one."
        raise BadSlug(sentence, fields={"slug": sentence})
    _check_text(name=name)
    _check_order(order)
    _check_approvals(approvals)
    with _one_per_slug("environment", slug):
        environment = Environment.objects.create(
            slug=slug, name=name or slug, protected=protected, order=order, approvals=approvals
        )
    Layer.objects.get_or_create(
        kind=Layer.Kind.ENVIRONMENT, slug=slug, defaults={"environment": environment}
    )
    _meet_everywhere()
    transaction.on_commit(_meet_everywhere)
    rehearsal.note_fields("environment", slug, None, _facts(environment))
    _tell("environment", slug, "made", who=who, now=now)
    return environment


@transaction.atomic
def change_environment(
    environment: Environment, *, name: str | None = None, protected: bool | None = None,
    order: int | None = None, approvals: int | None = None, who: Actor, now: datetime,
) -> Environment:  # fmt: skip
    """Change what is given; None leaves it. Raises BadSlug."""
    _check_text(name=name or "")
    before = _facts(environment)
    if name is not None:
        environment.name = name or environment.slug
    if protected is not None:
        environment.protected = protected
    if order is not None:
        _check_order(order)
        environment.order = order
    if approvals is not None:
        _check_approvals(approvals)
        environment.approvals = approvals
    environment.save(update_fields=["name", "protected", "order", "approvals"])
    rehearsal.note_fields("environment", environment.slug, before, _facts(environment))
    _tell("environment", environment.slug, "changed", who=who, now=now)
    return environment


@transaction.atomic
def delete_environment(environment: Environment, *, who: Actor, now: datetime) -> None:
    """Remove an environment in which nothing was ever published. Raises StillInUse."""
    _delete("environment", environment, who=who, now=now)


def _delete(
    what: Literal["service", "environment"],
    thing: Service | Environment,
    *,
    who: Actor,
    now: datetime,
) -> None:
    scopes = Scope.objects.select_for_update().filter(**{what: thing})  # no release in between
    published = [scope for scope in scopes if scope.head]
    if published:
        raise StillInUse(
            f"{thing.slug} has releases ({published[0]} is at r{published[0].head}), which "
            "containers may still run. It can be removed only while nothing was published."
        )
    slug = thing.slug
    try:
        with transaction.atomic():
            thing.delete()
    except models.ProtectedError as error:
        raise StillInUse(f"{slug} is still in use and stays.") from error
    rehearsal.note_fields(what, slug, _facts(thing), None)
    _tell(what, slug, "removed", who=who, now=now)


@contextmanager
def _one_per_slug(what: str, slug: str) -> Iterator[None]:
    """A savepoint in which a duplicate slug becomes SlugTaken."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise SlugTaken(
            f"There is already a {what} {slug!r}. Choose another name for it.",
            fields={"slug": "This name is taken."},
        ) from error


def _meet_everywhere() -> None:
    """Make the scopes that are missing.

    Called in the transaction and once more after it, because a service and an environment made at
    the same moment do not see each other before both are committed.
    """
    there = set(Scope.objects.values_list("service_id", "environment_id"))
    pairs = itertools.product(
        Service.objects.values_list("pk", flat=True),
        Environment.objects.values_list("pk", flat=True),
    )
    Scope.objects.bulk_create(
        [
            Scope(service_id=service, environment_id=environment)
            for service, environment in pairs
            if (service, environment) not in there
        ],
        ignore_conflicts=True,
    )


def _facts(thing: Service | Environment) -> dict[str, Any]:
    """What people set of it, for a rehearsal to compare."""
    if isinstance(thing, Service):
        return {"slug": thing.slug, "name": thing.name, "description": thing.description}
    return {
        "slug": thing.slug,
        "name": thing.name,
        "protected": thing.protected,
        "order": thing.order,
        "approvals": thing.approvals,
    }


def _check_slug(slug: str, what: str) -> None:
    try:
        check_slug(slug, what=what)
    except BadName as error:
        raise BadSlug(str(error), fields={"slug": str(error)}) from error


def _check_text(*, name: str = "", description: str = "") -> None:
    for field, text, limit in (
        ("name", name, MAX_NAME_CHARS),
        ("description", description, MAX_DESCRIPTION_CHARS),
    ):
        if len(text) > limit:
            sentence = f"{len(text):,} characters; at most {limit:,} are kept. Shorten it."
            raise BadSlug(f"The {field} has {sentence}", fields={field: sentence})
        if "\x00" in text or (not text.isprintable() and field == "name"):
            sentence = "It holds a control character. Remove it."
            raise BadSlug(f"The {field} cannot be kept. {sentence}", fields={field: sentence})


def _check_order(order: int) -> None:
    if not 0 <= order <= MAX_ORDER:
        sentence = f"Write a whole number from 0 to {MAX_ORDER:,}."
        raise BadSlug(f"The order {order} cannot be kept. {sentence}", fields={"order": sentence})


def _check_approvals(approvals: int) -> None:
    if approvals not in (0, 1):
        sentence = "Write 0, or 1 for another person's approval."
        raise BadSlug(f"The approvals cannot be kept. {sentence}", fields={"approvals": sentence})


def _tell(what: Literal["service", "environment"], slug: str, done: str, *, who: Actor, now: datetime) -> None:  # fmt: skip
    events.audit(f"{what}.{done}", who=who, target=slug, now=now)
    events.record(f"{what}.changed", stream=STREAM, data={what: slug}, now=now)
