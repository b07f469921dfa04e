"""What was done in a draft: the list of it, undo and redo of one's own acts, and renaming a key."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router
from pydantic import BaseModel, Field

from confhub.access import layers, queries
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, seen_version
from confhub.api.layer_acts import draft_out as layer_draft
from confhub.api.layer_schemas import LayerDraftOut
from confhub.api.lists import After, Limit, cursor, number_of
from confhub.api.routes.drafts import draft_out as scope_draft
from confhub.api.schemas import DraftOut, JsonValue, Key, Moment, NamedKey, Page
from confhub.core import clock
from confhub.releases import undo as undoing
from confhub.releases.entries import answered
from confhub.releases.renaming import rename_key

if TYPE_CHECKING:
    from confhub.access.policies import Verb
    from confhub.catalog.models import Layer, Scope
    from confhub.releases.queries import DraftView
    from confhub.releases.undo import Edit

router = Router(tags=["draft"])
PATH = "/services/{service}/environments/{environment}/draft"
GLOBAL = "/layers/global/draft"
LAYER = "/layers/{kind}/{slug}/draft"
KINDS = {"environments": "environment", "sets": "set", "services": "service"}
Kind = Annotated[Literal["environments", "sets", "services"], Path()]
IF_MATCH = {
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


class TurnIn(Body):
    keep: list[NamedKey] = Field(
        default_factory=list,
        description="Keys of the act that stay as they are now, because others changed them since.",
    )


class RenameIn(Body):
    from_: NamedKey = Field(alias="from", description="The key as it is called now.")
    to: Key = Field(description="Its new name.")


class KeyStateOut(BaseModel):
    said: Literal["set", "removed", "as published"]
    value: JsonValue = Field(description="Where it was set; of a secret its fingerprint.")


class KeyEditOut(BaseModel):
    key: str
    before: KeyStateOut
    after: KeyStateOut


class EditOut(BaseModel):
    """One act on the draft."""

    version: int = Field(description="The draft's version that it made.")
    act: Literal["edit", "restore", "rename", "rebase", "discard", "undo", "redo", "publish"]
    author: str
    at: Moment
    undone: bool
    release: int | None = Field(description="Of a publish: its number.")
    count: int = Field(description="How many keys it changed.")
    keys: list[KeyEditOut] = Field(description="The first 100 of them, by name.")


@router.get(PATH + "/edits", response=Page[EditOut])
def list_draft_edits(
    request: HttpRequest, service: str, environment: str, after: After, limit: Limit
) -> Page[EditOut]:
    """What was done in the draft, the newest first. The last 500 changed keys are kept."""
    return _edits(_scope(request, "see", service, environment), after, limit)


@router.post(PATH + "/undo", response=DraftOut, openapi_extra=IF_MATCH)
def undo_draft_edit(
    request: HttpRequest, service: str, environment: str, body: TurnIn, response: HttpResponse
) -> DraftOut:
    """Take back your own newest act, all its keys together; also a discard. 412 with both sides
    where somebody changed one of them since."""
    scope = _scope(request, "edit", service, environment)
    return scope_draft(scope, _turn(request, scope, body, undoing.undo), response)


@router.post(PATH + "/redo", response=DraftOut, openapi_extra=IF_MATCH)
def redo_draft_edit(
    request: HttpRequest, service: str, environment: str, body: TurnIn, response: HttpResponse
) -> DraftOut:
    """Do again what you undid last."""
    scope = _scope(request, "edit", service, environment)
    return scope_draft(scope, _turn(request, scope, body, undoing.redo), response)


@router.post(PATH + "/rename", response=DraftOut, openapi_extra=IF_MATCH)
def rename_draft_key(
    request: HttpRequest, service: str, environment: str, body: RenameIn, response: HttpResponse
) -> DraftOut:
    """Give a key another name in one act; its value, also a secret's, goes along."""
    scope = _scope(request, "edit", service, environment)
    return scope_draft(scope, _rename(request, scope, body), response)


@router.get(GLOBAL + "/edits", response=Page[EditOut])
def list_global_draft_edits(request: HttpRequest, after: After, limit: Limit) -> Page[EditOut]:
    """The same of the global layer."""
    return _edits(_layer(request, "see", "global", ""), after, limit)


@router.post(GLOBAL + "/undo", response=LayerDraftOut, openapi_extra=IF_MATCH)
def undo_global_draft_edit(
    request: HttpRequest, body: TurnIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of the global layer."""
    layer = _layer(request, "edit", "global", "")
    return layer_draft(layer, _turn(request, layer, body, undoing.undo), response)


@router.post(GLOBAL + "/redo", response=LayerDraftOut, openapi_extra=IF_MATCH)
def redo_global_draft_edit(
    request: HttpRequest, body: TurnIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of the global layer."""
    layer = _layer(request, "edit", "global", "")
    return layer_draft(layer, _turn(request, layer, body, undoing.redo), response)


@router.post(GLOBAL + "/rename", response=LayerDraftOut, openapi_extra=IF_MATCH)
def rename_global_draft_key(
    request: HttpRequest, body: RenameIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of the global layer."""
    layer = _layer(request, "edit", "global", "")
    return layer_draft(layer, _rename(request, layer, body), response)


@router.get(LAYER + "/edits", response=Page[EditOut])
def list_layer_draft_edits(
    request: HttpRequest, kind: Kind, slug: str, after: After, limit: Limit
) -> Page[EditOut]:
    """The same of a layer."""
    return _edits(_layer(request, "see", KINDS[kind], slug), after, limit)


@router.post(LAYER + "/undo", response=LayerDraftOut, openapi_extra=IF_MATCH)
def undo_layer_draft_edit(
    request: HttpRequest, kind: Kind, slug: str, body: TurnIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of a layer."""
    layer = _layer(request, "edit", KINDS[kind], slug)
    return layer_draft(layer, _turn(request, layer, body, undoing.undo), response)


@router.post(LAYER + "/redo", response=LayerDraftOut, openapi_extra=IF_MATCH)
def redo_layer_draft_edit(
    request: HttpRequest, kind: Kind, slug: str, body: TurnIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of a layer."""
    layer = _layer(request, "edit", KINDS[kind], slug)
    return layer_draft(layer, _turn(request, layer, body, undoing.redo), response)


@router.post(LAYER + "/rename", response=LayerDraftOut, openapi_extra=IF_MATCH)
def rename_layer_draft_key(
    request: HttpRequest, kind: Kind, slug: str, body: RenameIn, response: HttpResponse
) -> LayerDraftOut:
    """The same of a layer."""
    layer = _layer(request, "edit", KINDS[kind], slug)
    return layer_draft(layer, _rename(request, layer, body), response)


def _scope(request: HttpRequest, verb: "Verb", service: str, environment: str) -> "Scope":
    return queries.scope_for(who_asks(request), verb, service, environment)


def _layer(request: HttpRequest, verb: "Verb", kind: str, slug: str) -> "Layer":
    return layers.layer_for(who_asks(request), verb, kind, slug)


def _turn(request: HttpRequest, place: "Scope | Layer", body: TurnIn, turn: Any) -> "DraftView":
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {place}")
    view: DraftView = turn(
        place, keep=body.keep, expected=expected, who=who_asks(request), now=clock.now()
    )
    return view


def _rename(request: HttpRequest, place: "Scope | Layer", body: RenameIn) -> "DraftView":
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {place}")
    return rename_key(
        place, body.from_, body.to, expected=expected, who=who_asks(request), now=clock.now()
    )


def _edits(place: "Scope | Layer", after: str | None, limit: int) -> Page[EditOut]:
    found = undoing.edits_of(place, before=number_of(after), limit=limit + 1)
    shown = found[:limit]
    following = cursor(str(shown[-1].version)) if len(found) > limit else None
    return Page(items=[_edit_out(each) for each in shown], next=following)


def _edit_out(edit: "Edit") -> EditOut:
    return EditOut(
        version=edit.version,
        act=edit.act,  # type: ignore[arg-type]  # the column holds one of draft_rows.Act
        author=edit.author,
        at=clock.stamp(edit.at),
        undone=edit.undone,
        release=edit.release,
        count=edit.count,
        keys=[
            KeyEditOut(key=each.key, before=_state_out(each.before), after=_state_out(each.after))
            for each in edit.keys
        ],
    )


def _state_out(state: dict[str, Any]) -> KeyStateOut:
    if state["removed"]:
        return KeyStateOut(said="removed", value=None)
    if not state["entry"]:
        return KeyStateOut(said="as published", value=None)
    return KeyStateOut(said="set", value=answered(state["entry"]))
