"""The draft of a service in an environment: what its next release will change."""

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from ninja import Router

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.bodies import seen_version
from confhub.api.schemas import DraftChangeIn, DraftedKeyOut, DraftOut
from confhub.core import clock
from confhub.releases import actions as releases
from confhub.releases import queries
from confhub.releases.queries import DraftView

if TYPE_CHECKING:
    from confhub.catalog.models import Scope

router = Router(tags=["draft"])
PATH = "/services/{service}/environments/{environment}/draft"
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


@router.get(PATH, response=DraftOut)
def get_draft(
    request: HttpRequest, service: str, environment: str, response: HttpResponse
) -> DraftOut:
    """What is drafted, with its version as ETag. A draft that nobody began is an empty one."""
    scope = access.scope_for(who_asks(request), "see", service, environment)
    return draft_out(scope, queries.draft_of(scope), response)


@router.patch(PATH, response=DraftOut, openapi_extra=_IF_MATCH)
def change_draft(
    request: HttpRequest, service: str, environment: str, body: DraftChangeIn,
    response: HttpResponse,
) -> DraftOut:  # fmt: skip
    """Set, unset and revert keys. Only a key that somebody changed after your version is refused."""
    who = who_asks(request)
    scope = access.scope_for(who, "edit", service, environment)
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {scope}")
    view = releases.change_draft(
        scope, set=body.set, unset=body.unset, revert=body.revert, expected=expected, who=who,
        now=clock.now(),
    )  # fmt: skip
    return draft_out(scope, view, response)


@router.delete(PATH, response=DraftOut, openapi_extra=_IF_MATCH)
def discard_draft(
    request: HttpRequest, service: str, environment: str, response: HttpResponse
) -> DraftOut:
    """Put every key back as it is in the newest release; answers the draft, empty now."""
    who = who_asks(request)
    scope = access.scope_for(who, "edit", service, environment)
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {scope}")
    view = releases.discard_draft(scope, expected=expected, who=who, now=clock.now())
    return draft_out(scope, view, response)


def draft_out(scope: "Scope", view: DraftView, response: HttpResponse) -> DraftOut:
    response["ETag"] = f'"{view.version}"'
    response["Cache-Control"] = "private, no-cache"
    changes = [
        DraftedKeyOut(
            key=change.key,
            removed=change.removed,
            value=change.value,
            version=change.version,
            author=change.author,
            changed_at=clock.stamp(change.changed_at),
            overlaps=change.overlaps,
        )
        for change in view.changes
    ]
    return DraftOut(
        service=scope.service.slug,
        environment=scope.environment.slug,
        base=view.base,
        head=view.head,
        version=view.version,
        set=view.set,
        unset=view.unset,
        changes=changes,
        overlapping=view.overlapping,
        updated_at=clock.stamp(view.updated_at) if view.updated_at else None,
        updated_by=view.updated_by,
    )
