"""The resolved configuration, for programs that read it over HTTP."""

from typing import Annotated, Any, ClassVar

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Query, Router

from confhub.access import queries as access
from confhub.api import formats
from confhub.api.auth import who_asks
from confhub.api.bodies import matches
from confhub.api.problems import NothingPublished
from confhub.core import clock
from confhub.core.errors import ConfHubError
from confhub.releases import queries as releases
from confhub.releases.entries import answered
from confhub.releases.provenance import Set, provenance_of

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
            "application/yaml": {"schema": {}},
            "application/toml": {"schema": {"type": "string"}},
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
    provenance: Annotated[
        bool, Query(False, description="1: answer where each key comes from instead (JSON only).")
    ],
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
    if provenance:
        return _provenance(scope, held)
    if matches(request.headers.get("If-None-Match"), held.checksum):
        return unchanged(held.number, held.checksum)
    response = HttpResponse(formats.written(held, format), content_type=formats.MEDIA_TYPES[format])
    return _marked(response, held.number, held.checksum)


def unchanged(number: int, checksum: str) -> HttpResponse:
    """The answer to whoever has the release already. confhub.api.lanes.heads sends it, too."""
    return _marked(HttpResponse(status=304), number, checksum)


def _marked(response: HttpResponse, number: int, checksum: str) -> HttpResponse:
    response["ETag"] = f'"{checksum}"'
    response["Confhub-Release"] = str(number)
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization, Cookie"
    return response


def _provenance(scope: Any, release: Any) -> HttpResponse:
    """{KEY: {"layer", "kind", "slug", "release", "author", "at", "message", "value", "hides": […]}}"""
    found = {
        key: {**_set(each.set_by), "hides": [_set(hidden) for hidden in each.hides]}
        for key, each in sorted(provenance_of(scope, release).items())
    }
    response = JsonResponse(found, json_dumps_params={"ensure_ascii": False})
    response["Confhub-Release"] = str(release.number)
    response["Cache-Control"] = "private, no-cache"
    return response


def _set(held: Set) -> dict[str, Any]:
    return {
        "layer": held.layer,
        "kind": held.kind,
        "slug": held.slug,
        "release": held.release,
        "author": held.author,
        "at": clock.stamp(held.at),
        "message": held.message,
        "value": answered(held.entry),
    }
