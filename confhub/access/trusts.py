"""Whose identity tokens are exchanged for a token of ours: make, change and remove trusts.

A trust needs a condition on the claims that names whose jobs are meant, because everybody's jobs at a
public forge have the same issuer and choose their audience themselves.
docs/decisions/0024-ci-signs-in-with-its-own-identity.md
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from confhub.access import reaching
from confhub.access.issuers import address_problem
from confhub.access.models import Token, TokenReach, Trust
from confhub.access.policies import NotAllowed, NotFound, require, require_active
from confhub.access.queries import actor_of_user, reach_of_rows, sought
from confhub.access.token_list import ReachView, in_order
from confhub.core.actors import Actor, Reach
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from watchers.wire.names import BadName, check_slug

SHORTEST_S, USUAL_S, LONGEST_S = 60, 900, 3600
MOST_CLAIMS = 20
MAX_CLAIM_CHARS = 500
MAX_STARS = 5
GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
# Where anybody may have jobs: one of these claims says whose. A "/" in the fixed part names an owner.
OWNING: Mapping[str, tuple[str, ...]] = {
    GITHUB: ("repository", "repository_id", "repository_owner_id", "repository_owner", "sub"),
    GITLAB: ("project_path", "project_id", "namespace_path", "namespace_id", "sub"),
}
PATHS = frozenset({"repository", "project_path", "namespace_path", "sub"})
# What one should ask for besides, as the forges' own pages on hardening say.
ADVISED: Mapping[str, tuple[str, ...]] = {
    GITHUB: ("repository", "repository_id", "environment", "ref"),
    GITLAB: ("project_path", "project_id", "ref_protected", "environment"),
}
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_NOT_CONDITIONS = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


class BadTrust(ConfHubError):
    """A trust that nobody should have: too wide, or with what cannot be."""

    code: ClassVar[str] = "trust.bad"
    status: ClassVar[int] = 422


class TrustTaken(ConfHubError):
    """There is a trust of this name."""

    code: ClassVar[str] = "trust.taken"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Terms:
    """What a trust asks for and what it gives."""

    issuer: str
    audience: str
    claims: Mapping[str, str]  # {"repository": "acme/shop", "ref": "refs/heads/*"}
    person: str  # the name of whom it acts as
    reaches: Sequence[Reach]
    jwks_url: str = ""  # "": discovered
    lifetime_s: int = USUAL_S


@dataclass(frozen=True)
class TrustView:
    """A trust as administrators see it."""

    row: Trust
    person: str
    reach: list[ReachView]
    living: int  # tokens that it gave and that have not ended

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def giver(self) -> str:
        """Who the audit says exchanged."""
        return giver(self.row)


def trusts_for(who: Actor, *, now: datetime) -> list[TrustView]:
    """Every trust, by name. For administrators of everything; raises NotAllowed."""
    require(who, "administer", "people")
    return _views(Trust.objects.all(), now=now)


def trust_for(who: Actor, name: str, *, now: datetime) -> TrustView:
    """Raises NotAllowed, NotFound."""
    require(who, "administer", "people")
    found = _views(Trust.objects.filter(name=sought(name)), now=now)
    if not found:
        raise _gone(name)
    return found[0]


def people_to_act_as(who: Actor) -> list[str]:
    """The names of those who are switched on, for a form. Raises NotAllowed."""
    require(who, "administer", "people")
    rows = get_user_model().objects.filter(is_active=True).order_by("username")
    return list(rows.values_list("username", flat=True))


@transaction.atomic
def make_trust(name: str, terms: Terms, *, who: Actor, now: datetime) -> Trust:
    """Raises NotAllowed, BadTrust, TrustTaken, NotFound (the person, a place), BadReach, BeyondPerson."""
    _require_whole(who)
    _check_name(name)
    person, rows = _checked(terms, who)
    if Trust.objects.filter(name=name).exists():
        raise _taken(name)
    try:
        with transaction.atomic():
            made = Trust.objects.create(
                name=name, made_by=who.name, made_at=now, user=person, **_columns(terms)
            )
    except IntegrityError as error:  # two at the same moment
        raise _taken(name) from error
    for row in rows:
        row.trust = made
        row.save(force_insert=True)
    _audit("trust.made", made, who=who, now=now)
    return made


@transaction.atomic
def change_trust(held: Trust, terms: Terms, *, who: Actor, now: datetime) -> Trust:
    """Give the trust other terms. The tokens that it gave until now end at once, because their jobs
    may not fit any more. Raises what `make_trust` raises, but TrustTaken."""
    _require_whole(who)
    person, rows = _checked(terms, who)
    row = Trust.objects.select_for_update().filter(pk=held.pk).first()
    if row is None:
        raise _gone(held.name)
    row.user = person
    columns = _columns(terms)
    for column, value in columns.items():
        setattr(row, column, value)
    row.save(update_fields=["user", *columns])
    row.reaches.all().delete()
    for reach in rows:
        reach.trust = row
        reach.save(force_insert=True)
    _audit("trust.changed", row, who=who, now=now, ended=end_tokens_of(row))
    return row


@transaction.atomic
def remove_trust(held: Trust, *, who: Actor, now: datetime) -> None:
    """Exchange nothing for it any more; the tokens that it gave end at once.

    Raises NotAllowed, NotFound (somebody was quicker).
    """
    _require_whole(who)
    row = Trust.objects.select_for_update().filter(pk=held.pk).first()
    if row is None:
        raise _gone(held.name)
    ended = end_tokens_of(row)
    row.delete()
    events.audit("trust.removed", who=who, target=f"trust {held.name}", data={"ended": ended}, now=now)  # fmt: skip


def giver(trust: Trust) -> str:
    """What a token that the trust gave has in `made_by`; no person's name has a colon."""
    return f"trust:{trust.name}"


def end_tokens_of(trust: Trust) -> int:
    """Delete what the trust gave; return how many tokens that were."""
    _, by_model = Token.objects.filter(made_by=giver(trust)).delete()
    return by_model.get(Token._meta.label, 0)


def _views(rows: QuerySet[Trust], *, now: datetime) -> list[TrustView]:
    found = rows.select_related("user").order_by("name")
    found = found.prefetch_related("reaches__service", "reaches__environment")
    given = Token.objects.filter(made_by__startswith="trust:", expires_at__gt=now)
    living = Counter(given.values_list("made_by", flat=True))
    return [
        TrustView(row, row.user.get_username(), _reach_views(row), living[giver(row)])
        for row in found
    ]


def _reach_views(row: Trust) -> list[ReachView]:
    return [
        ReachView(
            in_order(each.verbs),
            each.service.slug if each.service else None,
            each.environment.slug if each.environment else None,
        )
        for each in sorted(row.reaches.all(), key=_by_pk)
    ]


def _by_pk(reach: TokenReach) -> int:
    return reach.pk


def _checked(terms: Terms, who: Actor) -> tuple[User, list[TokenReach]]:
    """(the person, the rows of its reach, not saved yet)."""
    _check_addresses(terms)
    _check_claims(terms)
    if not SHORTEST_S <= terms.lifetime_s <= LONGEST_S:
        sentence = f"Write {SHORTEST_S} to {LONGEST_S} seconds."
        raise BadTrust(f"A token of {terms.lifetime_s} s. {sentence}", fields={"lifetime_s": sentence})  # fmt: skip
    people = get_user_model().objects
    person = people.filter(username=terms.person).first() if "\x00" not in terms.person else None
    if person is None:
        raise NotFound(
            f"There is no person {terms.person[:80]!r}.", fields={"person": "No such person."}
        )
    actor = actor_of_user(person)
    require_active(actor, "be", "who a trust acts as")
    return person, reaching.rows_for(terms.reaches, person=actor, who=who)


def _check_addresses(terms: Terms) -> None:
    for name, url in (("issuer", terms.issuer), ("jwks_url", terms.jwks_url)):
        problem = address_problem(url) if url or name == "issuer" else None
        if len(url) > 300:
            problem = "Write at most 300 characters."
        if problem is not None:
            raise BadTrust(f"{name} {url[:80]!r} cannot be asked for keys. {problem}", fields={name: problem})  # fmt: skip
    if "?" in terms.issuer:
        sentence = "An issuer has no query; write its address as it stands in the claim `iss`."
        raise BadTrust(f"issuer: {sentence}", fields={"issuer": sentence})
    if not terms.audience.strip() or len(terms.audience) > 300 or not terms.audience.isprintable():
        sentence = "Write 1 to 300 characters, such as this server's address; jobs ask for it."
        raise BadTrust(f"audience: {sentence}", fields={"audience": sentence})


def _check_claims(terms: Terms) -> None:
    if len(terms.claims) > MOST_CLAIMS:
        raise _bad_claims(f"Name at most {MOST_CLAIMS} claims.")
    for name, pattern in terms.claims.items():
        if not _CLAIM.fullmatch(name):
            raise _bad_claims(f"{name[:80]!r} cannot be a claim's name.")
        if name in _NOT_CONDITIONS:
            raise _bad_claims(f"`{name}` is checked by itself and is no condition. Leave it out.")
        if not 1 <= len(pattern) <= MAX_CLAIM_CHARS or not pattern.isprintable():
            raise _bad_claims(f"{name}: write 1 to {MAX_CLAIM_CHARS} printable characters.")
        if pattern.count("*") > MAX_STARS:
            raise _bad_claims(f"{name}: write at most {MAX_STARS} stars.")
    if not any(_pins(name, pattern, terms.issuer) for name, pattern in terms.claims.items()):
        named = OWNING.get(terms.issuer)
        if named is None:
            raise _bad_claims(
                "Name at least one claim with more than a star: everybody who gets a token of this "
                "issuer would be let in."
            )
        advised = ", ".join(f"`{name}`" for name in ADVISED[terms.issuer])
        raise _bad_claims(
            f"Everybody may have jobs at {terms.issuer}, so say whose are meant: one of "
            f"{', '.join(named)}, its owner without a star. Good ones are {advised}."
        )


def _pins(name: str, pattern: str, issuer: str) -> bool:
    """Does this condition say whose jobs are meant?"""
    fixed, star, _ = pattern.partition("*")
    owning = OWNING.get(issuer)
    if owning is None:
        return pattern.strip("*") != ""
    if name not in owning:
        return False
    return not star or (name in PATHS and "/" in fixed)


def _columns(terms: Terms) -> dict[str, object]:
    return {
        "issuer": terms.issuer,
        "jwks_url": terms.jwks_url,
        "audience": terms.audience,
        "claims": dict(terms.claims),
        "lifetime_s": terms.lifetime_s,
    }


def _require_whole(who: Actor) -> None:
    """Raises NotAllowed; also for a token with a reach, which could otherwise leave it."""
    require(who, "administer", "people")
    if who.reach is not None:
        raise NotAllowed(
            f"{who.name} is limited to some places, so it may not change trusts. Sign in, or use a "
            "token that is as unlimited as its person."
        )


def _check_name(name: str) -> None:
    try:
        check_slug(name, what="trust")
    except BadName as error:
        raise BadTrust(str(error), fields={"name": str(error)}) from error


def _bad_claims(sentence: str) -> BadTrust:
    return BadTrust(f"claims: {sentence}", fields={"claims": sentence})


def _gone(name: str) -> NotFound:
    return NotFound(f"There is no trust {name[:80]!r}.", fields={"name": "No such trust."})


def _taken(name: str) -> TrustTaken:
    return TrustTaken(
        f"There is already a trust {name!r}. Choose another name.",
        fields={"name": "This name is taken."},
    )


def _audit(action: str, held: Trust, *, who: Actor, now: datetime, **more: object) -> None:
    data = {
        "issuer": held.issuer,
        "audience": held.audience,
        "claims": held.claims,
        "person": held.user.get_username(),
        "reach": [
            {"verbs": sorted(reach.verbs), "service": reach.service, "environment": reach.environment}
            for reach in reach_of_rows(held.reaches)
        ],
        "lifetime_s": held.lifetime_s,
        **more,
    }  # fmt: skip
    events.audit(action, who=who, target=f"trust {held.name}", data=data, now=now)
