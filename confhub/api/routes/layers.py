"""Layers: what several scopes share, edited and published as a scope's own entries are."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router, Status

from confhub.access import layers as access
from confhub.access import queries as scopes
from confhub.access.policies import require
from confhub.api.auth import who_asks
from confhub.api.bodies import seen_version
from confhub.api.consents import consent_of
from confhub.api.idempotency import once
from confhub.api.layer_schemas import (
    CutOut,
    FollowIn,
    FollowOut,
    LayerDraftOut,
    LayerOut,
    LayerPublishedOut,
    LayerReleaseIn,
    LayerReleaseOut,
    LayerReleaseWithEntries,
    LayerRollbackIn,
    ScopeName,
    SetIn,
    TakeIn,
    TouchedOut,
)
from confhub.api.lists import After, Limit, cursor, number_of, page_after
from confhub.api.schemas import ChangeOut, DiffOut, DraftChangeIn, DraftedKeyOut, Page
from confhub.catalog import sets
from confhub.core import clock
from confhub.publishing import layers as publishing
from confhub.releases import actions as releases
from confhub.releases import queries
from confhub.releases.diff import diff
from confhub.releases.queries import DraftView

if TYPE_CHECKING:
    from confhub.catalog.models import Layer
    from confhub.core.actors import Actor
    from confhub.publishing.layers import LayerPublished, Targets
    from confhub.releases.models import LayerRelease

router = Router(tags=["layers"])
SCOPE = "/services/{service}/environments/{environment}"

Kind = Annotated[Literal["environments", "sets", "services"], Path()]
KINDS = {"environments": "environment", "sets": "set", "services": "service"}
_IF_MATCH = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": True,
            "schema": {"type": "string"},
            "description": "The ETag of the draft as you saw it, or '*'.",
        }
    ]
}


@router.get("/layers", response=Page[LayerOut])
def list_layers(request: HttpRequest, after: After, limit: Limit) -> Page[LayerOut]:
    """Every layer that you may see."""
    found = sorted(access.layers_for(who_asks(request)), key=_name)
    rows, following = page_after(found, after=after, limit=limit, key=_name)
    return Page(items=[_layer_out(layer) for layer in rows], next=following)


@router.post("/layers/sets", response={201: LayerOut})
def create_set(request: HttpRequest, body: SetIn, response: HttpResponse) -> Any:
    """Make a shared set. Services take it in with PATCH /services/{service} {"includes"}."""
    who = who_asks(request)
    require(who, "administer", "services")
    layer = sets.create_set(slug=body.slug, description=body.description, who=who, now=clock.now())
    response["Location"] = f"{request.path}/{layer.slug}"
    return Status(201, _layer_out(layer))


@router.put(SCOPE + "/layers", response=FollowOut)
def follow_layers(
    request: HttpRequest, service: str, environment: str, body: FollowIn
) -> FollowOut:
    """Let a scope hold back from layers that are published for all, or follow them again."""
    who = who_asks(request)
    scope = scopes.scope_for(who, "publish", service, environment)
    sets.hold_back(scope, body.holds_back, who=who, now=clock.now())
    return FollowOut(holds_back=scope.holds_back, behind=bool(publishing.behind([scope])))


# Each call twice, because the global layer has no name of its own; its calls first, because a
# path of names would match them too.


@router.get("/layers/global", response=LayerOut)
def get_global_layer(request: HttpRequest) -> LayerOut:
    """The layer below everything."""
    return _layer_out(access.layer_for(who_asks(request), "see", "global"))


@router.get("/layers/global/draft", response=LayerDraftOut)
def get_global_draft(request: HttpRequest, response: HttpResponse) -> LayerDraftOut:
    """What is drafted in the global layer."""
    return _draft(who_asks(request), "global", "", response)


@router.patch("/layers/global/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def change_global_draft(
    request: HttpRequest, body: DraftChangeIn, response: HttpResponse
) -> LayerDraftOut:
    """Set, unset and revert keys of the global layer."""
    return _change(request, "global", "", body, response)


@router.delete("/layers/global/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def discard_global_draft(request: HttpRequest, response: HttpResponse) -> LayerDraftOut:
    """Put every key of the global layer back as it is in its newest release."""
    return _discard(request, "global", "", response)


@router.get("/layers/global/preview", response=list[TouchedOut])
def preview_global_layer(request: HttpRequest) -> list[TouchedOut]:
    """Whom publishing the global layer's draft would touch, and how."""
    return _preview(who_asks(request), "global", "")


@router.get("/layers/global/releases", response=Page[LayerReleaseOut])
def list_global_releases(request: HttpRequest, after: After, limit: Limit) -> Page[LayerReleaseOut]:
    """The global layer's releases, the newest first."""
    return _releases(who_asks(request), "global", "", after, limit)


@router.post("/layers/global/releases", response={201: LayerPublishedOut, 200: LayerPublishedOut})
def publish_global_layer(request: HttpRequest, body: LayerReleaseIn, response: HttpResponse) -> Any:
    """Publish the global layer, and cut a release for each target that it changes."""
    return _publish(request, "global", "", body, response)


@router.get("/layers/global/releases/{release}", response=LayerReleaseWithEntries)
def get_global_release(request: HttpRequest, release: int) -> LayerReleaseWithEntries:
    """One release of the global layer with its entries."""
    return _release(who_asks(request), "global", "", release)


@router.get("/layers/global/releases/{release}/diff", response=DiffOut)
def diff_global_release(request: HttpRequest, release: int, against: int | None = None) -> DiffOut:
    """What a release of the global layer has otherwise than another one."""
    return _diff(who_asks(request), "global", "", release, against)


@router.post(
    "/layers/global/releases/{release}/rollback",
    response={201: LayerPublishedOut, 200: LayerPublishedOut},
)
def roll_back_global_layer(
    request: HttpRequest, release: int, body: LayerRollbackIn, response: HttpResponse
) -> Any:
    """Publish the content of an older release of the global layer under a new number."""
    return _roll_back(request, "global", "", release, body, response)


@router.delete("/layers/{kind}/{slug}", response={204: None})
def delete_layer(request: HttpRequest, kind: Kind, slug: str) -> Any:
    """Remove a set that nobody includes and that was never published."""
    who = who_asks(request)
    require(who, "administer", "services")
    layer = access.layer_for(who, "administer", KINDS[kind], slug)
    sets.delete_set(layer, who=who, now=clock.now())
    return Status(204, None)


@router.get("/layers/{kind}/{slug}", response=LayerOut)
def get_layer(request: HttpRequest, kind: Kind, slug: str) -> LayerOut:
    """One layer."""
    return _layer_out(access.layer_for(who_asks(request), "see", KINDS[kind], slug))


@router.get("/layers/{kind}/{slug}/draft", response=LayerDraftOut)
def get_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, response: HttpResponse
) -> LayerDraftOut:
    """What is drafted in a layer."""
    return _draft(who_asks(request), KINDS[kind], slug, response)


@router.patch("/layers/{kind}/{slug}/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def change_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, body: DraftChangeIn, response: HttpResponse
) -> LayerDraftOut:
    """Set, unset and revert keys of a layer."""
    return _change(request, KINDS[kind], slug, body, response)


@router.delete("/layers/{kind}/{slug}/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def discard_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, response: HttpResponse
) -> LayerDraftOut:
    """Put every key of a layer back as it is in its newest release."""
    return _discard(request, KINDS[kind], slug, response)


@router.get("/layers/{kind}/{slug}/preview", response=list[TouchedOut])
def preview_layer(request: HttpRequest, kind: Kind, slug: str) -> list[TouchedOut]:
    """Whom publishing a layer's draft would touch, and how."""
    return _preview(who_asks(request), KINDS[kind], slug)


@router.get("/layers/{kind}/{slug}/releases", response=Page[LayerReleaseOut])
def list_layer_releases(
    request: HttpRequest, kind: Kind, slug: str, after: After, limit: Limit
) -> Page[LayerReleaseOut]:
    """A layer's releases, the newest first."""
    return _releases(who_asks(request), KINDS[kind], slug, after, limit)


@router.post(
    "/layers/{kind}/{slug}/releases", response={201: LayerPublishedOut, 200: LayerPublishedOut}
)
def publish_layer(
    request: HttpRequest, kind: Kind, slug: str, body: LayerReleaseIn, response: HttpResponse
) -> Any:
    """Publish a layer, and cut a release for each target that it changes: all of it or nothing."""
    return _publish(request, KINDS[kind], slug, body, response)


@router.get("/layers/{kind}/{slug}/releases/{release}", response=LayerReleaseWithEntries)
def get_layer_release(
    request: HttpRequest, kind: Kind, slug: str, release: int
) -> LayerReleaseWithEntries:
    """One release of a layer with its entries."""
    return _release(who_asks(request), KINDS[kind], slug, release)


@router.get("/layers/{kind}/{slug}/releases/{release}/diff", response=DiffOut)
def diff_layer_release(
    request: HttpRequest, kind: Kind, slug: str, release: int, against: int | None = None
) -> DiffOut:
    """What a release of a layer has otherwise than another one; the one before where left out."""
    return _diff(who_asks(request), KINDS[kind], slug, release, against)


@router.post(
    "/layers/{kind}/{slug}/releases/{release}/rollback",
    response={201: LayerPublishedOut, 200: LayerPublishedOut},
)
def roll_back_layer(
    request: HttpRequest, kind: Kind, slug: str, release: int, body: LayerRollbackIn,
    response: HttpResponse,
) -> Any:  # fmt: skip
    """Publish the content of an older release of a layer under a new number."""
    return _roll_back(request, KINDS[kind], slug, release, body, response)


@router.post(SCOPE + "/layers/take", response={201: CutOut, 200: CutOut})
def take_layers(
    request: HttpRequest, service: str, environment: str, body: TakeIn, response: HttpResponse
) -> Any:
    """Cut a release of one scope with its layers as they are now. 200 where nothing would change."""
    who, now = who_asks(request), clock.now()
    scope = scopes.scope_for(who, "publish", service, environment)

    def act() -> Status[CutOut]:
        done = publishing.take_layers(
            scope, message=body.message, expected_release=body.expected_release,
            consent=consent_of(body), who=who, now=now,
        )  # fmt: skip
        out = CutOut(service=service, environment=environment, release=done.release.number)
        return Status(201 if done.created else 200, out)

    return once(request, response, act, who=who, now=now)


def _draft(who: "Actor", kind: str, slug: str, response: HttpResponse) -> LayerDraftOut:
    layer = access.layer_for(who, "see", kind, slug)
    return draft_out(layer, queries.draft_of(layer), response)


def _change(
    request: HttpRequest, kind: str, slug: str, body: DraftChangeIn, response: HttpResponse
) -> LayerDraftOut:
    who = who_asks(request)
    layer = access.layer_for(who, "edit", kind, slug)
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {layer}")
    view = releases.change_draft(
        layer, set=body.set, unset=body.unset, revert=body.revert, expected=expected, who=who,
        now=clock.now(),
    )  # fmt: skip
    return draft_out(layer, view, response)


def _discard(request: HttpRequest, kind: str, slug: str, response: HttpResponse) -> LayerDraftOut:
    who = who_asks(request)
    layer = access.layer_for(who, "edit", kind, slug)
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {layer}")
    view = releases.discard_draft(layer, expected=expected, who=who, now=clock.now())
    return draft_out(layer, view, response)


def _preview(who: "Actor", kind: str, slug: str) -> list[TouchedOut]:
    layer = access.layer_for(who, "see", kind, slug)
    return [
        TouchedOut(
            service=each.scope.service.slug,
            environment=each.scope.environment.slug,
            release=each.scope.head,
            holds_back=each.scope.holds_back,
            changes=[ChangeOut(key=c.key, kind=c.kind, old=c.old, new=c.new) for c in each.changes],
            problems=dict(each.problems),
        )
        for each in publishing.preview(layer, who)
    ]


def _releases(
    who: "Actor", kind: str, slug: str, after: str | None, limit: int
) -> Page[LayerReleaseOut]:
    layer = access.layer_for(who, "see", kind, slug)
    rows = queries.releases_of(layer, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    return Page(
        items=[_release_out(layer, release) for release in shown],
        next=cursor(str(shown[-1].number)) if len(rows) > limit else None,
    )


def _publish(
    request: HttpRequest, kind: str, slug: str, body: LayerReleaseIn, response: HttpResponse
) -> Any:
    who, now = who_asks(request), clock.now()
    layer = access.layer_for(who, "publish", kind, slug)
    targets, consent = _targets(body.targets), consent_of(body)

    def act() -> Status[LayerPublishedOut]:
        if body.set is None and body.unset is None:
            done = publishing.publish_layer(
                layer, message=body.message, targets=targets, consent=consent,
                expected_release=body.expected_release, who=who, now=now,
            )  # fmt: skip
        else:
            done = publishing.publish_layer_changes(
                layer, set=body.set or {}, unset=body.unset or [], message=body.message,
                targets=targets, consent=consent, expected_release=body.expected_release, who=who,
                now=now,
            )  # fmt: skip
        return _published(layer, done)

    return once(request, response, act, who=who, now=now)


def _release(who: "Actor", kind: str, slug: str, number: int) -> LayerReleaseWithEntries:
    layer = access.layer_for(who, "see", kind, slug)
    held = queries.release_for(who, "see", layer, number)
    return LayerReleaseWithEntries(**_release_out(layer, held).model_dump(), entries=held.shown)


def _diff(who: "Actor", kind: str, slug: str, number: int, against: int | None) -> DiffOut:
    layer = access.layer_for(who, "see", kind, slug)
    held = queries.release_for(who, "see", layer, number)
    other = held.number - 1 if against is None else against
    older = queries.release_for(who, "see", layer, other).shown if other else {}
    changes = [
        ChangeOut(key=change.key, kind=change.kind, old=change.old, new=change.new)
        for change in diff(older, held.shown)
    ]
    return DiffOut(release=held.number, against=other, changes=changes)


def _roll_back(
    request: HttpRequest, kind: str, slug: str, number: int, body: LayerRollbackIn,
    response: HttpResponse,
) -> Any:  # fmt: skip
    who, now = who_asks(request), clock.now()
    layer = access.layer_for(who, "publish", kind, slug)

    def act() -> Status[LayerPublishedOut]:
        done = publishing.roll_back_layer(
            layer, number=number, message=body.message, targets=_targets(body.targets),
            expected_release=body.expected_release, consent=consent_of(body),
            who=who, now=now,
        )  # fmt: skip
        return _published(layer, done)

    return once(request, response, act, who=who, now=now)


def _targets(asked: "Literal['all'] | list[ScopeName]") -> "Targets":
    return asked if asked == "all" else [(each.service, each.environment) for each in asked]


def _published(layer: "Layer", done: "LayerPublished") -> Status[LayerPublishedOut]:
    cut = [(each.release.scope, each.release.number) for each in done.cut]
    out = LayerPublishedOut(
        **_release_out(layer, done.release).model_dump(),
        releases=[
            CutOut(service=scope.service.slug, environment=scope.environment.slug, release=number)
            for scope, number in cut
        ],
    )
    return Status(201 if done.created or done.cut else 200, out)


def draft_out(layer: "Layer", view: DraftView, response: HttpResponse) -> LayerDraftOut:
    response["ETag"] = f'"{view.version}"'
    response["Cache-Control"] = "private, no-cache"
    return LayerDraftOut(
        kind=layer.kind,
        slug=layer.slug,
        base=view.base,
        head=view.head,
        version=view.version,
        set=view.set,
        unset=view.unset,
        changes=[
            DraftedKeyOut(
                key=change.key, removed=change.removed, value=change.value, version=change.version,
                author=change.author, changed_at=clock.stamp(change.changed_at),
                overlaps=change.overlaps,
            )
            for change in view.changes
        ],
        overlapping=view.overlapping,
        updated_at=clock.stamp(view.updated_at) if view.updated_at else None,
        updated_by=view.updated_by,
    )  # fmt: skip


def _layer_out(layer: "Layer") -> LayerOut:
    return LayerOut(
        kind=layer.kind,  # type: ignore[arg-type]  # its column has these choices
        slug=layer.slug,
        description=layer.description,
        release=layer.head or None,
    )


def _release_out(layer: "Layer", release: "LayerRelease") -> LayerReleaseOut:
    return LayerReleaseOut(
        kind=layer.kind,
        slug=layer.slug,
        release=release.number,
        message=release.message,
        author=release.author,
        created_at=clock.stamp(release.created_at),
        parent=release.parent,
        restores=release.restores,
        keys=len(release.entries),
        emergency=release.emergency,
    )


def _name(layer: "Layer") -> str:
    return f"{layer.kind} {layer.slug}"
