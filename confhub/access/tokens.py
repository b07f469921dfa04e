"""Make, rotate and revoke tokens. The secret is made here, handed out once, and kept as a hash.

A token acts as its person, within its reach. One that has a reach makes, changes and revokes no
token; it may rotate itself, without a later end. docs/tokens.md
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from confhub.access import reaching
from confhub.access.models import Token
from confhub.access.policies import NotAllowed, NotFound, require, require_active
from confhub.access.queries import actor_of_user, token_digest
from confhub.core import clock
from confhub.core.actors import Actor, Reach
from confhub.core.errors import ConfHubError
from confhub.events import actions as events

PREFIX = "cht_"  # so that secret scanners find one that was committed: cht_[A-Za-z0-9_-]{43}
ENDING_CHARS = 4  # of the secret, shown to tell it by; 232 random bits are left
USUAL_LIFETIME = timedelta(days=90)
LONGEST_LIFETIME = timedelta(days=365)
USUAL_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)
AS_IT_IS: Literal["as it is"] = "as it is"

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


class BadToken(ConfHubError):
    """A name, a lifetime or an overlap that a token cannot have."""

    code: ClassVar[str] = "token.bad"
    status: ClassVar[int] = 422


class TokenTaken(ConfHubError):
    """There is a token of this name."""

    code: ClassVar[str] = "token.taken"
    status: ClassVar[int] = 409


class TokenMoved(ConfHubError):
    """The token was rotated since whoever wants to rotate it looked, or it has expired."""

    code: ClassVar[str] = "token.moved"
    status: ClassVar[int] = 409


class OverlapRuns(ConfHubError):
    """The secret before the last rotation still works, and would end with another rotation."""

    code: ClassVar[str] = "token.overlap_runs"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Made:
    """A token's row with its secret, which stands nowhere else."""

    row: Token
    secret: str = field(repr=False)


@transaction.atomic
def make_token(
    name: str, *, owner: User, reaches: Sequence[Reach] | None, lifetime: timedelta | None,
    who: Actor, now: datetime,
) -> Made:  # fmt: skip
    """A token that acts as `owner`, who is `who` themselves or anybody for an administrator of
    everything. `reaches` None: as far as the person; `lifetime` None: for ever.

    Raises NotAllowed, NotFound (a place), BadToken, BadReach, BeyondPerson, TokenTaken.
    """
    _require_whole(who, "make tokens")
    _require_of(who, owner.pk)
    _check_name(name)
    _check_lifetime(lifetime)
    person = actor_of_user(owner)
    require_active(person, "have", "tokens")
    rows = reaching.rows_for(reaches, person=person, who=who) if reaches is not None else []
    if Token.objects.filter(name=name).exists():
        raise _taken(name)
    secret = _secret()
    try:
        with transaction.atomic():
            made = Token.objects.create(
                name=name, digest=token_digest(secret), ending=secret[-ENDING_CHARS:], user=owner,
                created_at=now, made_by=who.name, limited=reaches is not None,
                expires_at=now + lifetime if lifetime is not None else None,
            )  # fmt: skip
    except IntegrityError as error:  # two at the same moment
        raise _taken(name) from error
    for row in rows:
        row.token = made
        row.save(force_insert=True)
    reach = [_told(row.verbs, row.service, row.environment) for row in rows]
    _audit("token.made", made, who=who, now=now, reach=reach if made.limited else "unlimited")
    return Made(made, secret)


@transaction.atomic
def rotate_token(
    held: Token, *, overlap: timedelta = USUAL_OVERLAP,
    lifetime: timedelta | Literal["as it is"] | None = AS_IT_IS, end_previous: bool = False,
    seen: str | None = None, shown: str | None = None, who: Actor, now: datetime,
) -> Made:  # fmt: skip
    """Give the token another secret; the one until now works for `overlap` more.

    Only one earlier secret is kept. Where one still works, another rotation with an overlap has to
    say `end_previous`: whoever repeats a call whose answer was lost would otherwise end the very
    secret that is in use. `seen` is the ending that one looked at, `shown` the secret with which a
    token rotates itself. Raises NotAllowed, NotFound (revoked meanwhile), BadToken, TokenMoved,
    OverlapRuns.
    """
    _require_change(who, held)
    if lifetime != AS_IT_IS:
        _require_whole(who, "give a token another end")
        _check_lifetime(lifetime)
    _check_overlap(overlap)
    row = Token.objects.select_for_update().filter(pk=held.pk).first()
    if row is None:
        raise _gone(held)
    _check_newest(row, seen=seen, shown=shown)
    if lifetime == AS_IT_IS and row.expires_at is not None and row.expires_at <= now:
        raise _expired(row)
    if overlap and not end_previous and row.previous_until is not None and row.previous_until > now:
        raise _overlap_runs(row)
    secret = _secret()
    row.previous_digest, row.previous_until = row.digest, now + overlap
    row.digest, row.ending = token_digest(secret), secret[-ENDING_CHARS:]
    if lifetime != AS_IT_IS:
        row.expires_at = now + lifetime if lifetime is not None else None
    row.save(update_fields=["digest", "ending", "previous_digest", "previous_until", "expires_at"])
    _audit("token.rotated", row, who=who, now=now, overlap_s=int(overlap.total_seconds()))
    return Made(row, secret)


@transaction.atomic
def revoke_token(held: Token, *, who: Actor, now: datetime) -> None:
    """End the token with all its secrets, at once and for ever.

    Raises NotAllowed, NotFound (somebody was quicker).
    """
    _require_whole(who, "revoke tokens")
    _require_of(who, held.user_id)
    if not Token.objects.filter(pk=held.pk).delete()[0]:
        raise _gone(held)
    _audit("token.revoked", held, who=who, now=now)


def may_change(who: Actor, held: Token) -> bool:
    """May `who` revoke it, or rotate it with another end?"""
    try:
        _require_whole(who, "")
        _require_of(who, held.user_id)
    except ConfHubError:
        return False
    return True


def is_itself(who: Actor, held: Token) -> bool:
    """Did `who` come with this very token?"""
    return who.name == f"token:{held.name}"  # no person's name has a colon


def _require_change(who: Actor, held: Token) -> None:
    if who.reach is not None and is_itself(who, held):
        require_active(who, "rotate", "itself")
        return
    _require_whole(who, "rotate other tokens")
    _require_of(who, held.user_id)


def _require_whole(who: Actor, act: str) -> None:
    """Raises NotAllowed for a token with a reach, which could otherwise leave it."""
    require_active(who, "act on", "tokens")
    if who.reach is not None:
        raise NotAllowed(
            f"{who.name} is limited to some places, so it may not {act}. Sign in, or use a token "
            "that is as unlimited as its person."
        )


def _require_of(who: Actor, user_id: int) -> None:
    """One's own tokens are everybody's; others' are an administrator's of everything."""
    if who.user_id is None or who.user_id != user_id:
        require(who, "administer", "people")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        sentence = (
            "Write 1 to 63 small letters, digits, '.', '_' or '-', beginning and ending with a "
            "letter or digit."
        )
        raise BadToken(
            f"{name[:80]!r} cannot be a token's name. {sentence}", fields={"name": sentence}
        )


def _check_lifetime(lifetime: timedelta | None) -> None:
    if lifetime is not None and not timedelta(0) < lifetime <= LONGEST_LIFETIME:
        sentence = f"A token lives for 1 to {LONGEST_LIFETIME.days} days, or expires never."
        raise BadToken(sentence, fields={"expires_in_days": sentence})


def _check_overlap(overlap: timedelta) -> None:
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        longest = int(LONGEST_OVERLAP.total_seconds())
        sentence = f"An overlap has 0 to {longest} seconds ({LONGEST_OVERLAP.days} days)."
        raise BadToken(sentence, fields={"overlap_s": sentence})


def _check_newest(row: Token, *, seen: str | None, shown: str | None) -> None:
    is_old = shown is not None and token_digest(shown) != row.digest
    if is_old or (seen is not None and seen != row.ending):
        raise TokenMoved(
            f"The token {row.name} was rotated meanwhile. Use its new secret, or look at the list "
            "and rotate it again.",
            extra={"ending": row.ending} if not is_old else None,
        )


def _expired(row: Token) -> TokenMoved:
    sentence = "Say how long the new secret shall live."
    return TokenMoved(
        f"The token {row.name} expired at {clock.stamp(row.expires_at)}. {sentence}",  # type: ignore[arg-type]  # asked for by who calls
        fields={"expires_in_days": sentence},
    )


def _overlap_runs(row: Token) -> OverlapRuns:
    until = clock.stamp(row.previous_until)  # type: ignore[arg-type]  # asked for by who calls
    sentence = "Wait until then, or send end_previous, and that secret ends now."
    return OverlapRuns(
        f"The token {row.name} was rotated already, and the secret before works until {until}. "
        f"{sentence}",
        fields={"end_previous": sentence},
        extra={"previous_until": until},
    )


def _gone(held: Token) -> NotFound:
    return NotFound(f"There is no token {held.name!r} any more.", fields={"name": "No such token."})


def _taken(name: str) -> TokenTaken:
    return TokenTaken(
        f"There is already a token {name!r}. Choose another name.",
        fields={"name": "This name is taken."},
    )


def _secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _told(verbs: Sequence[str], service: object, environment: object) -> dict[str, object]:
    return {
        "verbs": list(verbs),
        "service": str(service) if service is not None else None,
        "environment": str(environment) if environment is not None else None,
    }


def _audit(action: str, held: Token, *, who: Actor, now: datetime, **more: object) -> None:
    """The target is the person, so that they may read it too."""
    expires_at = clock.stamp(held.expires_at) if held.expires_at is not None else None
    data = {"token": held.name, "expires_at": expires_at, **more}
    events.audit(action, who=who, target=held.user.get_username(), data=data, now=now)
