"""Releases as they reach etcd, for whoever reaches HTTP but not etcd."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from confhub.access import queries as access
from confhub.api import streams
from confhub.api.auth import who_asks
from confhub.publishing import queries as publishing

if TYPE_CHECKING:
    from confhub.catalog.models import Scope
    from confhub.core.actors import Actor

router = Router(tags=["instances"])

_ANSWERS: dict[str, Any] = {
    "parameters": [
        {
            "in": "header",
            "name": "Last-Event-ID",
            "required": False,
            "schema": {"type": "string", "pattern": "^[0-9]{0,10}$"},
            "description": "The id of the last event that came: a release. Newer ones are sent.",
        }
    ],
    "responses": {
        200: {
            "description": "A stream of events `release`, each with the release document.",
            "content": {
                streams.MEDIA_TYPE: {
                    "schema": {"type": "string"},
                    "example": 'id: 42\nevent: release\ndata: {"release":42,…}\n\n',
                }
            },
        }
    },
}


@router.get("/services/{service}/environments/{environment}/watch", openapi_extra=_ANSWERS)
def watch(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The current release and each new one once etcd has it, as Server-Sent Events.

    The event's id is the release's number; its data is the document as etcd has it, but of a secret
    only the fingerprint and version. A comment comes at least every ten seconds.
    """
    # In a server confhub.api.lanes answers this call and goes on; here is the same beginning, after
    # which the client comes back by itself.
    scope, sent = target_of(who_asks(request), service, environment, last_id(request))
    response = streams.begun()
    response.write(streams.opening())
    newest = publishing.newest_written([scope.pk]).get(scope.pk, 0)
    for number in publishing.releases_to_send(scope.pk, sent, newest):
        document = publishing.document_shown(scope.pk, number)
        if document is not None:
            response.write(streams.release_event(number, document))
    return response


def last_id(request: HttpRequest) -> str | None:
    return request.headers.get("Last-Event-ID")


def target_of(
    who: "Actor", service: str, environment: str, last_id: str | None
) -> "tuple[Scope, int]":
    """The scope, and the release that the client has. Raises NotFound, BadHeader."""
    scope = access.scope_for(who, "see", service, environment)
    return scope, streams.seen_release(last_id)
