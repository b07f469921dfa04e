"""What stands between a draft and its release, for pages: a freeze, a missing approval, a request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from confhub.access.policies import allowed
from confhub.catalog import freezes
from confhub.core.actors import Actor
from confhub.publishing import asked

TONES = {"open": "lag", "approved": "ok", "rejected": "bad", "withdrawn": "off", "published": "ok"}
ICONS = {
    "open": "dots", "approved": "check", "rejected": "cross", "withdrawn": "empty",
    "published": "check",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request as a page shows it to somebody."""

    request: Any
    place: Any
    comments: Sequence[Any]
    is_out_of_date: bool
    is_own: bool  # the one who looks asked for it
    may: dict[str, bool]
    targets: Sequence[dict[str, str]] = ()  # of a layer, as far as they may be seen
    more_targets: int = 0

    @property
    def tone(self) -> str:
        return TONES[self.request.state]

    @property
    def icon(self) -> str:
        return ICONS[self.request.state]

    @property
    def is_layer(self) -> bool:
        return self.request.layer_id is not None

    @property
    def stands(self) -> bool:
        return self.request.state in ("open", "approved")

    @property
    def can_approve(self) -> bool:
        is_ready = self.request.state == "open" and not self.is_out_of_date
        return is_ready and self.may["approve"] and not self.is_own

    @property
    def can_reject(self) -> bool:
        return self.stands and self.may["approve"]

    @property
    def can_withdraw(self) -> bool:
        return self.stands and (self.is_own or self.may["edit"])

    @property
    def is_publishable(self) -> bool:
        return self.request.state == "approved" and not self.is_out_of_date


@dataclass(frozen=True)
class Protection:
    """Of a scope, or of the scopes that a layer's publish would touch."""

    frozen: Sequence[tuple[Any, Any]] = ()  # (environment, window) of each that is frozen now
    wants_approval: Sequence[Any] = ()  # environments
    protected: Sequence[Any] = ()  # environments
    asked: Asked | None = field(default=None)  # the request that stands

    @property
    def is_approved(self) -> bool:
        return self.asked is not None and self.asked.is_publishable

    @property
    def is_open(self) -> bool:
        """A plain publish would pass."""
        return not self.frozen and (not self.wants_approval or self.is_approved)

    @property
    def can_ask(self) -> bool:
        return bool(self.wants_approval) and (self.asked is None or self.asked.is_out_of_date)

    @property
    def is_hindered(self) -> bool:
        return bool(self.frozen or self.wants_approval)


def of_scope(who: Actor, scope: Any, *, now: datetime) -> Protection:
    return _of(who, scope, [scope.environment], now=now)


def of_layer(who: Actor, layer: Any, touched: Sequence[Any], *, now: datetime) -> Protection:
    """`touched` are the scopes for which it would be published."""
    return _of(who, layer, list({each.environment for each in touched}), now=now)


def typed(environments: Sequence[Any], *, now: datetime) -> list[str]:
    """Names that are typed before a layer reaches these environments, sorted: the protected ones,
    and those that only an approval or an emergency reaches."""
    ahead = freezes.freezes_of(environments, now=now)
    return sorted(
        each.slug
        for each in environments
        if each.protected
        or each.approvals
        or any(window.starts_at <= now for window in ahead.get(each.pk, []))
    )


def asked_of(who: Actor, request: Any) -> Asked:
    """The request with all that a page says of it."""
    place = asked.place_of(request)
    targets, more = asked.targets_for(who, request)
    return Asked(
        request=request,
        place=place,
        comments=asked.comments_of([request])[request.pk],
        is_out_of_date=asked.is_out_of_date(request),
        is_own=asked.is_author(request, who),
        may={str(verb): held for verb, held in allowed(who, place).items()},
        targets=targets,
        more_targets=more,
    )


def _of(who: Actor, place: Any, environments: Sequence[Any], *, now: datetime) -> Protection:
    ahead = freezes.freezes_of(environments, now=now)
    standing = asked.standing_of(place)
    return Protection(
        frozen=[
            (each, window)
            for each in environments
            for window in ahead.get(each.pk, [])
            if window.starts_at <= now
        ],
        wants_approval=[each for each in environments if each.approvals],
        protected=[each for each in environments if each.protected],
        asked=asked_of(who, standing) if standing is not None else None,
    )
