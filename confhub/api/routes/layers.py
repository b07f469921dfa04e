"""Layers: what several scopes share, edited and published as a scope's own entries are."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router, Status

from confhub.access import layers as access
from confhub.access import queries as scopes
from confhub.access.policies import require
from confhub.api import layer_acts as acts
from confhub.api.auth import who_asks
from confhub.api.consents import consent_of
from confhub.api.idempotency import MAY_REPEAT, once
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
    SetIn,
    TakeIn,
    TouchedOut,
)
from confhub.api.lists import After, Limit, page_after
from confhub.api.publishes import published_once
from confhub.api.schemas import DiffOut, DraftChangeIn, Page
from confhub.catalog import sets
from confhub.core import clock
from confhub.publishing import layers as publishing
from confhub.publishing.gates import Consent

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
    found = sorted(access.layers_for(who_asks(request)), key=acts.name)
    rows, following = page_after(found, after=after, limit=limit, key=acts.name)
    return Page(items=[acts.layer_out(layer) for layer in rows], next=following)


@router.post("/layers/sets", response={201: LayerOut}, openapi_extra=MAY_REPEAT)
def create_set(request: HttpRequest, body: SetIn, response: HttpResponse) -> Any:
    """Make a shared set. Services take it in with PATCH /services/{service} {"includes"}."""
    who, now = who_asks(request), clock.now()
    require(who, "administer", "services")

    def act() -> Status[LayerOut]:
        layer = sets.create_set(slug=body.slug, description=body.description, who=who, now=now)
        response["Location"] = f"{request.path}/{layer.slug}"
        return Status(201, acts.layer_out(layer))

    return once(request, response, act, who=who, now=now)


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
    return acts.layer_out(access.layer_for(who_asks(request), "see", "global"))


@router.get("/layers/global/draft", response=LayerDraftOut)
def get_global_draft(request: HttpRequest, response: HttpResponse) -> LayerDraftOut:
    """What is drafted in the global layer."""
    return acts.draft(who_asks(request), "global", "", response)


@router.patch("/layers/global/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def change_global_draft(
    request: HttpRequest, body: DraftChangeIn, response: HttpResponse
) -> LayerDraftOut:
    """Set, unset and revert keys of the global layer."""
    return acts.change(request, "global", "", body, response)


@router.delete("/layers/global/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def discard_global_draft(request: HttpRequest, response: HttpResponse) -> LayerDraftOut:
    """Put every key of the global layer back as it is in its newest release."""
    return acts.discard(request, "global", "", response)


@router.get("/layers/global/preview", response=list[TouchedOut])
def preview_global_layer(request: HttpRequest) -> list[TouchedOut]:
    """Whom publishing the global layer's draft would touch, and how."""
    return acts.preview(who_asks(request), "global", "")


@router.get("/layers/global/releases", response=Page[LayerReleaseOut])
def list_global_releases(request: HttpRequest, after: After, limit: Limit) -> Page[LayerReleaseOut]:
    """The global layer's releases, the newest first."""
    return acts.releases(who_asks(request), "global", "", after, limit)


@router.post(
    "/layers/global/releases",
    response={201: LayerPublishedOut, 200: LayerPublishedOut},
    openapi_extra=MAY_REPEAT,
)
def publish_global_layer(request: HttpRequest, body: LayerReleaseIn, response: HttpResponse) -> Any:
    """Publish the global layer, and cut a release for each target that it changes."""
    return acts.publish(request, "global", "", body, response)


@router.get("/layers/global/releases/{release}", response=LayerReleaseWithEntries)
def get_global_release(request: HttpRequest, release: int) -> LayerReleaseWithEntries:
    """One release of the global layer with its entries."""
    return acts.release(who_asks(request), "global", "", release)


@router.get("/layers/global/releases/{release}/diff", response=DiffOut)
def diff_global_release(request: HttpRequest, release: int, against: int | None = None) -> DiffOut:
    """What a release of the global layer has otherwise than another one."""
    return acts.diff(who_asks(request), "global", "", release, against)


@router.post(
    "/layers/global/releases/{release}/rollback",
    response={201: LayerPublishedOut, 200: LayerPublishedOut},
    openapi_extra=MAY_REPEAT,
)
def roll_back_global_layer(
    request: HttpRequest, release: int, body: LayerRollbackIn, response: HttpResponse
) -> Any:
    """Publish the content of an older release of the global layer under a new number."""
    return acts.roll_back(request, "global", "", release, body, response)


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
    return acts.layer_out(access.layer_for(who_asks(request), "see", KINDS[kind], slug))


@router.get("/layers/{kind}/{slug}/draft", response=LayerDraftOut)
def get_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, response: HttpResponse
) -> LayerDraftOut:
    """What is drafted in a layer."""
    return acts.draft(who_asks(request), KINDS[kind], slug, response)


@router.patch("/layers/{kind}/{slug}/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def change_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, body: DraftChangeIn, response: HttpResponse
) -> LayerDraftOut:
    """Set, unset and revert keys of a layer."""
    return acts.change(request, KINDS[kind], slug, body, response)


@router.delete("/layers/{kind}/{slug}/draft", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def discard_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, response: HttpResponse
) -> LayerDraftOut:
    """Put every key of a layer back as it is in its newest release."""
    return acts.discard(request, KINDS[kind], slug, response)


@router.get("/layers/{kind}/{slug}/preview", response=list[TouchedOut])
def preview_layer(request: HttpRequest, kind: Kind, slug: str) -> list[TouchedOut]:
    """Whom publishing a layer's draft would touch, and how."""
    return acts.preview(who_asks(request), KINDS[kind], slug)


@router.get("/layers/{kind}/{slug}/releases", response=Page[LayerReleaseOut])
def list_layer_releases(
    request: HttpRequest, kind: Kind, slug: str, after: After, limit: Limit
) -> Page[LayerReleaseOut]:
    """A layer's releases, the newest first."""
    return acts.releases(who_asks(request), KINDS[kind], slug, after, limit)


@router.post(
    "/layers/{kind}/{slug}/releases",
    response={201: LayerPublishedOut, 200: LayerPublishedOut},
    openapi_extra=MAY_REPEAT,
)
def publish_layer(
    request: HttpRequest, kind: Kind, slug: str, body: LayerReleaseIn, response: HttpResponse
) -> Any:
    """Publish a layer, and cut a release for each target that it changes: all of it or nothing."""
    return acts.publish(request, KINDS[kind], slug, body, response)


@router.get("/layers/{kind}/{slug}/releases/{release}", response=LayerReleaseWithEntries)
def get_layer_release(
    request: HttpRequest, kind: Kind, slug: str, release: int
) -> LayerReleaseWithEntries:
    """One release of a layer with its entries."""
    return acts.release(who_asks(request), KINDS[kind], slug, release)


@router.get("/layers/{kind}/{slug}/releases/{release}/diff", response=DiffOut)
def diff_layer_release(
    request: HttpRequest, kind: Kind, slug: str, release: int, against: int | None = None
) -> DiffOut:
    """What a release of a layer has otherwise than another one; the one before where left out."""
    return acts.diff(who_asks(request), KINDS[kind], slug, release, against)


@router.post(
    "/layers/{kind}/{slug}/releases/{release}/rollback",
    response={201: LayerPublishedOut, 200: LayerPublishedOut},
    openapi_extra=MAY_REPEAT,
)
def roll_back_layer(
    request: HttpRequest, kind: Kind, slug: str, release: int, body: LayerRollbackIn,
    response: HttpResponse,
) -> Any:  # fmt: skip
    """Publish the content of an older release of a layer under a new number."""
    return acts.roll_back(request, KINDS[kind], slug, release, body, response)


@router.post(SCOPE + "/layers/take", response={201: CutOut, 200: CutOut}, openapi_extra=MAY_REPEAT)
def take_layers(
    request: HttpRequest, service: str, environment: str, body: TakeIn, response: HttpResponse
) -> Any:
    """Cut a release of one scope with its layers as they are now. 200 where nothing would change."""
    who, now = who_asks(request), clock.now()
    scope = scopes.scope_for(who, "publish", service, environment)

    def act(consent: Consent) -> Status[CutOut]:
        done = publishing.take_layers(
            scope, message=body.message, expected_release=body.expected_release,
            consent=consent, who=who, now=now,
        )  # fmt: skip
        out = CutOut(service=service, environment=environment, release=done.release.number)
        return Status(201 if done.created else 200, out)

    return published_once(request, response, act, consent_of(body), who=who, now=now)
