"""The doors to tokens: whose there are, what they reach, when they were used. Never a secret.

Everybody sees their own, an administrator of everything all of them, and a token with a reach only
itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from confhub.access import tokens
from confhub.access.grants import place_text
from confhub.access.models import Token
from confhub.access.people import person_for
from confhub.access.policies import VERBS, NotFound, may, require, require_active
from confhub.access.queries import sought
from confhub.core.actors import Actor, Reach

SOON = timedelta(days=14)


@dataclass(frozen=True)
class ReachView:
    """Some verbs at one place, in the order of the verbs' weight."""

    verbs: list[str]
    service: str | None
    environment: str | None

    @property
    def place(self) -> str:
        return place_text(self.service, self.environment)


@dataclass(frozen=True)
class TokenView:
    """A token as the one who looks may see it."""

    row: Token
    owner: str
    reach: list[ReachView]
    may_change: bool  # revoke it, rotate it
    is_itself: bool  # the one who looks came with it
    now: datetime

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def unlimited(self) -> bool:
        return not self.row.limited

    @property
    def expired(self) -> bool:
        return self.row.expires_at is not None and self.row.expires_at <= self.now

    @property
    def expires_soon(self) -> bool:
        ends = self.row.expires_at
        return ends is not None and self.now < ends <= self.now + SOON

    @property
    def previous_until(self) -> datetime | None:
        """Until when the secret before the last rotation works; None where none does."""
        until = self.row.previous_until
        return until if until is not None and until > self.now and not self.expired else None


def tokens_for(
    who: Actor, *, owner: str | None = None, every: bool = False, after: str | None = None,
    limit: int | None = None, now: datetime,
) -> list[TokenView]:  # fmt: skip
    """One's own, `owner`'s, or every person's, by name; those behind the name `after`.

    What an exchange gave to a CI job is left out once it has expired. Raises NotAllowed, NotFound
    (no such person, or not one whose tokens `who` may see).
    """
    require_active(who, "see", "tokens")
    if every:
        require(who, "administer", "people")
    rows = _rows(who, owner, every=every).exclude(~Q(source=""), expires_at__lte=now)
    if after is not None:
        rows = rows.filter(name__gt=sought(after))
    return _views(who, rows.order_by("name")[:limit], now=now)


def token_for(who: Actor, name: str, *, now: datetime) -> TokenView:
    """One token. Raises NotFound, NotAllowed (switched off)."""
    require_active(who, "see", "tokens")
    found = _views(who, _seen_by(who).filter(name=sought(name)), now=now)
    if not found:
        raise NotFound(
            f"There is no token {name[:80]!r}, or you may not see it.",
            fields={"name": "No such token."},
        )
    return found[0]


def own_token(who: Actor, *, now: datetime) -> TokenView | None:
    """The token with which `who` came; None for a session."""
    if not who.name.startswith("token:"):
        return None
    return next(iter(_views(who, _itself(who), now=now)), None)


def owner_for(who: Actor, name: str | None) -> User:
    """For whom a token is made: oneself, or somebody by name. Raises NotFound."""
    if name is not None:
        try:
            return person_for(who, name).row
        except NotFound as error:
            raise NotFound(error.detail, fields={"owner": "No such person."}) from error
    found = User.objects.filter(pk=who.user_id).first() if who.user_id is not None else None
    if found is None:
        raise NotFound(f"{who.name} is no person, so it has no tokens. Name an owner.")
    return found


def count_for(who: Actor, person: User, *, now: datetime) -> int | None:
    """How many living tokens the person has; None where `who` may not see them."""
    if who.reach is not None or (person.pk != who.user_id and not may(who, "administer", "people")):
        return None
    living = Q(expires_at=None) | Q(expires_at__gt=now)
    return Token.objects.filter(living, user=person).count()


def reach_views(reach: Sequence[Reach]) -> list[ReachView]:
    """An actor's reach in the form in which tokens show theirs."""
    return [ReachView(in_order(each.verbs), each.service, each.environment) for each in reach]


def in_order(verbs: Sequence[str] | frozenset[str]) -> list[str]:
    return [verb for verb in VERBS if verb in verbs]


def _rows(who: Actor, owner: str | None, *, every: bool) -> QuerySet[Token]:
    seen = _seen_by(who)
    if every:
        return seen
    if owner is None:
        return seen.filter(user=who.user_id)
    person = person_for(who, owner).row
    if person.pk != who.user_id:
        require(who, "administer", "people")
    return seen.filter(user=person)


def _seen_by(who: Actor) -> QuerySet[Token]:
    if who.reach is not None:
        return _itself(who)
    rows = _tokens()
    if may(who, "administer", "people"):
        return rows
    return rows.filter(user=who.user_id)


def _itself(who: Actor) -> QuerySet[Token]:
    return _tokens().filter(name=who.name.removeprefix("token:"), user=who.user_id)


def _tokens() -> QuerySet[Token]:
    rows = Token.objects.select_related("user")
    return rows.prefetch_related("reaches__service", "reaches__environment")


def _views(who: Actor, rows: QuerySet[Token], *, now: datetime) -> list[TokenView]:
    return [
        TokenView(
            row=row,
            owner=row.user.get_username(),
            reach=[
                ReachView(
                    in_order(each.verbs),
                    each.service.slug if each.service else None,
                    each.environment.slug if each.environment else None,
                )
                for each in sorted(row.reaches.all(), key=lambda each: each.pk)
            ],
            may_change=tokens.may_change(who, row),
            is_itself=tokens.is_itself(who, row),
            now=now,
        )
        for row in rows
    ]
