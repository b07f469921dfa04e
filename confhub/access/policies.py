"""May this actor do that? The one place that answers. Pure: it reads the actor's grants and the
target's slugs, and no rows.

    role       see  edit  publish  reveal  approve  administer
    viewer      ✓
    editor      ✓    ✓
    publisher   ✓    ✓      ✓       ✓
    approver    ✓                            ✓
    admin       ✓    ✓      ✓       ✓        ✓         ✓

docs/people-and-rights.md says the same for people.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, get_args

from confhub.catalog.models import Environment, Layer, Scope, Service
from confhub.core.actors import Actor, Granted, Reach, Role
from confhub.core.errors import ConfHubError

Verb = Literal["see", "edit", "publish", "approve", "reveal", "administer"]
VERBS: tuple[Verb, ...] = get_args(Verb)
ROLE_VERBS: Mapping[Role, frozenset[Verb]] = {
    "viewer": frozenset({"see"}),
    "editor": frozenset({"see", "edit"}),
    "publisher": frozenset({"see", "edit", "publish", "reveal"}),
    "approver": frozenset({"see", "approve"}),
    "admin": frozenset(VERBS),
}
LEAST_ROLE: Mapping[Verb, Role] = {  # the smallest role that gives the verb
    "see": "viewer",
    "edit": "editor",
    "publish": "publisher",
    "reveal": "publisher",
    "approve": "approver",
    "administer": "admin",
}

Word = Literal["services", "environments", "people", "audit"]
WORDS: tuple[Word, ...] = get_args(Word)
OPEN_LISTS = frozenset({"services", "environments", "audit"})  # everybody's, filtered row by row


class NotFound(ConfHubError):
    """There is no such thing, or the actor may not see it; the two look the same from outside."""

    code: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404


class NotSignedIn(ConfHubError):
    """Nobody is known behind the request."""

    code: ClassVar[str] = "not_signed_in"
    status: ClassVar[int] = 401


class NotAllowed(ConfHubError):
    """The actor may see the thing, but not do this to it."""

    code: ClassVar[str] = "not_allowed"
    status: ClassVar[int] = 403


def require(who: Actor, verb: Verb, target: object) -> None:
    """Return when `who` may `verb` the `target`: a Scope, Service, Environment or Layer, or one of
    WORDS. Raises NotFound (may not even see it), NotAllowed, ValueError (no such verb or target).
    """
    if may(who, verb, target):
        return
    require_active(who, verb, target)
    if target not in WORDS and not may(who, "see", target):
        raise NotFound(f"There is no {target}, or you may not see it.")
    if who.reach is not None and giving(who.grants, verb, target) is not None:
        raise NotAllowed(
            f"{who.name} may not {verb} {target}: its person may, but this token reaches less. Use "
            f"one that may {verb} {reach_of(verb, target)}.",
            extra={"verb": verb},
        )
    role = role_for(verb, target)
    raise NotAllowed(
        f"{who.name} may not {verb} {target}: that needs the role {role} {reach_of(verb, target)}. "
        "Ask an administrator for it.",
        extra={"verb": verb, "role": role},
    )


def require_active(who: Actor, verb: str, target: object) -> None:
    """Raises NotAllowed for an account that is switched off, whatever it asks for."""
    if not who.active:
        raise NotAllowed(
            f"The account {who.name!r} is switched off, so it may not {verb} {target}. "
            "Ask an administrator to switch it on."
        )


def may(who: Actor, verb: Verb, target: object) -> bool:
    """The same as an answer. Raises ValueError."""
    if not who.active:
        _check_words(verb, target)
        return False
    if verb == "see" and isinstance(target, str) and target in OPEN_LISTS:
        return True
    return giving(who.grants, verb, target) is not None and _within(who, verb, target)


def giving(grants: Iterable[Granted], verb: Verb, target: object) -> Granted | None:
    """The first of `grants` that gives the verb at the target. Raises ValueError."""
    _check_words(verb, target)
    for granted in grants:
        if verb in ROLE_VERBS.get(granted.role, ()) and _reaches(granted, verb, target):
            return granted
    return None


def may_at(who: Actor, verb: Verb, service: str | None, environment: str | None) -> bool:
    """May `who` do it wherever `service` and `environment` (slugs; None: every one) meet?"""
    if not who.active or not any(
        verb in ROLE_VERBS.get(granted.role, ()) and _covers(granted, service, environment)
        for granted in who.grants
    ):
        return False
    return who.reach is None or any(
        verb in reach.verbs and _covers(reach, service, environment) for reach in who.reach
    )


def may_see_slug(who: Actor, *, service: str | None = None, environment: str | None = None) -> bool:
    """May `who` see the service, or the environment, of this slug somewhere?"""
    if not who.active or not any(
        "see" in ROLE_VERBS.get(granted.role, ()) and _touches(granted, service, environment)
        for granted in who.grants
    ):
        return False
    return who.reach is None or any(
        "see" in reach.verbs and _touches(reach, service, environment) for reach in who.reach
    )


def sees_everything(who: Actor) -> bool:
    return may_at(who, "see", None, None)


def allowed(who: Actor, target: object) -> dict[Verb, bool]:
    """{verb: may it} for a page that draws only the buttons that work."""
    return {verb: may(who, verb, target) for verb in VERBS}


def role_for(verb: Verb, target: object) -> Role:
    """The smallest role that gives the verb at the target."""
    return "admin" if target == "people" else LEAST_ROLE[verb]


def reach_of(verb: Verb, target: object) -> str:
    """Where a role must be held to `verb` the target: "for billing in every environment"."""
    match target:
        case Scope():
            return f"for {target}"
        case Service():
            return f"for {target.slug}" + ("" if verb == "see" else " in every environment")
        case Environment():
            return f"for {'a' if verb == 'see' else 'every'} service in {target.slug}"
        case Layer(kind=Layer.Kind.SERVICE):
            return f"for {target.slug} in every environment"
        case Layer(kind=Layer.Kind.ENVIRONMENT):
            return f"for every service in {target.slug}"
        case "people" if verb == "see":
            return "somewhere"
    return "everywhere"


def _within(who: Actor, verb: Verb, target: object) -> bool:
    """Does the token that `who` came with reach the target with this verb?"""
    return who.reach is None or any(
        verb in reach.verbs and _reaches(reach, verb, target) for reach in who.reach
    )


def _reaches(granted: Granted | Reach, verb: Verb, target: object) -> bool:
    """Is the place of the grant, or of the token, large enough for the target?"""
    match target:
        case Scope():
            return _covers(granted, target.service.slug, target.environment.slug)
        case Service() if verb == "see":
            return granted.service in (None, target.slug)
        case Service():
            return _covers(granted, target.slug, None)
        case Environment() if verb == "see":
            return granted.environment in (None, target.slug)
        case Environment():
            return _covers(granted, None, target.slug)
        case Layer(kind=Layer.Kind.SET) if verb == "see":
            return True
        case Layer(kind=Layer.Kind.SERVICE):
            return _covers(granted, target.slug, None)
        case Layer(kind=Layer.Kind.ENVIRONMENT):
            return _covers(granted, None, target.slug)
        case "people" if verb == "see":
            # Who may give roles somewhere must find the people.
            if isinstance(granted, Reach):
                return "administer" in granted.verbs
            return granted.role == "admin"
    return _covers(granted, None, None)


def _covers(granted: Granted | Reach, service: str | None, environment: str | None) -> bool:
    return granted.service in (None, service) and granted.environment in (None, environment)


def _touches(granted: Granted | Reach, service: str | None, environment: str | None) -> bool:
    """Does the place have something of the service, or of the environment, in it?"""
    return (service is None or granted.service in (None, service)) and (
        environment is None or granted.environment in (None, environment)
    )


def _check_words(verb: Verb, target: object) -> None:
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is not a verb: {', '.join(VERBS)}")
    is_row = isinstance(target, (Scope, Service, Environment, Layer))
    if not is_row and target not in WORDS:
        raise ValueError(f"{target!r} is not a target: a row of the catalog, or {', '.join(WORDS)}")
