"""CI identity: trusts, and the exchange of a job's identity token for a token."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from confhub.access import exchanging, trusts
from confhub.access.policies import require
from confhub.access.token_list import reach_views
from confhub.api import limits
from confhub.api.auth import who_asks
from confhub.api.idempotency import MAY_REPEAT, once
from confhub.api.lists import After, Limit, page_after
from confhub.api.schemas import Page
from confhub.api.token_schemas import ReachIn, ReachOut
from confhub.api.trust_schemas import ExchangeIn, ExchangeOut, TrustChange, TrustIn, TrustOut
from confhub.core import clock
from confhub.core.actors import Reach

router = Router(tags=["ci identity"])


@router.post("/oidc/exchange", response=ExchangeOut, auth=limits.by_address)
def exchange_token(request: HttpRequest, body: ExchangeIn, response: HttpResponse) -> ExchangeOut:
    """Exchange the identity token of a CI job for a short-lived token. Needs no other sign-in."""
    made = exchanging.exchange(
        body.token, trust=body.trust, request_id=str(getattr(request, "request_id", "")),
        now=clock.now(),
    )  # fmt: skip
    assert made.row.expires_at is not None  # noqa: S101  # every exchanged one ends
    response["Cache-Control"] = "no-store"
    return ExchangeOut(
        token=made.secret,
        name=made.row.name,
        expires_at=clock.stamp(made.row.expires_at),
        reach=[
            ReachOut(verbs=each.verbs, service=each.service, environment=each.environment)
            for each in reach_views(made.reaches)
        ],
    )


@router.get("/trusts", response=Page[TrustOut])
def list_trusts(request: HttpRequest, after: After, limit: Limit) -> Page[TrustOut]:
    """Whose identity tokens are taken, by name. For administrators of everything."""
    found = trusts.trusts_for(who_asks(request), now=clock.now())
    rows, following = page_after(found, after=after, limit=limit, key=_name)
    return Page(items=[_out(each) for each in rows], next=following)


@router.post("/trusts", response={201: TrustOut}, openapi_extra=MAY_REPEAT)
def create_trust(request: HttpRequest, body: TrustIn, response: HttpResponse) -> Any:
    """Trust an issuer's jobs of which the claims are true."""
    who, now = who_asks(request), clock.now()
    require(who, "administer", "people")

    def act() -> Status[TrustOut]:
        trusts.make_trust(body.name, _terms(body), who=who, now=now)
        response["Location"] = f"{request.path}/{body.name}"
        return Status(201, _out(trusts.trust_for(who, body.name, now=now)))

    return once(request, response, act, who=who, now=now)


@router.get("/trusts/{name}", response=TrustOut)
def get_trust(request: HttpRequest, name: str) -> TrustOut:
    """One trust."""
    return _out(trusts.trust_for(who_asks(request), name, now=clock.now()))


@router.patch("/trusts/{name}", response=TrustOut)
def change_trust(request: HttpRequest, name: str, body: TrustChange) -> TrustOut:
    """Give it other terms. The tokens that it gave until now end at once."""
    who, now = who_asks(request), clock.now()
    held = trusts.trust_for(who, name, now=now)
    trusts.change_trust(held.row, _changed(held, body), who=who, now=now)
    return _out(trusts.trust_for(who, name, now=now))


@router.delete("/trusts/{name}", response={204: None})
def remove_trust(request: HttpRequest, name: str) -> Any:
    """Exchange nothing for it any more; the tokens that it gave end at once."""
    who, now = who_asks(request), clock.now()
    trusts.remove_trust(trusts.trust_for(who, name, now=now).row, who=who, now=now)
    return Status(204, None)


def _name(held: trusts.TrustView) -> str:
    return held.name


def _terms(body: TrustIn) -> trusts.Terms:
    return trusts.Terms(
        issuer=body.issuer,
        audience=body.audience,
        claims=body.claims,
        person=body.person,
        reaches=[_asked(each) for each in body.reach],
        jwks_url=body.jwks_url,
        lifetime_s=body.lifetime_s,
    )


def _changed(held: trusts.TrustView, body: TrustChange) -> trusts.Terms:
    """The trust's terms with what `body` names in their place."""
    row = held.row
    kept = [Reach(frozenset(each.verbs), each.service, each.environment) for each in held.reach]
    return trusts.Terms(
        issuer=row.issuer if body.issuer is None else body.issuer,
        audience=row.audience if body.audience is None else body.audience,
        claims=row.claims if body.claims is None else body.claims,
        person=held.person if body.person is None else body.person,
        reaches=kept if body.reach is None else [_asked(each) for each in body.reach],
        jwks_url=row.jwks_url if body.jwks_url is None else body.jwks_url,
        lifetime_s=row.lifetime_s if body.lifetime_s is None else body.lifetime_s,
    )


def _asked(place: ReachIn) -> Reach:
    return Reach(frozenset(place.verbs), place.service, place.environment)


def _out(held: trusts.TrustView) -> TrustOut:
    row = held.row
    return TrustOut(
        name=row.name,
        issuer=row.issuer,
        jwks_url=row.jwks_url,
        audience=row.audience,
        claims=row.claims,
        person=held.person,
        reach=[
            ReachOut(verbs=each.verbs, service=each.service, environment=each.environment)
            for each in held.reach
        ],
        lifetime_s=row.lifetime_s,
        made_by=row.made_by,
        made_at=clock.stamp(row.made_at),
        last_used_at=clock.stamp(row.last_used_at) if row.last_used_at else None,
        living_tokens=held.living,
    )
