"""The gates of environments that must not change by the way: a reason, no publish while they are
frozen, and another person's approval. An emergency goes past the last two and is flagged for ever.

docs/protected-environments.md says the same for people.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from django.db.models import Q

from confhub.catalog import freezes
from confhub.catalog.models import Scope
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.publishing.models import ReleaseRequest
from confhub.releases.entries import masked
from watchers.wire.canonical import checksum

if TYPE_CHECKING:
    from datetime import datetime

    from confhub.catalog.models import Environment, Layer
    from confhub.core.actors import Actor
    from confhub.publishing.gates import Candidate
    from confhub.releases.entries import Entries
    from confhub.releases.models import Release
    from confhub.releases.places import Place

State = ReleaseRequest.State
STANDING = (State.OPEN, State.APPROVED)  # a place has at most one of these


class ReasonMissing(ConfHubError):
    """A release of a protected environment, or one of an emergency, says why it is made."""

    code: ClassVar[str] = "release.reason_missing"
    status: ClassVar[int] = 422


class Frozen(ConfHubError):
    """Nothing is published into the environment before `until`, but in an emergency."""

    code: ClassVar[str] = "release.frozen"
    status: ClassVar[int] = 409


class NeedsApproval(ConfHubError):
    """Another person has to agree before this is published."""

    code: ClassVar[str] = "release.needs_approval"
    status: ClassVar[int] = 409


class RequestIsStale(ConfHubError):
    """What would be published now is not what the request was made for."""

    code: ClassVar[str] = "request.out_of_date"
    status: ClassVar[int] = 409


def reason(candidate: "Candidate") -> None:
    """Raises ReasonMissing."""
    needed = candidate.scope.environment.protected or candidate.consent.emergency
    if needed and not candidate.message.strip():
        raise reason_missing(str(candidate.scope), is_emergency=candidate.consent.emergency)


def freeze(candidate: "Candidate") -> None:
    """Raises Frozen while a window stands, unless this is an emergency."""
    if candidate.consent.emergency:
        return
    environment = candidate.scope.environment
    window = freezes.standing(environment.pk, now=candidate.now)
    if window is not None:
        until = f"{window.ends_at:%Y-%m-%d %H:%M} UTC"
        raise Frozen(
            f"{environment} is frozen until {until}: {window.reason} ({window.made_by}). Nothing "
            "was published. Wait, ask an administrator to end the freeze, or publish it as an "
            "emergency, which is flagged for ever.",
            extra={"until": window.ends_at.isoformat(), "reason": window.reason},
        )


def approval(candidate: "Candidate") -> None:
    """Raises NeedsApproval, RequestIsStale, unless this is an emergency or a layer's approved cut."""
    if candidate.consent.emergency or candidate.is_covered:
        return
    number = candidate.consent.request_id
    if number is not None:
        check_request(candidate.scope, number, candidate.content)
    elif candidate.scope.environment.approvals:
        raise needs_approval(candidate.scope, is_rollback=candidate.is_rollback)


GATES = (reason, freeze, approval)


def check_request(place: "Place", number: int, content: str) -> ReleaseRequest:
    """The place's approved request `number`, if it was made for `content`.

    Raises NeedsApproval, RequestIsStale.
    """
    asked = standing_request(place)
    if asked is None or asked.pk != number:
        raise NeedsApproval(
            f"{place} has no approved request {number}; it may be published, rejected or withdrawn "
            "already. Nothing was published. Ask for approval.",
            fields={"request": "No such approved request."},
        )
    if asked.state != State.APPROVED:
        raise not_approved(asked, place)
    if asked.content != content:
        raise request_is_stale(asked, place)
    return asked


def standing_request(place: "Place") -> ReleaseRequest | None:
    """The place's request that is open, or approved and not published yet."""
    rows = ReleaseRequest.objects.filter(_of(place), state__in=STANDING)
    return rows.order_by("-pk").first()


def _of(place: "Place") -> Q:
    return Q(scope=place) if isinstance(place, Scope) else Q(layer=place)


def content_of(
    place: "Place",
    head: int,
    own: "Entries",
    entries: "Entries | None" = None,
    targets: Collection[str] = (),
) -> str:
    """A checksum of what a publish would make, and of where it would start.

    Secrets count by fingerprint and version, because sealing them anew under another key changes
    nothing. `targets` are the names of the scopes for which a layer is published.
    """
    told = {"place": str(place), "head": head, "own": masked(own), "targets": sorted(targets)}
    return checksum(told if entries is None else told | {"entries": masked(entries)})


def is_hindered(environment: "Environment", *, now: "datetime") -> bool:
    """True where a publish needs an approval or an emergency just now."""
    return bool(environment.approvals) or freezes.standing(environment.pk, now=now) is not None


def settle(release: "Release", candidate: "Candidate") -> None:
    """After the release was cut: flag an emergency in the audit, and close the request for it."""
    scope, who, now = candidate.scope, candidate.who, candidate.now
    if release.emergency:
        data = {"release": release.number, "reason": release.message}
        events.audit(
            "release.emergency", who=who, target=f"{scope} r{release.number}", data=data, now=now
        )
    consent = candidate.consent
    if consent.request_id is not None and not consent.emergency and not candidate.is_covered:
        asked = standing_request(scope)  # which `approval` has found to be the approved one
        if asked is not None:
            move(asked, scope, State.PUBLISHED, who=who, now=now, release=release.number)


def move(
    asked: ReleaseRequest, place: "Place", state: ReleaseRequest.State, *, who: "Actor",
    now: "datetime", **data: object,
) -> None:  # fmt: skip
    """Give the request its next state. The caller holds the place's lock and has checked it."""
    asked.state = state
    if state in (State.APPROVED, State.REJECTED, State.WITHDRAWN):
        asked.decided_by, asked.decided_at = who.name, now
    asked.save(update_fields=["state", "decided_by", "decided_at"])
    tell(asked, place, str(state), who=who, now=now, **data)


def tell(
    asked: ReleaseRequest, place: "Place", done: str, *, who: "Actor", now: "datetime",
    **data: object,
) -> None:  # fmt: skip
    """Write the audit, and let open pages know."""
    events.audit(
        f"request.{done}", who=who, target=str(place), data={"request": asked.pk, **data}, now=now
    )
    told = {"request": asked.pk, "state": asked.state, "done": done, "by": who.name}
    events.record("request.changed", stream=place.stream, data=told, now=now)


def reason_missing(place: str, *, is_emergency: bool = False) -> ReasonMissing:
    what = "An emergency" if is_emergency else "A release of a protected environment"
    return ReasonMissing(
        f"{place}: {what} needs a reason. Nothing was published. Say in a few words why.",
        fields={"message": "Say in a few words why; the history shows it."},
    )


def needs_approval(scope: "Scope", *, is_rollback: bool) -> NeedsApproval:
    way_out = (
        "Draft the older content and ask for approval, or roll back as an emergency, which is "
        "flagged for ever."
        if is_rollback
        else "Ask for approval of the draft, or publish it as an emergency, which is flagged for "
        "ever."
    )
    return NeedsApproval(
        f"{scope.environment} needs another person's approval before {scope} is published. Nothing "
        f"was published. {way_out}"
    )


def not_approved(asked: ReleaseRequest, place: "Place") -> NeedsApproval:
    return NeedsApproval(
        f"Request {asked.pk} of {place} is not approved yet. Nothing was published. Ask another "
        "person who may approve it.",
        fields={"request": "Not approved yet."},
    )


def request_is_stale(asked: ReleaseRequest, place: "Place") -> RequestIsStale:
    return RequestIsStale(
        f"Request {asked.pk} of {place} is out of date: what would be published was changed after "
        f"{asked.author} asked. Nothing was done. Look at it as it is now and ask again.",
        fields={"request": "Out of date."},
        extra={"request": asked.pk},
    )


def layer_content(layer: "Layer", own: "Entries", targets: "Collection[Scope]") -> str:
    return content_of(layer, layer.head, own, targets=[str(scope) for scope in targets])
