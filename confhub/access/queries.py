"""The doors: the only way for an interface to get a service, an environment or a scope.

What is not there and what `who` may not see are answered in the same words.
"""

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.db.models import Manager, Q

from confhub.access.models import Grant, Token, TokenReach
from confhub.access.policies import (
    NotFound,
    NotSignedIn,
    Verb,
    may,
    require,
    require_active,
    sees_everything,
)
from confhub.catalog.models import Environment, Scope, Service
from confhub.core import clock
from confhub.core.actors import EVERYTHING, Actor, Granted, Reach

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


def actor_of_user(user: "AbstractBaseUser | AnonymousUser", request_id: str = "") -> Actor:
    """The actor behind a browser's session, with what was granted until now."""
    return Actor(
        name=user.get_username(),
        user_id=user.pk,
        active=user.is_active,
        request_id=request_id,
        grants=grants_of_user(user.pk, is_superuser=getattr(user, "is_superuser", False)),
    )


def token_digest(token: str) -> str:
    """What is kept of a token. One round of SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def actor_of_token(
    token: str, request_id: str = "", *, now: datetime | None = None
) -> Actor | None:
    """The actor behind a bearer token, or None where there is no such token, or none any more.

    `now` is an aware UTC time; None: the clock's. What was rotated away works until its overlap ends.
    """
    held = token_row(token, now=now or clock.now())
    return actor_of_row(held, request_id) if held is not None else None


def actor_of_row(held: Token, request_id: str = "") -> Actor:
    """The actor behind a token that `token_row` found."""
    return Actor(
        name=f"token:{held.name}",
        user_id=held.user_id,
        active=held.user.is_active,
        request_id=request_id,
        grants=grants_of_user(held.user_id, is_superuser=held.user.is_superuser),
        reach=reach_of_rows(held.reaches) if held.limited else None,
    )


def token_row(token: str, *, now: datetime) -> Token | None:
    """The living row of a token, with its person; None where it is unknown or has ended."""
    digest = token_digest(token)
    current = Q(digest=digest)
    rotated = Q(previous_digest=digest, previous_until__gt=now)
    rows = Token.objects.select_related("user").filter(current | rotated)
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=now)).first()


class TokenEnded(NotSignedIn):
    """The token expired, or was rotated and the overlap is over."""

    code: ClassVar[str] = "token.ended"


def refusal_of(token: str, *, now: datetime) -> NotSignedIn:
    """Why a token opens nothing. How it ended helps nobody to guess one, because only who holds the
    whole of it is told."""
    digest = token_digest(token) if token.isascii() else ""
    held = Token.objects.filter(Q(digest=digest) | Q(previous_digest=digest)).first()
    if held is None:
        return NotSignedIn("This token is not known. Check it, or ask an administrator for one.")
    if held.expires_at is not None and held.expires_at <= now:
        return TokenEnded(
            f"The token {held.name} expired at {clock.stamp(held.expires_at)}. Its person, or an "
            "administrator, can rotate it with a later end."
        )
    return TokenEnded(
        f"The token {held.name} was rotated, and this secret of it ended at "
        f"{clock.stamp(held.previous_until or now)}. Use the new one."
    )


def reach_of_rows(rows: Manager[TokenReach]) -> tuple[Reach, ...]:
    """What a limited token's rows, or a trust's, let it reach; () where none is left: nothing."""
    found = rows.order_by("id").values_list("verbs", "service__slug", "environment__slug")
    return tuple(
        Reach(frozenset(verbs), service, environment) for verbs, service, environment in found
    )


def grants_of_user(user_id: int | None, *, is_superuser: bool = False) -> tuple[Granted, ...]:
    """What the person may do where. A superuser is admin everywhere, without a look at the rows."""
    if is_superuser:
        return EVERYTHING
    if user_id is None:
        return ()
    rows = Grant.objects.filter(user_id=user_id).order_by("id")
    found = rows.values_list("role", "service__slug", "environment__slug")
    return tuple(Granted(role, service, environment) for role, service, environment in found)  # type: ignore[arg-type]  # the column holds one of ROLES


def sought(slug: str) -> str:
    """What to look for: PostgreSQL refuses to look for a NUL, and no slug has one."""
    return "" if "\x00" in slug else slug


def services_for(who: Actor) -> list[Service]:
    """Every service that `who` may see, by slug."""
    require(who, "see", "services")
    return [each for each in Service.objects.order_by("slug") if may(who, "see", each)]


def service_for(who: Actor, verb: Verb, slug: str) -> Service:
    """Raises NotFound, NotAllowed."""
    require_active(who, verb, slug)
    service = Service.objects.filter(slug=sought(slug)).first()
    if service is None or not may(who, "see", service):
        raise NotFound(
            f"There is no service {slug[:80]!r}.", fields={"service": "No such service."}
        )
    require(who, verb, service)
    return service


def environments_for(who: Actor) -> list[Environment]:
    """Every environment that `who` may see, in the order people gave them."""
    require(who, "see", "environments")
    rows = Environment.objects.order_by("order", "slug")
    return [each for each in rows if may(who, "see", each)]


def environment_for(who: Actor, verb: Verb, slug: str) -> Environment:
    """Raises NotFound, NotAllowed."""
    require_active(who, verb, slug)
    environment = Environment.objects.filter(slug=sought(slug)).first()
    if environment is None or not may(who, "see", environment):
        raise NotFound(
            f"There is no environment {slug[:80]!r}.",
            fields={"environment": "No such environment."},
        )
    require(who, verb, environment)
    return environment


def scopes_of(who: Actor, service: Service) -> list[Scope]:
    """The service in each environment where `who` may see it, in the environments' order."""
    require(who, "see", service)
    scopes = Scope.objects.select_related("service", "environment").filter(service=service)
    rows = scopes.order_by("environment__order", "environment__slug")
    return [each for each in rows if may(who, "see", each)]


def all_scopes(who: Actor) -> list[Scope]:
    """Every scope that `who` may see, by service and then the environments' order."""
    require(who, "see", "services")
    scopes = Scope.objects.select_related("service", "environment")
    rows = scopes.order_by("service__slug", "environment__order", "environment__slug")
    if sees_everything(who):
        return list(rows)
    return [each for each in rows if may(who, "see", each)]


def scope_for(who: Actor, verb: Verb, service_slug: str, environment_slug: str) -> Scope:
    """One service in one environment. Raises NotFound (naming which of the two), NotAllowed."""
    require_active(who, verb, f"{service_slug}@{environment_slug}")
    scope = (
        Scope.objects.select_related("service", "environment")
        .filter(service__slug=sought(service_slug), environment__slug=sought(environment_slug))
        .first()
    )
    if scope is None or not may(who, "see", scope):
        service_for(who, "see", service_slug)
        environment_for(who, "see", environment_slug)
        raise NotFound(f"{service_slug} does not run in {environment_slug}.")
    require(who, verb, scope)
    return scope


def scope_by_id(who: Actor, verb: Verb, pk: int) -> Scope:
    """The same by row id, for event streams. Raises NotFound, NotAllowed."""
    require_active(who, verb, "it")
    scope = Scope.objects.select_related("service", "environment").filter(pk=pk).first()
    if scope is None or not may(who, "see", scope):
        raise NotFound("There is no such service and environment, or you cannot see it.")
    require(who, verb, scope)
    return scope
