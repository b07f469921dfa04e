"""Read requests for approval, and what a request would be made for now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from confhub.access.policies import ROLE_VERBS, may, may_at
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor
from confhub.publishing import layers, protection, safety
from confhub.publishing.gates import Candidate, Consent, references
from confhub.publishing.layers import NotOnLayer, Targets
from confhub.publishing.models import ReleaseRequest, RequestComment
from confhub.publishing.protection import STANDING, State
from confhub.releases.diff import diff
from confhub.releases.entries import BadEntries
from confhub.releases.layering import Ground, same_entries
from confhub.releases.models import Draft
from confhub.releases.queries import drafted_own, head_of

if TYPE_CHECKING:
    from confhub.releases.places import Place

MOST = 200  # requests that one list shows
APPROVING = frozenset(role for role, verbs in ROLE_VERBS.items() if "approve" in verbs)


@dataclass(frozen=True)
class Plan:
    """What a publish of a place's draft would make now."""

    content: str
    keys: list[str]  # that would change, of the place's own
    is_idle: bool  # nothing would change anywhere
    targets: list[dict[str, str]] | None  # of a layer


@dataclass(frozen=True)
class Listed:
    """A request in a list. `moved`: its draft was edited, or a release was cut, since it was asked."""

    request: ReleaseRequest
    place: "Place"
    moved: bool


def plan(place: "Place", targets: Targets, *, message: str, who: Actor, now: datetime) -> Plan:
    """Raises BadEntries, DoesNotFit and NotOnLayer, as the publish itself would."""
    if isinstance(place, Scope):
        return _scope_plan(place, message=message, who=who, now=now)
    return _layer_plan(place, targets)


def content_now(request: ReleaseRequest, place: "Place") -> str:
    """The content that a publish would make now; "" where it cannot be said."""
    try:
        if isinstance(place, Scope):
            ground = Ground.of([place])
            head = ground.heads.get(place.pk)
            own = drafted_own(place, head)
            entries = ground.resolve(place, own, ground.numbers(place)).entries
            return protection.content_of(place, place.head, own, entries)
        chosen = layers.chosen_scopes(place, targets_of(request))
        return protection.layer_content(place, drafted_own(place, head_of(place)), chosen)
    except NotOnLayer:  # one of its targets is gone
        return ""


def is_out_of_date(request: ReleaseRequest) -> bool:
    """True where approving or publishing it would be refused, because something moved."""
    place = place_of(request)
    return request.state in STANDING and content_now(request, place) != request.content


def place_of(request: ReleaseRequest) -> "Place":
    place = request.scope or request.layer
    assert place is not None  # noqa: S101  # it is made with one of the two
    return place


def targets_of(request: ReleaseRequest) -> Targets:
    """Of a layer's request: the scopes, by name."""
    return [(each["service"], each["environment"]) for each in request.targets or ()]


def targets_for(who: Actor, request: ReleaseRequest) -> tuple[list[dict[str, str]], int]:
    """(the scopes of a layer's request that `who` may see, how many more there are)."""
    named: list[dict[str, str]] = request.targets or []
    seen = [each for each in named if may_at(who, "see", each["service"], each["environment"])]
    return seen, len(named) - len(seen)


def standing_of(place: "Place") -> ReleaseRequest | None:
    """The place's request that is open, or approved and not published yet."""
    return protection.standing_request(place)


def comments_of(requests: Sequence[ReleaseRequest]) -> dict[int, list[RequestComment]]:
    """{request row id: its comments, the oldest first}."""
    found: dict[int, list[RequestComment]] = {request.pk: [] for request in requests}
    for comment in RequestComment.objects.filter(request__in=requests).order_by("id"):
        found[comment.request_id].append(comment)
    return found


def requests_of(
    place: "Place", *, before: int | None = None, limit: int = 50
) -> list[ReleaseRequest]:
    """The place's requests, the newest first, below row id `before` where given."""
    rows = place.requests.order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows[:limit])


def standing_for(
    who: Actor, *, after: int | None = None, limit: int = MOST
) -> list[ReleaseRequest]:
    """Requests that stand, as far as `who` may see their place; the oldest first, behind `after`."""
    rows = ReleaseRequest.objects.filter(state__in=STANDING).order_by("pk")
    if after is not None:
        rows = rows.filter(pk__gt=after)
    rows = rows.select_related("scope__service", "scope__environment", "layer")
    return [each for each in rows[: MOST * 5] if may(who, "see", place_of(each))][:limit]


def listed(requests: Sequence[ReleaseRequest]) -> list[Listed]:
    """`requests` with whether something moved since, in two queries."""
    scopes = [each.scope_id for each in requests if each.scope_id]
    below = [each.layer_id for each in requests if each.layer_id]
    drafts = Draft.objects.filter(scope__in=scopes) | Draft.objects.filter(layer__in=below)
    versions = {(each.scope_id, each.layer_id): each.version for each in drafts}
    return [
        Listed(
            each, place_of(each), versions.get((each.scope_id, each.layer_id)) != each.draft_version
        )
        for each in requests
    ]


def can_decide(who: Actor, request: ReleaseRequest) -> bool:
    """It waits for somebody, and `who` is one who may approve it."""
    if request.state != State.OPEN or is_author(request, who):
        return False
    return may(who, "approve", place_of(request))


def waiting_for(who: Actor, *, after: int | None = None) -> list[ReleaseRequest]:
    """Open requests that `who` may decide; behind `after`."""
    if not any(granted.role in APPROVING for granted in who.grants):
        return []  # most people; no query for their pages
    return [each for each in standing_for(who, after=after) if can_decide(who, each)]


def is_author(request: ReleaseRequest, who: Actor) -> bool:
    """A token acts as its person, so their row ids are compared, and names only without one."""
    if request.author_id_asked is None or who.user_id is None:
        return request.author == who.name
    return request.author_id_asked == who.user_id


def _scope_plan(scope: Scope, *, message: str, who: Actor, now: datetime) -> Plan:
    ground = Ground.of([scope])
    head = ground.heads.get(scope.pk)
    own = drafted_own(scope, head)
    resolved = ground.resolve(scope, own, ground.numbers(scope))
    candidate = Candidate(
        scope, head, own, resolved, message, Consent(), is_rollback=False, who=who, now=now
    )
    references(candidate)
    safety.schema(candidate)
    keys = [change.key for change in diff(head.own_entries if head else {}, own)]
    is_idle = not keys and same_entries(resolved.entries, candidate.before)
    content = protection.content_of(scope, scope.head, own, resolved.entries)
    return Plan(content, keys, is_idle, None)


def _layer_plan(layer: Layer, targets: Targets) -> Plan:
    head = head_of(layer)
    own = drafted_own(layer, head)
    chosen = layers.chosen_scopes(layer, targets)
    keys = [change.key for change in diff(head.entries if head else {}, own)]
    wanted = {scope.pk for scope in chosen}
    touched = [each for each in layers.touched_by(layer, own) if each.scope.pk in wanted]
    for each in touched:
        if each.problems:
            sentence = next(iter(each.problems.values()))
            raise BadEntries(f"{each.scope}: {sentence}", fields=each.problems)
    return Plan(
        protection.layer_content(layer, own, chosen),
        keys,
        not keys and not touched,
        [
            {"service": scope.service.slug, "environment": scope.environment.slug}
            for scope in chosen
        ],
    )
