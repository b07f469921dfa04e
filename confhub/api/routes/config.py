"""The resolved configuration, for programs that read it over HTTP."""

from typing import Annotated, ClassVar

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from confhub.access import queries as access
from confhub.api import formats
from confhub.api.auth import who_asks
from confhub.api.bodies import matches
from confhub.api.problems import NothingPublished
from confhub.core.errors import ConfHubError
from confhub.releases import queries as releases

router = Router(tags=["config"])


class NoSuchFormat(ConfHubError):
    """The configuration cannot be written in this format."""

    code: ClassVar[str] = "format.unknown"
    status: ClassVar[int] = 422


_ANSWERS = {
    200: {
        "description": "OK",
        "headers": {
            "ETag": {"description": "The checksum.", "schema": {"type": "string"}},
            "Confhub-Release": {"description": "Its number.", "schema": {"type": "integer"}},
        },
        "content": {
            "application/json": {
                "schema": {"type": "object", "additionalProperties": True},
                "example": {"MAX_CONNECTIONS": 200},
            },
            "text/plain": {"schema": {"type": "string"}, "example": "MAX_CONNECTIONS='200'\n"},
        },
    },
    304: {"description": "Not Modified: `If-None-Match` names the checksum."},
}


@router.get(
    "/services/{service}/environments/{environment}/config", openapi_extra={"responses": _ANSWERS}
)
def get_config(
    request: HttpRequest, service: str, environment: str,
    format: Annotated[str, Query("json", description=f"{formats.NAMES}.")],  # the contract's word
    release: Annotated[int | None, Query(None, description="The newest where left out.")],
) -> HttpResponse:  # fmt: skip
    """`{"KEY": value}` of the newest (or a) release; its checksum is the ETag."""
    if format not in formats.MEDIA_TYPES:
        there = formats.NAMES
        raise NoSuchFormat(
            f"{format[:40]!r} is not a format that can be answered. Ask for {there}.",
            fields={"format": f"Write {there}."},
        )
    who = who_asks(request)
    scope = access.scope_for(who, "see", service, environment)
    held = (
        releases.head_of(scope)
        if release is None
        else releases.release_for(who, "see", scope, release)
    )
    if held is None:
        raise NothingPublished(
            f"{scope} has no release yet, so it has no configuration. Publish one first."
        )
    if matches(request.headers.get("If-None-Match"), held.checksum):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(
            formats.written(held, format), content_type=formats.MEDIA_TYPES[format]
        )
    response["ETag"] = f'"{held.checksum}"'
    response["Confhub-Release"] = str(held.number)
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Cookie"
    return response
