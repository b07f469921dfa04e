"""Tokens, and who one is."""

from datetime import timedelta
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from confhub.access import reaching, token_list, tokens
from confhub.access.policies import may_see_slug
from confhub.access.token_list import ReachView, TokenView
from confhub.api.auth import bearer_of, who_asks
from confhub.api.lists import After, Limit, cursor, key_of
from confhub.api.schemas import Page
from confhub.api.token_schemas import (
    MeOut,
    MyGrant,
    ReachIn,
    ReachOut,
    RotateIn,
    TokenIn,
    TokenMade,
    TokenOut,
)
from confhub.core import clock
from confhub.core.actors import Reach

router = Router(tags=["tokens"])

Owner = Annotated[str | None, Query(None, description="A person's name; oneself where left out.")]
Every = Annotated[
    bool, Query(False, alias="all", description="Everybody's; for administrators of everything.")
]


@router.get("/me", response=MeOut)
def get_me(request: HttpRequest) -> MeOut:
    """Who asks: the person behind this token or session, what it reaches, when it ends."""
    who = who_asks(request)
    found = token_list.own_token(who, now=clock.now())
    return MeOut(
        name=who.name,
        person=found.owner if found is not None else who.name,
        unlimited=who.reach is None,
        reach=[_reach(each) for each in token_list.reach_views(who.reach or ())],
        grants=[
            MyGrant(role=each.role, service=each.service, environment=each.environment)
            for each in who.grants
            if may_see_slug(who, service=each.service, environment=each.environment)
        ],
        token=found.name if found is not None else None,
        expires_at=_stamp(found.row.expires_at) if found is not None else None,
    )


@router.get("/tokens", response=Page[TokenOut])
def list_tokens(
    request: HttpRequest, after: After, limit: Limit, every: Every, owner: Owner
) -> Page[TokenOut]:
    """Your own tokens, `owner`'s, or with `all=1` everybody's, by name. A limited token sees itself."""
    rows = token_list.tokens_for(
        who_asks(request), owner=owner, every=every, after=key_of(after), limit=limit + 1,
        now=clock.now(),
    )  # fmt: skip
    shown = rows[:limit]
    following = cursor(shown[-1].name) if len(rows) > limit else None
    return Page(items=[_out(each) for each in shown], next=following)


@router.post("/tokens", response={201: TokenMade})
def make_token(request: HttpRequest, body: TokenIn, response: HttpResponse) -> Any:
    """Make a token. The answer is the only place where its secret stands."""
    who, now = who_asks(request), clock.now()
    places = None if body.reach is None else [_asked(each) for each in body.reach]
    made = tokens.make_token(
        body.name, owner=token_list.owner_for(who, body.owner),
        reaches=reaching.chosen(places, unlimited=body.unlimited),
        lifetime=_lifetime(body.expires_in_days), who=who, now=now,
    )  # fmt: skip
    response["Location"] = f"{request.path}/{body.name}"
    return Status(201, _told(token_list.token_for(who, body.name, now=now), made, response))


@router.get("/tokens/{name}", response=TokenOut)
def get_token(request: HttpRequest, name: str) -> TokenOut:
    """One token, without its secret."""
    return _out(token_list.token_for(who_asks(request), name, now=clock.now()))


@router.delete("/tokens/{name}", response={204: None})
def revoke_token(request: HttpRequest, name: str) -> Any:
    """End the token at once, with all its secrets; open streams end within seconds."""
    who, now = who_asks(request), clock.now()
    tokens.revoke_token(token_list.token_for(who, name, now=now).row, who=who, now=now)
    return Status(204, None)


@router.post("/tokens/{name}/rotate", response=TokenMade)
def rotate_token(
    request: HttpRequest, name: str, response: HttpResponse, body: RotateIn | None = None
) -> TokenMade:
    """Give the token another secret; the old one works for `overlap_s` more.

    A limited token may rotate itself, with its newest secret, and keeps the day on which it ends.
    """
    who, now, asked = who_asks(request), clock.now(), body or RotateIn.model_validate({})
    held = token_list.token_for(who, name, now=now)
    renews = "expires_in_days" in asked.model_fields_set
    made = tokens.rotate_token(
        held.row, overlap=timedelta(seconds=asked.overlap_s), end_previous=asked.end_previous,
        lifetime=_lifetime(asked.expires_in_days) if renews else tokens.AS_IT_IS,
        shown=bearer_of(request) if held.is_itself else None, who=who, now=now,
    )  # fmt: skip
    return _told(token_list.token_for(who, name, now=now), made, response)


def _told(held: TokenView, made: tokens.Made, response: HttpResponse) -> TokenMade:
    response["Cache-Control"] = "no-store"
    return TokenMade(token=made.secret, **_out(held).model_dump())


def _out(held: TokenView) -> TokenOut:
    row = held.row
    return TokenOut(
        name=held.name,
        owner=held.owner,
        unlimited=held.unlimited,
        reach=[_reach(each) for each in held.reach],
        ending=row.ending,
        made_by=row.made_by,
        created_at=clock.stamp(row.created_at),
        expires_at=_stamp(row.expires_at),
        expired=held.expired,
        last_used_at=_stamp(row.last_used_at),
        last_used_from=row.last_used_from or None,
        previous_until=_stamp(held.previous_until),
        source=row.source or None,
    )


def _reach(held: ReachView) -> ReachOut:
    return ReachOut(verbs=held.verbs, service=held.service, environment=held.environment)


def _asked(place: ReachIn) -> Reach:
    return Reach(frozenset(place.verbs), place.service, place.environment)


def _lifetime(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days is not None else None


def _stamp(moment: Any) -> str | None:
    return clock.stamp(moment) if moment is not None else None
