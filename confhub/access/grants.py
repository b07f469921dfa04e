"""Give roles to people and take them back. Whoever does it must be admin of the whole place."""

from datetime import datetime
from typing import ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from confhub.access.models import Grant
from confhub.access.policies import NotAllowed, NotFound, may_at, require_active
from confhub.catalog.models import Environment, Service
from confhub.core.actors import ROLES, Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events

ADMIN = "admin"


class BadRole(ConfHubError):
    """There is no such role."""

    code: ClassVar[str] = "role.unknown"
    status: ClassVar[int] = 422


class LastAdmin(ConfHubError):
    """Without this right nobody, or not the one who asks, could administer any more."""

    code: ClassVar[str] = "admin.last"
    status: ClassVar[int] = 409


@transaction.atomic
def grant(
    person: User, role: str, *, service: Service | None = None,
    environment: Environment | None = None, who: Actor, now: datetime,
) -> tuple[Grant, bool]:  # fmt: skip
    """(the grant, True where it is new). None: every service, every environment.

    Raises BadRole, NotAllowed.
    """
    if role not in ROLES:
        sentence = f"Write one of {', '.join(ROLES)}."
        raise BadRole(f"{role[:40]!r} is not a role. {sentence}", fields={"role": sentence})
    _require_admin_of(who, service, environment)
    get_user_model().objects.select_for_update().get(pk=person.pk)  # so that none is made twice
    place = {"service": service, "environment": environment}
    held = Grant.objects.filter(user=person, role=role, **place).first()
    if held is not None:
        return held, False
    made = Grant.objects.create(user=person, role=role, made_by=who.name, made_at=now, **place)
    _audit("grant.given", made, who=who, now=now)
    return made, True


@transaction.atomic
def revoke(held: Grant, *, who: Actor, now: datetime) -> None:
    """Take a role back. Open pages of the person end with their next heartbeat.

    Raises NotAllowed, NotFound (somebody took it back meanwhile), LastAdmin.
    """
    _require_admin_of(who, held.service, held.environment)
    lock_admins()
    if not Grant.objects.filter(pk=held.pk).delete()[0]:
        raise NotFound("This role was taken back already.")
    check_admins_remain(held.user, who=who)
    _audit("grant.revoked", held, who=who, now=now)


@transaction.atomic
def revoke_superuser(person: User, *, who: Actor, now: datetime) -> None:
    """Take back what a person made at the first start has without a grant: admin everywhere.

    Raises NotAllowed, NotFound (they are none), LastAdmin.
    """
    _require_admin_of(who, None, None)
    lock_admins()
    people = get_user_model().objects
    if not people.filter(pk=person.pk, is_superuser=True).update(is_superuser=False):
        raise NotFound(f"{person.username} is not a superuser.")
    check_admins_remain(person, who=who)
    events.audit(
        "grant.revoked", who=who, target=person.username, now=now,
        data={"role": ADMIN, "service": None, "environment": None, "superuser": True},
    )  # fmt: skip


def lock_admins() -> None:
    """Hold everybody's row who may administer something, so that two admins who take the right
    from each other at the same moment do it one after the other."""
    admins = Grant.objects.filter(role=ADMIN).values("user_id")
    rows = get_user_model().objects.filter(Q(is_superuser=True) | Q(pk__in=admins))
    list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))


def check_admins_remain(person: User, *, who: Actor) -> None:
    """Refuse what was just done to `person` where it leaves no active admin of everything, or takes
    the last right to administer from the one who does it. Raises LastAdmin; roll back then."""
    if not admins_everywhere().exists():
        raise LastAdmin(
            f"{person.username} is the last active administrator of everything, and stays it. Give "
            "somebody else the role admin everywhere first."
        )
    if person.pk == who.user_id and not _administers_something(person):
        raise LastAdmin(
            "This is your own last right to administer. Ask another administrator to take it, so "
            "that nobody locks themselves out by accident."
        )


def admins_everywhere() -> QuerySet[User]:
    """Active people who may administer everything, by name."""
    everywhere = Grant.objects.filter(role=ADMIN, service=None, environment=None)
    rows = get_user_model().objects.filter(is_active=True)
    found = rows.filter(Q(is_superuser=True) | Q(pk__in=everywhere.values("user_id")))
    return found.order_by("username")


def _administers_something(person: User) -> bool:
    rows = get_user_model().objects.filter(pk=person.pk, is_active=True)
    return rows.filter(Q(is_superuser=True) | Q(confhub_grants__role=ADMIN)).exists()


def _require_admin_of(who: Actor, service: Service | None, environment: Environment | None) -> None:
    names = service.slug if service else None, environment.slug if environment else None
    require_active(who, "administer", place_text(*names))
    if not may_at(who, "administer", *names):
        raise NotAllowed(
            f"{who.name} may not give or take roles {place_text(*names)}: that needs the role "
            "admin there. Ask an administrator for it.",
            extra={"verb": "administer", "role": ADMIN},
        )


def place_text(service: str | None, environment: str | None) -> str:
    """Where a role is held: "everywhere", "for billing in every environment", "for billing@prod"."""
    if service and environment:
        return f"for {service}@{environment}"
    if service:
        return f"for {service} in every environment"
    return f"for every service in {environment}" if environment else "everywhere"


def _audit(action: str, held: Grant, *, who: Actor, now: datetime) -> None:
    data = {
        "role": held.role,
        "service": held.service.slug if held.service else None,
        "environment": held.environment.slug if held.environment else None,
    }
    events.audit(action, who=who, target=held.user.get_username(), data=data, now=now)
