"""Make, change and remove deploy hooks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.db import IntegrityError, transaction

from confhub.access.policies import NotAllowed, require
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.deploys import filters as filter_rules
from confhub.deploys import mapping as mapping_rules
from confhub.deploys.models import Delivery, DeployHook
from confhub.deploys.queries import SHOWN
from confhub.deploys.senders import SENDERS
from confhub.deploys.senders.base import MIN_SECRET_CHARS
from confhub.events import actions as events
from confhub.releases.keyring import Keys
from watchers.wire.names import BadName, check_slug

MAX_WAIT_S = 60
MAX_HOOKS = 50  # of one scope
MAX_SECRET_CHARS = 200


class BadDeployHook(ConfHubError):
    """A name, a mapping, a filter or a number that cannot be kept; `fields` has a sentence for each."""

    code: ClassVar[str] = "deploy_hook.bad"
    status: ClassVar[int] = 422


class DeployHookTaken(ConfHubError):
    """There is a deploy hook of that name already."""

    code: ClassVar[str] = "deploy_hook.taken"
    status: ClassVar[int] = 409


@transaction.atomic
def make_hook(
    scope: Scope, *, name: str, kind: str, mapping: Any, filters: Any = None, wait_s: int = 0,
    secret: str | None = None, who: Actor, now: datetime,
) -> tuple[DeployHook, str]:  # fmt: skip
    """(the hook, its secret, which is never told again). It acts as the person behind `who`.

    `secret` is one that the sender made; None makes one. Raises NotAllowed, BadDeployHook,
    DeployHookTaken, NoMasterKey.
    """
    require(who, "publish", scope)
    person = _person_of(who)
    _check_name(name)
    if kind not in SENDERS:
        _refuse("kind", f"Write one of {', '.join(SENDERS)}.")
    check_rules(mapping, filters or {}, wait_s)
    if DeployHook.objects.filter(scope=scope).count() >= MAX_HOOKS:
        _refuse("name", f"{scope} has {MAX_HOOKS} deploy hooks; remove one that nobody needs.")
    made = DeployHook(
        name=name, kind=kind, scope=scope, user_id=person, secret="", mapping=mapping,  # sealed below, bound to the row's id
        filters=filters or {}, wait_s=wait_s, made_by=who.name, made_at=now,
    )  # fmt: skip
    told = _checked_secret(kind, secret)
    try:
        with transaction.atomic():
            made.save()
    except IntegrityError as error:
        sentence = "This name is taken. Choose another one."
        raise DeployHookTaken(
            f"There is a deploy hook {name!r} already. {sentence}", fields={"name": sentence}
        ) from error
    _seal(made, told)
    _tell(made, "made", who=who, now=now)
    return made, told


@transaction.atomic
def change_hook(
    hook: DeployHook, *, mapping: Any = None, filters: Any = None, wait_s: int | None = None,
    is_on: bool | None = None, takes_over: bool = False, who: Actor, now: datetime,
) -> DeployHook:  # fmt: skip
    """Change what is given; None leaves it. `takes_over`: it acts as the person behind `who` from now
    on. Raises NotAllowed, BadDeployHook."""
    require(who, "publish", hook.scope)
    check_rules(
        hook.mapping if mapping is None else mapping,
        hook.filters if filters is None else filters,
        hook.wait_s if wait_s is None else wait_s,
    )
    given = {"mapping": mapping, "filters": filters, "wait_s": wait_s, "is_on": is_on}
    changed = {name: held for name, held in given.items() if held is not None}
    if takes_over:
        changed["user_id"] = _person_of(who)
    for name, held in changed.items():
        setattr(hook, name, held)
    hook.save(update_fields=["mapping", "filters", "wait_s", "is_on", "user_id"])
    _tell(hook, "changed", who=who, now=now, changed=sorted(changed))
    return hook


@transaction.atomic
def new_secret(hook: DeployHook, *, secret: str | None = None, who: Actor, now: datetime) -> str:
    """Another secret, told once; what is signed with the old one is refused from now on, and what was
    kept to tell its repetitions goes. Raises NotAllowed, BadDeployHook, NoMasterKey."""
    require(who, "publish", hook.scope)
    _person_of(who)
    told = _checked_secret(hook.kind, secret)
    _seal(hook, told)
    shown = Delivery.objects.filter(hook=hook).order_by("-pk").values_list("pk", flat=True)[:SHOWN]
    Delivery.objects.filter(hook=hook).exclude(pk__in=list(shown)).delete()
    _tell(hook, "secret_changed", who=who, now=now)
    return told


@transaction.atomic
def remove_hook(hook: DeployHook, *, who: Actor, now: datetime) -> None:
    """Remove it with its deliveries; what it published stays. Raises NotAllowed."""
    require(who, "publish", hook.scope)
    _tell(hook, "removed", who=who, now=now)
    hook.delete()


def secret_name(hook_id: int) -> str:
    """What a hook's sealed secret is bound to."""
    return f"deploy hook {hook_id}"


def check_rules(mapping: Any, filters: Any, wait_s: int) -> None:
    """Raise BadDeployHook unless all three can be kept."""
    found = {
        "mapping": mapping_rules.problems(mapping),
        "filters": filter_rules.problems(filters),
    }
    fields = {name: " ".join(sentences) for name, sentences in found.items() if sentences}
    if not 0 <= wait_s <= MAX_WAIT_S:
        fields["wait_s"] = f"Write seconds, from 0 to {MAX_WAIT_S}."
    if fields:
        name, sentence = next(iter(fields.items()))
        raise BadDeployHook(f"{name}: {sentence}", fields=fields)


def _person_of(who: Actor) -> int:
    """The person whom a hook acts as. A token of some reach would outlive itself in a hook."""
    if who.user_id is None or who.reach is not None:
        raise NotAllowed(
            f"{who.name} may not make a deploy hook, give it a secret or take it over: a token with "
            "a reach makes nothing that lasts longer than itself. Sign in, or use a token without "
            "a reach."
        )
    return who.user_id


def _check_name(name: str) -> None:
    try:
        check_slug(name, what="deploy hook")
    except BadName as error:
        _refuse("name", str(error))


def _checked_secret(kind: str, secret: str | None) -> str:
    if secret is None:
        return SENDERS[kind].new_secret()
    fits = MIN_SECRET_CHARS <= len(secret) <= MAX_SECRET_CHARS
    if not fits or not secret.isascii() or not secret.isprintable() or " " in secret:
        _refuse(
            "secret",
            f"Write {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS} printable ASCII characters without "
            "spaces, as the sender made it, or leave it out.",
        )
    return secret


def _seal(hook: DeployHook, secret: str) -> None:
    hook.secret = Keys().seal_text(secret, name=secret_name(hook.pk))
    hook.save(update_fields=["secret"])


def _refuse(field: str, sentence: str) -> None:
    raise BadDeployHook(f"{field}: {sentence}", fields={field: sentence})


def _tell(hook: DeployHook, done: str, *, who: Actor, now: datetime, **data: object) -> None:
    told: Mapping[str, object] = {"hook": hook.name, **data}
    events.audit(f"deploy_hook.{done}", who=who, target=str(hook.scope), data=dict(told), now=now)
