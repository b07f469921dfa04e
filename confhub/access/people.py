"""The doors to people: who is there, what they were granted, what they may do where and why."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from confhub.access.grants import admins_everywhere, place_text
from confhub.access.models import Grant
from confhub.access.policies import (
    LEAST_ROLE,
    VERBS,
    NotAllowed,
    NotFound,
    Verb,
    giving,
    may,
    may_at,
    may_see_slug,
    reach_of,
    require,
    require_active,
)
from confhub.access.queries import actor_of_user, environment_for, scope_for, service_for
from confhub.catalog.models import Environment, Layer, Service
from confhub.core.actors import Actor

NAMED_ADMINS = 3  # in a refusal


@dataclass(frozen=True)
class GrantView:
    """A role that a person holds. `row` is None for what a superuser has without a grant."""

    role: str
    service: str | None
    environment: str | None
    made_by: str
    made_at: datetime | None
    row: Grant | None = None
    may_revoke: bool = False  # may the one who looks take it back

    @property
    def place(self) -> str:
        return place_text(self.service, self.environment)


@dataclass(frozen=True)
class PersonView:
    """A person as `who` may see them: grants at places that `who` does not see are left out."""

    name: str
    active: bool
    row: User
    last_seen: datetime | None
    grants: list[GrantView] = field(default_factory=list)
    hidden: int = 0  # grants that were left out


@dataclass(frozen=True)
class Right:
    """May somebody do one thing at one place, and which grant gives it, or why not."""

    allowed: bool
    because: str


def people_for(who: Actor) -> list[PersonView]:
    """Everybody, by name. Raises NotAllowed for whoever is admin nowhere."""
    require(who, "see", "people")
    people = list(get_user_model().objects.order_by("username"))
    return _views(who, people)


def person_for(who: Actor, name: str) -> PersonView:
    """One person; oneself always, though with a limited token only roles at places that it reaches.

    Raises NotFound, NotAllowed (switched off).
    """
    require_active(who, "see", name)
    person = get_user_model().objects.filter(username=name).first() if "\x00" not in name else None
    is_self = person is not None and person.pk == who.user_id
    if person is None or not (is_self or may(who, "see", "people")):
        raise NotFound(
            f"There is no person {name[:80]!r}, or you may not see them.",
            fields={"name": "No such person."},
        )
    [view] = _views(who, [person], whole=is_self and who.reach is None)
    return view


def grant_for(who: Actor, person: PersonView, pk: int) -> GrantView:
    """One grant of the person by its id. Raises NotFound."""
    for held in person.grants:
        if held.row is not None and held.row.pk == pk:
            return held
    raise NotFound(f"{person.name} has no role {pk}.", fields={"grant": "No such role."})


def place_for(
    who: Actor, service: str | None, environment: str | None
) -> tuple[Service | None, Environment | None]:
    """The rows behind two slugs of a grant ("" and None: every one). Raises NotFound."""
    return (
        service_for(who, "see", service) if service else None,
        environment_for(who, "see", environment) if environment else None,
    )


def rights_of(
    who: Actor, person: PersonView, service: str | None, environment: str | None
) -> dict[Verb, Right]:
    """{verb: Right} of the person at a scope, a service, an environment, or everywhere (both None).

    Raises NotFound where `who` may not see the place.
    """
    target: object
    if service and environment:
        target = scope_for(who, "see", service, environment)
    elif service:
        target = service_for(who, "see", service)
    elif environment:
        target = environment_for(who, "see", environment)
    else:
        target = Layer(kind=Layer.Kind.GLOBAL, slug="")
    asked = actor_of_user(person.row)
    return {verb: _right(asked, verb, target) for verb in VERBS}


def _right(asked: Actor, verb: Verb, target: object) -> Right:
    if not asked.active:
        return Right(False, "The account is switched off.")
    found = giving(asked.grants, verb, target)
    if found is not None:
        return Right(True, f"{found.role} {place_text(found.service, found.environment)}")
    return Right(False, f"It needs {LEAST_ROLE[verb]} {reach_of(verb, target)}.")


def whom_to_ask(error: NotAllowed) -> str:
    """The refusal's sentence with the names of those who could change it."""
    if "role" not in error.extra:
        return error.detail
    names = list(admins_everywhere().values_list("username", flat=True)[: NAMED_ADMINS + 1])
    if not names:
        return error.detail
    more = " and others" if len(names) > NAMED_ADMINS else ""
    return f"{error.detail} Administrators are: {', '.join(names[:NAMED_ADMINS])}{more}."


def _views(who: Actor, people: Sequence[User], *, whole: bool = False) -> list[PersonView]:
    grants: dict[int, list[Grant]] = defaultdict(list)
    rows = Grant.objects.select_related("service", "environment", "user")
    for row in rows.filter(user__in=[each.pk for each in people]).order_by("id"):
        grants[row.user_id].append(row)
    return [_view(who, person, grants[person.pk], whole=whole) for person in people]


def _view(who: Actor, person: User, rows: Sequence[Grant], *, whole: bool) -> PersonView:
    held = [_grant_view(who, row) for row in rows]
    shown = [each for each in held if whole or _sees_place(who, each)]
    if person.is_superuser:
        shown.insert(0, GrantView("admin", None, None, "", None, None, may_at(who, "administer", None, None)))  # fmt: skip
    return PersonView(
        name=person.get_username(),
        active=person.is_active,
        row=person,
        last_seen=person.last_login,
        grants=shown,
        hidden=len(held) + person.is_superuser - len(shown),
    )


def _grant_view(who: Actor, row: Grant) -> GrantView:
    service = row.service.slug if row.service else None
    environment = row.environment.slug if row.environment else None
    return GrantView(
        role=row.role,
        service=service,
        environment=environment,
        made_by=row.made_by,
        made_at=row.made_at,
        row=row,
        may_revoke=may_at(who, "administer", service, environment),
    )


def _sees_place(who: Actor, held: GrantView) -> bool:
    return may_see_slug(who, service=held.service, environment=held.environment)
