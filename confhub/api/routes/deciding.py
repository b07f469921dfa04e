"""A draft that others overtook: what both sides made of a key, a rebase, one key from a release, and
what became of a key in the releases."""

from typing import TYPE_CHECKING, Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, Field

from confhub.access import layers, queries
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, seen_version
from confhub.api.layer_acts import draft_out as layer_draft
from confhub.api.layer_schemas import LayerDraftOut
from confhub.api.routes.drafts import draft_out as scope_draft
from confhub.api.routes.edits import GLOBAL, KINDS, LAYER, PATH, Kind
from confhub.api.routes.edits import IF_MATCH as _IF_MATCH
from confhub.api.schemas import DraftOut, JsonValue, Moment, NamedKey
from confhub.core import clock
from confhub.releases import actions
from confhub.releases.entries import answered
from confhub.releases.overlapping import Overlap, overlaps_of
from confhub.releases.provenance import history_of

if TYPE_CHECKING:
    from confhub.access.policies import Verb
    from confhub.catalog.models import Layer, Scope
    from confhub.releases.queries import DraftView

router = Router(tags=["draft"])
KEYS = "/keys/{key}/history"
HistoryLimit = Annotated[int, Query(50, ge=1, le=200, description="How many at most.")]


class RebaseIn(Body):
    expected_release: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        description="The release that was decided about; 409 when another one is the newest."
    )
    take_theirs: list[NamedKey] = Field(
        default_factory=list, description="Keys that shall be as published."
    )
    merge: list[NamedKey] = Field(
        default_factory=list, description="Keys that shall have both sides' changes."
    )


class RestoreIn(Body):
    key: NamedKey
    release: Annotated[int, Field(ge=1, le=2**31 - 1)]


class KeySide(BaseModel):
    there: bool
    value: JsonValue


class OverlapOut(BaseModel):
    """One key that the draft and a release since its base both changed."""

    key: str
    author: str = Field(description="Of the draft's side.")
    base: KeySide
    mine: KeySide
    theirs: KeySide
    merged: KeySide = Field(description="Not there: the two sides do not merge.")


class KeyVersionOut(BaseModel):
    release: int
    there: bool = Field(description="false: this release removed it.")
    value: JsonValue
    author: str
    at: Moment
    message: str


@router.get(PATH + "/overlaps", response=list[OverlapOut])
def list_overlaps(request: HttpRequest, service: str, environment: str) -> list[OverlapOut]:
    """Keys of the draft that a release since its base changed too. Decide about each: rebase."""
    return _overlaps(_scope(request, "see", service, environment))


@router.post(PATH + "/rebase", response=DraftOut, openapi_extra=_IF_MATCH)
def rebase_draft(
    request: HttpRequest, service: str, environment: str, body: RebaseIn, response: HttpResponse
) -> DraftOut:
    """Put the draft on the newest release; keys that are not named stay as drafted."""
    scope = _scope(request, "edit", service, environment)
    return scope_draft(scope, _rebase(request, scope, body), response)


@router.post(PATH + "/restore", response=DraftOut, openapi_extra=_IF_MATCH)
def restore_draft_key(
    request: HttpRequest, service: str, environment: str, body: RestoreIn, response: HttpResponse
) -> DraftOut:
    """Make one key as a release had it, also a secret; removed where that release had none."""
    scope = _scope(request, "edit", service, environment)
    return scope_draft(scope, _restore(request, scope, body), response)


@router.get(PATH.removesuffix("/draft") + KEYS, response=list[KeyVersionOut])
def get_key_history(
    request: HttpRequest, service: str, environment: str, key: str, limit: HistoryLimit
) -> list[KeyVersionOut]:
    """The releases that changed this key of the scope's own, the newest first."""
    return _history(_scope(request, "see", service, environment), key, limit)


@router.get(GLOBAL + "/overlaps", response=list[OverlapOut])
def list_global_overlaps(request: HttpRequest) -> list[OverlapOut]:
    """The same of the global layer."""
    return _overlaps(_layer(request, "see", "global", ""))


@router.post(GLOBAL + "/rebase", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def rebase_global_draft(
    request: HttpRequest, body: RebaseIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of the global layer."""
    layer = _layer(request, "edit", "global", "")
    return layer_draft(layer, _rebase(request, layer, body), response)


@router.post(GLOBAL + "/restore", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def restore_global_draft_key(
    request: HttpRequest, body: RestoreIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of the global layer."""
    layer = _layer(request, "edit", "global", "")
    return layer_draft(layer, _restore(request, layer, body), response)


@router.get(GLOBAL.removesuffix("/draft") + KEYS, response=list[KeyVersionOut])
def get_global_key_history(
    request: HttpRequest, key: str, limit: HistoryLimit
) -> list[KeyVersionOut]:
    """The same of the global layer."""
    return _history(_layer(request, "see", "global", ""), key, limit)


@router.get(LAYER + "/overlaps", response=list[OverlapOut])
def list_layer_overlaps(request: HttpRequest, kind: Kind, slug: str) -> list[OverlapOut]:
    """The same of a layer."""
    return _overlaps(_layer(request, "see", KINDS[kind], slug))


@router.post(LAYER + "/rebase", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def rebase_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, body: RebaseIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of a layer."""
    layer = _layer(request, "edit", KINDS[kind], slug)
    return layer_draft(layer, _rebase(request, layer, body), response)


@router.post(LAYER + "/restore", response=LayerDraftOut, openapi_extra=_IF_MATCH)
def restore_layer_draft_key(
    request: HttpRequest, kind: Kind, slug: str, body: RestoreIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of a layer."""
    layer = _layer(request, "edit", KINDS[kind], slug)
    return layer_draft(layer, _restore(request, layer, body), response)


@router.get(LAYER.removesuffix("/draft") + KEYS, response=list[KeyVersionOut])
def get_layer_key_history(
    request: HttpRequest, kind: Kind, slug: str, key: str, limit: HistoryLimit
) -> list[KeyVersionOut]:
    """The same of a layer."""
    return _history(_layer(request, "see", KINDS[kind], slug), key, limit)


def _scope(request: HttpRequest, verb: "Verb", service: str, environment: str) -> "Scope":
    return queries.scope_for(who_asks(request), verb, service, environment)


def _layer(request: HttpRequest, verb: "Verb", kind: str, slug: str) -> "Layer":
    return layers.layer_for(who_asks(request), verb, kind, slug)


def _rebase(request: HttpRequest, place: "Scope | Layer", body: RebaseIn) -> "DraftView":
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {place}")
    return actions.rebase_draft(
        place, take_theirs=body.take_theirs, merge=body.merge,
        expected_release=body.expected_release, expected=expected, who=who_asks(request),
        now=clock.now(),
    )  # fmt: skip


def _restore(request: HttpRequest, place: "Scope | Layer", body: RestoreIn) -> "DraftView":
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {place}")
    return actions.restore_key(
        place, body.key, number=body.release, expected=expected, who=who_asks(request),
        now=clock.now(),
    )  # fmt: skip


def _history(place: "Scope | Layer", key: str, limit: int) -> list[KeyVersionOut]:
    return [
        KeyVersionOut(
            release=each.release, **_side(each.entry).model_dump(), author=each.author,
            at=clock.stamp(each.at), message=each.message,
        )
        for each in history_of(place, key, limit=limit)
    ]  # fmt: skip


def _overlaps(place: "Scope | Layer") -> list[OverlapOut]:
    return [_overlap(each) for each in overlaps_of(place)]


def _overlap(held: Overlap) -> OverlapOut:
    merged = held.merged
    return OverlapOut(
        key=held.key, author=held.author, base=_side(held.base), mine=_side(held.mine),
        theirs=_side(held.theirs),
        merged=KeySide(there=merged is not None, value=merged.value if merged else None),
    )  # fmt: skip


def _side(entry: Any) -> KeySide:
    return KeySide(there=entry is not None, value=None if entry is None else answered(entry))
