"""The doors: the only way for an interface to get a service, an environment or a scope."""

import hashlib
from typing import TYPE_CHECKING

from confhub.access.models import Token
from confhub.access.policies import NotFound, Verb, require
from confhub.catalog.models import Environment, Scope, Service
from confhub.core.actors import EVERYTHING, Actor

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


def actor_of_user(user: "AbstractBaseUser | AnonymousUser", request_id: str = "") -> Actor:
    """The actor behind a browser's session."""
    return Actor(
        name=user.get_username(),
        user_id=user.pk,
        active=user.is_active,
        request_id=request_id,
        grants=EVERYTHING,
    )


def token_digest(token: str) -> str:
    """What is kept of a token. One round of SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def actor_of_token(token: str, request_id: str = "") -> Actor | None:
    """The actor behind a bearer token, or None where there is no such token."""
    held = (
        Token.objects.filter(digest=token_digest(token))
        .values_list("name", "user_id", "user__is_active")
        .first()
    )
    if held is None:
        return None
    name, user_id, active = held
    return Actor(
        name=f"token:{name}",
        user_id=user_id,
        active=active,
        request_id=request_id,
        grants=EVERYTHING,
    )


def services_for(who: Actor) -> list[Service]:
    """Every service that `who` may see, by slug."""
    require(who, "see", "services")
    return list(Service.objects.order_by("slug"))


def service_for(who: Actor, verb: Verb, slug: str) -> Service:
    """Raises NotFound, NotAllowed."""
    service = Service.objects.filter(slug=slug).first()
    if service is None:
        raise NotFound(
            f"There is no service {slug[:80]!r}.", fields={"service": "No such service."}
        )
    require(who, verb, service)
    return service


def environments_for(who: Actor) -> list[Environment]:
    """Every environment, in the order people gave them."""
    require(who, "see", "environments")
    return list(Environment.objects.order_by("order", "slug"))


def environment_for(who: Actor, verb: Verb, slug: str) -> Environment:
    """Raises NotFound, NotAllowed."""
    environment = Environment.objects.filter(slug=slug).first()
    if environment is None:
        raise NotFound(
            f"There is no environment {slug[:80]!r}.",
            fields={"environment": "No such environment."},
        )
    require(who, verb, environment)
    return environment


def scopes_of(service: Service) -> list[Scope]:
    """The service in each environment, in the environments' order."""
    scopes = Scope.objects.select_related("service", "environment").filter(service=service)
    return list(scopes.order_by("environment__order", "environment__slug"))


def all_scopes(who: Actor) -> list[Scope]:
    """Every scope that `who` may see, by service and then the environments' order."""
    require(who, "see", "services")
    scopes = Scope.objects.select_related("service", "environment")
    return list(scopes.order_by("service__slug", "environment__order", "environment__slug"))


def scope_for(who: Actor, verb: Verb, service_slug: str, environment_slug: str) -> Scope:
    """One service in one environment. Raises NotFound (naming which of the two), NotAllowed."""
    scope = (
        Scope.objects.select_related("service", "environment")
        .filter(service__slug=service_slug, environment__slug=environment_slug)
        .first()
    )
    if scope is None:
        service_for(who, "see", service_slug)
        environment_for(who, "see", environment_slug)
        raise NotFound(f"{service_slug} does not run in {environment_slug}.")
    require(who, verb, scope)
    return scope


def scope_by_id(who: Actor, verb: Verb, pk: int) -> Scope:
    """The same by row id, for event streams. Raises NotFound, NotAllowed."""
    scope = Scope.objects.select_related("service", "environment").filter(pk=pk).first()
    if scope is None:
        raise NotFound("There is no such service and environment, or you cannot see it.")
    require(who, verb, scope)
    return scope
