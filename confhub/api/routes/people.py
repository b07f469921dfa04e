"""People, their roles, and what they may do where."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from confhub.access import actions, grants, people
from confhub.access.policies import require
from confhub.api.auth import who_asks
from confhub.api.idempotency import MAY_REPEAT, once
from confhub.api.lists import After, Limit, page_after
from confhub.api.schemas import (
    GrantIn,
    GrantOut,
    Page,
    PersonChange,
    PersonIn,
    PersonOut,
    RightOut,
    RightsOut,
)
from confhub.core import clock

router = Router(tags=["people"])
Slug = Annotated[str | None, Query(None, description="Its slug; every one where left out.")]


@router.get("/people", response=Page[PersonOut])
def list_people(request: HttpRequest, after: After, limit: Limit) -> Page[PersonOut]:
    """Everybody with their roles, by name. For administrators of something."""
    found = people.people_for(who_asks(request))
    rows, following = page_after(sorted(found, key=_name), after=after, limit=limit, key=_name)
    return Page(items=[_out(person) for person in rows], next=following)


@router.post("/people", response={201: PersonOut}, openapi_extra=MAY_REPEAT)
def create_person(request: HttpRequest, body: PersonIn, response: HttpResponse) -> Any:
    """Make a person without any role. Without a password nobody can sign in as them yet."""
    who, now = who_asks(request), clock.now()
    require(who, "administer", "people")

    def act() -> Status[PersonOut]:
        actions.make_person(body.name, password=body.password, who=who, now=now)
        response["Location"] = f"{request.path}/{body.name}"
        return Status(201, _out(people.person_for(who, body.name)))

    return once(request, response, act, who=who, now=now)


@router.get("/people/{name}", response=PersonOut)
def get_person(request: HttpRequest, name: str) -> PersonOut:
    """One person with their roles; oneself always."""
    return _out(people.person_for(who_asks(request), name))


@router.patch("/people/{name}", response=PersonOut)
def change_person(request: HttpRequest, name: str, body: PersonChange) -> PersonOut:
    """Switch the account off or on, or give it another password."""
    who, now = who_asks(request), clock.now()
    held = people.person_for(who, name)
    require(who, "administer", "people")
    actions.change_person(held.row, active=body.active, password=body.password, who=who, now=now)
    return _out(people.person_for(who, name))


@router.get("/people/{name}/grants", response=Page[GrantOut])
def list_grants(request: HttpRequest, name: str, after: After, limit: Limit) -> Page[GrantOut]:
    """The roles that the person holds, as far as you may see their places."""
    held = people.person_for(who_asks(request), name)
    found = sorted(held.grants, key=_grant_key)
    rows, following = page_after(found, after=after, limit=limit, key=_grant_key)
    return Page(items=[_grant(each) for each in rows], next=following)


@router.post(
    "/people/{name}/grants", response={201: GrantOut, 200: GrantOut}, openapi_extra=MAY_REPEAT
)
def give_role(request: HttpRequest, name: str, body: GrantIn, response: HttpResponse) -> Any:
    """Give a role. 200 where the person holds it already."""
    who, now = who_asks(request), clock.now()
    held = people.person_for(who, name)
    service, environment = people.place_for(who, body.service, body.environment)

    def act() -> Status[GrantOut]:
        made, is_new = grants.grant(
            held.row, body.role, service=service, environment=environment, who=who, now=now
        )
        view = people.grant_for(who, people.person_for(who, name), made.pk)
        return Status(201 if is_new else 200, _grant(view))

    return once(request, response, act, who=who, now=now)


@router.delete("/people/{name}/grants/{grant}", response={204: None})
def take_role(request: HttpRequest, name: str, grant: int) -> Any:
    """Take a role back. Open pages of the person end within seconds. 0: a superuser's own right."""
    who = who_asks(request)
    held = people.person_for(who, name)
    if grant == 0:
        grants.revoke_superuser(held.row, who=who, now=clock.now())
    else:
        found = people.grant_for(who, held, grant)
        assert found.row is not None  # noqa: S101  # grant_for hands out no other
        grants.revoke(found.row, who=who, now=clock.now())
    return Status(204, None)


@router.get("/people/{name}/rights", response=RightsOut)
def get_rights(request: HttpRequest, name: str, service: Slug, environment: Slug) -> RightsOut:
    """What the person may do there, and which role gives it, or which one is missing."""
    who = who_asks(request)
    held = people.person_for(who, name)
    found = people.rights_of(who, held, service, environment)
    rights = {
        str(verb): RightOut(allowed=right.allowed, because=right.because)
        for verb, right in found.items()
    }
    return RightsOut(person=held.name, service=service, environment=environment, rights=rights)


def _name(person: people.PersonView) -> str:
    return person.name


def _out(person: people.PersonView) -> PersonOut:
    return PersonOut(
        name=person.name,
        active=person.active,
        last_signed_in=clock.stamp(person.last_seen) if person.last_seen else None,
        grants=[_grant(each) for each in person.grants],
    )


def _grant_key(held: people.GrantView) -> str:
    return f"{held.row.pk if held.row is not None else 0:012d}"


def _grant(held: people.GrantView) -> GrantOut:
    return GrantOut(
        id=held.row.pk if held.row is not None else 0,
        role=held.role,
        service=held.service,
        environment=held.environment,
        made_by=held.made_by,
        made_at=clock.stamp(held.made_at) if held.made_at else None,
    )
