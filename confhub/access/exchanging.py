"""Exchange a CI job's identity token for a short-lived token of ours.

The same identity token may be exchanged again while it is valid, as at the cloud vendors: a job may
retry, and whoever holds it could do all it may do with the first exchange anyway.
docs/decisions/0024-ci-signs-in-with-its-own-identity.md
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import structlog
from django.db import transaction

from confhub.access import oidc
from confhub.access.issuers import Issuers, Source, issuers
from confhub.access.models import Token, TokenReach, Trust
from confhub.access.queries import reach_of_rows, token_digest
from confhub.access.tokens import ENDING_CHARS, PREFIX
from confhub.access.trusts import giver
from confhub.core.actors import Actor, Reach
from confhub.core.errors import ConfHubError
from confhub.events import actions as events

log = structlog.get_logger("access")

SHOWN_AFTER_END = timedelta(hours=1)  # then the row goes; the audit has the exchange for ever
SWEPT_AT_ONCE = 500
MAX_SUBJECT_CHARS = 500


class NoTrust(ConfHubError):
    """The identity token is genuine or may be, but nobody trusts it here."""

    code: ClassVar[str] = "oidc.no_trust"
    status: ClassVar[int] = 403


class ManyTrusts(ConfHubError):
    """Several trusts take the identity token, and the call names none of them."""

    code: ClassVar[str] = "oidc.trust_ambiguous"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Exchanged:
    """The token's row with its secret, which stands nowhere else."""

    row: Token
    reaches: tuple[Reach, ...]
    secret: str = field(repr=False)


@dataclass(frozen=True)
class _Proven:
    """A trust that takes the token, and what the token says."""

    trust: Trust
    claims: dict[str, Any]


def exchange(
    token: str, *, trust: str | None, request_id: str, now: datetime, keys: Issuers = issuers
) -> Exchanged:
    """A token of the trust's lifetime, which acts as the trust's person within the trust's reach.

    `trust` names one, or is None where exactly one fits. Nothing is written before the identity
    token was proven. Raises BadIdentity, NoTrust, ManyTrusts, IssuerAway.
    """
    said = oidc.read(token)
    candidates = _candidates(said, trust)
    try:
        proven = _proven(said, candidates, is_named=trust is not None, keys=keys, now=now)
        return _given(proven, request_id=request_id, now=now)
    except ConfHubError as error:
        log.info("token.not_exchanged", issuer=said.issuer[:300], code=error.code, reason=error.detail)  # fmt: skip
        raise


def _candidates(said: oidc.Unproven, name: str | None) -> list[Trust]:
    """Trusts in whose issuer's name the token speaks; only these issuers are ever asked for keys."""
    rows = Trust.objects.select_related("user").filter(issuer=_sought(said.issuer))
    if name is not None:
        rows = rows.filter(name=_sought(name))
    found = list(rows.order_by("name"))
    if not found:
        which = f"There is no trust {name[:80]!r} for" if name is not None else "No trust is for"
        raise NoTrust(
            f"{which} identity tokens of {said.issuer[:200]}. An administrator makes one under "
            "Automation, CI identity."
        )
    return found


def _proven(
    said: oidc.Unproven, candidates: Sequence[Trust], *, is_named: bool, keys: Issuers, now: datetime
) -> _Proven:  # fmt: skip
    """The one trust that takes the token. Nothing is said of a trust that was not named."""
    for_us = [trust for trust in candidates if trust.audience in said.audiences]
    if not for_us:
        if is_named or len({trust.audience for trust in candidates}) == 1:
            raise oidc.not_for(candidates[0].audience)
        raise NoTrust("The identity token is for another audience than any trust of its issuer.")
    fitting: list[_Proven] = []
    missed: list[str] = []
    for trust in for_us:
        key = keys.key(Source(trust.issuer, trust.jwks_url), said.kid)
        if key is None:
            raise oidc.BadIdentity(
                f"{trust.issuer} has no key {said.kid[:80]!r}, with which the identity token is said "
                "to be signed."
            )
        claims = oidc.prove(said, key, issuer=trust.issuer, audience=trust.audience, now=now)
        missed = oidc.unmet(trust.claims, claims)
        if not missed:
            fitting.append(_Proven(trust, claims))
    if len(fitting) > 1:
        raise ManyTrusts(
            "Several trusts take this identity token. Name one with `trust`.",
            fields={"trust": "Name one; several would do."},
        )
    if not fitting:
        raise _not_met(missed if is_named else None)
    return fitting[0]


@transaction.atomic
def _given(proven: _Proven, *, request_id: str, now: datetime) -> Exchanged:
    # Again under its lock: it may have been changed or removed while the issuer was asked.
    trust = Trust.objects.select_for_update(of=("self",)).select_related("user").filter(
        pk=proven.trust.pk, issuer=proven.trust.issuer, audience=proven.trust.audience,
        jwks_url=proven.trust.jwks_url,
    ).first()  # fmt: skip
    if trust is None or oidc.unmet(trust.claims, proven.claims):
        raise NoTrust("The trust was changed a moment ago. Try again.")
    reaches = list(trust.reaches.all())
    if not trust.user.is_active or not reaches:
        raise NoTrust(
            f"The trust {trust.name} gives nothing any more: its person is switched off, or the "
            "places that it reached are gone. An administrator can change it."
        )
    _sweep(now=now)
    secret = PREFIX + secrets.token_urlsafe(32)
    subject = _subject(proven.claims)
    row = Token.objects.create(
        name=f"ci.{trust.name}.{secrets.token_hex(4)}", digest=token_digest(secret),
        ending=secret[-ENDING_CHARS:], user=trust.user, created_at=now, made_by=giver(trust),
        limited=True, expires_at=now + timedelta(seconds=trust.lifetime_s),
        source=f"{trust.issuer} {subject}",
    )  # fmt: skip
    for reach in reaches:
        TokenReach.objects.create(
            token=row, verbs=reach.verbs, service_id=reach.service_id,
            environment_id=reach.environment_id,
        )  # fmt: skip
    trust.last_used_at = now
    trust.save(update_fields=["last_used_at"])
    _tell(trust, row, proven.claims, request_id=request_id, now=now)
    return Exchanged(row, reach_of_rows(row.reaches), secret)


def _tell(
    trust: Trust, row: Token, claims: dict[str, Any], *, request_id: str, now: datetime
) -> None:
    subject, jti = _subject(claims), _clean(claims.get("jti"), 200)
    who = Actor(giver(trust), trust.user_id, active=True, request_id=request_id)
    data = {
        "trust": trust.name, "token": row.name, "issuer": trust.issuer, "subject": subject,
        "jti": jti, "expires_in_s": trust.lifetime_s,
    }  # fmt: skip
    # The target is the person, so that they may read it too.
    events.audit("token.exchanged", who=who, target=trust.user.get_username(), data=data, now=now)
    log.info("token.exchanged", trust=trust.name, token=row.name, subject=subject, jti=jti)


def _sweep(*, now: datetime) -> None:
    """Delete exchanged tokens that ended an hour ago. Here, because only here new ones come."""
    ended = Token.objects.filter(made_by__startswith="trust:", expires_at__lt=now - SHOWN_AFTER_END)
    Token.objects.filter(pk__in=list(ended.values_list("pk", flat=True)[:SWEPT_AT_ONCE])).delete()


def _not_met(missed: Sequence[str] | None) -> NoTrust:
    if missed is None:
        return NoTrust(
            "No trust takes this identity token. Name the one that is meant with `trust`, and the "
            "answer says what does not fit."
        )
    names = ", ".join(f"`{name}`" for name in missed)
    return NoTrust(
        f"The trust asks for something else in {names} than the identity token says. An "
        "administrator sees what under Automation, CI identity.",
        extra={"claims": list(missed)},
    )


def _subject(claims: dict[str, Any]) -> str:
    return _clean(claims.get("sub"), MAX_SUBJECT_CHARS)


def _clean(held: Any, limit: int) -> str:
    """What a forge wrote, as a row and a log line can hold it."""
    text = held if isinstance(held, str) else ""
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text[:limit].encode("utf-8", "replace").decode()


def _sought(text: str) -> str:
    """PostgreSQL refuses to look for a NUL, and for half a surrogate, and no row has one."""
    return text if text.isprintable() else ""
