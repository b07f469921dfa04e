"""Publish hooks: who is asked before, or told after, something is published where.

Whoever administers a hook's place makes, changes and removes it, and sees that it is there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from confhub.access.policies import NotFound, may, require, require_active
from confhub.access.queries import environment_for, scope_for, service_for, sought
from confhub.catalog.models import Environment, Scope, Service
from confhub.core import outgoing, signing
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.publishing.asking import secret_name
from confhub.publishing.models import PublishHook
from confhub.releases.keyring import Keys
from watchers.wire.names import BadName, check_slug

SHORTEST_S, USUAL_S, LONGEST_S = 0.1, 3.0, 10.0
BUDGET_S = 30.0  # of all that one publish asks, one after the other
MOST_HOOKS = 200
MAX_ORDER = 1_000_000

BEFORE, AFTER = PublishHook.When.BEFORE, PublishHook.When.AFTER


class BadHook(ConfHubError):
    """A publish hook that cannot be kept; `fields` says which of its parts and why."""

    code: ClassVar[str] = "publish_hook.bad"
    status: ClassVar[int] = 422


class HookTaken(ConfHubError):
    """There is a publish hook of this name."""

    code: ClassVar[str] = "publish_hook.taken"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Settings:
    """What is said of a hook, and may be said anew."""

    url: str
    order: int = 0
    timeout_s: float = USUAL_S
    fail_open: bool = False
    is_on: bool = True


def hooks_for(who: Actor) -> list[PublishHook]:
    """Every hook whose place `who` administers, as they are asked: before, then after."""
    require_active(who, "see", "publish hooks")
    rows = _rows().order_by("-when", "order", "name")  # "before" sorts behind "after"
    return [each for each in rows if may(who, "administer", _place(each))]


def hook_for(who: Actor, name: str) -> PublishHook:
    """The door. Raises NotFound, also for one at a place that `who` does not see; NotAllowed."""
    require_active(who, "administer", name)
    found = _rows().filter(name=sought(name)).first()
    if found is None or not may(who, "see", _place(found)):
        raise NotFound(
            f"There is no publish hook {name[:80]!r}.", fields={"hook": "No such publish hook."}
        )
    require(who, "administer", _place(found))
    return found


def place_for(
    who: Actor, service: str | None, environment: str | None
) -> tuple[Service | None, Environment | None]:
    """The rows of a place (slugs; None: every one) that `who` administers. Raises NotFound,
    NotAllowed."""
    if service is not None and environment is not None:
        scope = scope_for(who, "administer", service, environment)
        return scope.service, scope.environment
    if service is not None:
        return service_for(who, "administer", service), None
    if environment is not None:
        return None, environment_for(who, "administer", environment)
    require(who, "administer", "services")
    return None, None


@transaction.atomic
def make_hook(
    name: str, *, when: str, service: Service | None, environment: Environment | None,
    settings: Settings, who: Actor, now: datetime,
) -> tuple[PublishHook, str]:  # fmt: skip
    """(the hook, the secret that signs what it gets; it is told here only). The caller has the
    place from `place_for`. Raises BadHook, HookTaken, NoMasterKey."""
    fields = _problems(settings)
    try:
        check_slug(name, what="publish hook")
    except BadName as error:
        fields["name"] = str(error)
    if when not in PublishHook.When.values:
        fields["when"] = "Write before or after."
    _refuse(fields)
    if PublishHook.objects.count() >= MOST_HOOKS:
        raise BadHook(f"There are {MOST_HOOKS} publish hooks already. Remove one first.")
    hook = PublishHook(
        name=name, when=when, service=service, environment=environment, made_by=who.name,
        made_at=now, **vars(settings),
    )  # fmt: skip
    _refuse_too_long(hook)
    try:
        with transaction.atomic():
            hook.save(force_insert=True)
    except IntegrityError:
        sentence = f"There is a publish hook {name} already. Choose another name."
        raise HookTaken(sentence, fields={"name": sentence}) from None
    secret = _seal(hook)
    _audit("publish_hook.made", hook, who=who, now=now)
    return hook, secret


@transaction.atomic
def change_hook(hook: PublishHook, settings: Settings, *, who: Actor, now: datetime) -> PublishHook:
    """Raises BadHook, NotFound."""
    _refuse(_problems(settings))
    hook = _locked(hook)
    before = vars(settings_of(hook))
    changed = [name for name, held in vars(settings).items() if held != before[name]]
    for name in changed:
        setattr(hook, name, getattr(settings, name))
    _refuse_too_long(hook)
    if changed:
        hook.save(update_fields=changed)
        _audit("publish_hook.changed", hook, who=who, now=now, changed=changed)
    return hook


@transaction.atomic
def renew_secret(hook: PublishHook, *, who: Actor, now: datetime) -> str:
    """Another secret, told here only; the old one signs nothing any more. Raises NoMasterKey."""
    hook = _locked(hook)
    secret = _seal(hook)
    _audit("publish_hook.secret", hook, who=who, now=now)
    return secret


@transaction.atomic
def remove_hook(hook: PublishHook, *, who: Actor, now: datetime) -> None:
    """With its calls, also those that were still to be told. Raises NotFound."""
    hook = _locked(hook)
    _audit("publish_hook.removed", hook, who=who, now=now)
    hook.delete()


def settings_of(hook: PublishHook) -> Settings:
    return Settings(hook.url, hook.order, hook.timeout_s, hook.fail_open, hook.is_on)


def matching(scope: Scope) -> list[PublishHook]:
    """The hooks of the scope that are on, before and after, in their order."""
    rows = PublishHook.objects.filter(
        Q(service=None) | Q(service=scope.service_id),
        Q(environment=None) | Q(environment=scope.environment_id),
        is_on=True,
    )
    return list(rows.order_by("order", "name"))


def before(found: Iterable[PublishHook]) -> list[PublishHook]:
    return [hook for hook in found if hook.when == BEFORE]


def after(found: Iterable[PublishHook]) -> list[PublishHook]:
    return [hook for hook in found if hook.when == AFTER]


def still_on(ids: Iterable[int]) -> dict[int, PublishHook]:
    """{row id: the hook as it is now}, without those that are off or gone."""
    return {each.pk: each for each in PublishHook.objects.filter(pk__in={*ids}, is_on=True)}


def slugs(hook: PublishHook) -> tuple[str | None, str | None]:
    """(service, environment) of its place; None: every one."""
    return (
        hook.service.slug if hook.service else None,
        hook.environment.slug if hook.environment else None,
    )


def _rows() -> QuerySet[PublishHook]:
    return PublishHook.objects.select_related("service", "environment")


def _place(hook: PublishHook) -> object:
    """What rights are asked for: a scope, a service, an environment, or everything."""
    if hook.service is not None and hook.environment is not None:
        return Scope(service=hook.service, environment=hook.environment)
    return hook.service or hook.environment or "services"


def _locked(hook: PublishHook) -> PublishHook:
    """The hook as it is now. Raises NotFound where it was removed meanwhile."""
    rows = _rows().select_for_update(of=("self",))
    found = rows.filter(pk=hook.pk).first()
    if found is None:
        raise NotFound(f"The publish hook {hook.name} was removed meanwhile.")
    return found


def _seal(hook: PublishHook) -> str:
    secret = signing.new_secret()
    hook.secret = Keys().seal_text(secret, name=secret_name(hook))
    hook.save(update_fields=["secret"])
    return secret


def _problems(settings: Settings) -> dict[str, str]:
    fields = {}
    if (problem := outgoing.url_problem(settings.url)) is not None:
        fields["url"] = problem
    if not SHORTEST_S <= settings.timeout_s <= LONGEST_S:
        fields["timeout_s"] = f"Write {SHORTEST_S:g} to {LONGEST_S:g} seconds."
    if not 0 <= settings.order <= MAX_ORDER:
        fields["order"] = f"Write 0 to {MAX_ORDER:,}."
    return fields


def _refuse(fields: dict[str, str]) -> None:
    if fields:
        raise BadHook(
            f"The publish hook cannot be kept. {next(iter(fields.values()))}", fields=fields
        )


def _refuse_too_long(hook: PublishHook) -> None:
    """Raise BadHook where some publish would wait longer than BUDGET_S for its hooks."""
    if hook.when != BEFORE or not hook.is_on:
        return
    others = PublishHook.objects.filter(when=BEFORE, is_on=True).exclude(pk=hook.pk)
    waits = _longest_wait([*others, hook])
    if waits > BUDGET_S:
        sentence = (
            f"A publish would wait up to {waits:g} s for its hooks, and {BUDGET_S:g} s are allowed. "
            "Write a shorter time here, or at another hook that is asked there."
        )
        raise BadHook(sentence, fields={"timeout_s": sentence})


def _longest_wait(hooks: Collection[PublishHook]) -> float:
    """The longest sum of times at any one scope, those included that no hook names."""
    services = {None, *(each.service_id for each in hooks)}
    environments = {None, *(each.environment_id for each in hooks)}
    return max(
        sum(
            each.timeout_s
            for each in hooks
            if each.service_id in (None, service) and each.environment_id in (None, environment)
        )
        for service in services
        for environment in environments
    )


def _audit(action: str, hook: PublishHook, *, who: Actor, now: datetime, **data: Any) -> None:
    # Of the address the host alone, because people put tokens into paths and queries.
    service, environment = slugs(hook)
    told = {
        "when": str(hook.when),
        "host": urlsplit(hook.url).hostname or "",
        "service": service,
        "environment": environment,
        "fail_open": hook.fail_open,
        "on": hook.is_on,
    }
    events.audit(action, who=who, target=hook.name, data=told | data, now=now)
