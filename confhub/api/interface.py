"""The REST interface put together: its routes, its rights, its problems, its OpenAPI document."""

from functools import cached_property
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from confhub.api import problems
from confhub.api.auth import Bearer, Session
from confhub.api.bodies import StrictJSON
from confhub.api.routes import (
    audit,
    compare,
    config,
    drafts,
    edits,
    environments,
    freezes,
    instances,
    layers,
    people,
    releases,
    requests,
    schemas,
    search,
    secrets,
    services,
    texts,
    transfer,
)

ABOUT = """\
Configuration that changes while it runs. Sign in with `Authorization: Bearer …`, or with the
browser's session and `X-CSRFToken`. Every error is a problem document (RFC 9457) with a permanent
`code` and a `request_id`.
"""

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "A problem document (RFC 9457). Some codes add facts of their own.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened to what, and the way out."},
        "code": {"type": "string", "description": "Permanent; for programs."},
        "request_id": {"type": "string", "description": "The same as in the log."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "A sentence for each input that was refused.",
        },
    },
}
_PROBLEM = {
    "description": "Refused; nothing was changed.",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class ConfHubAPI(NinjaAPI):
    """ninja's, whose document also says what an error looks like."""

    def get_openapi_operation_id(self, operation: Any) -> str:
        """The function's name: `publish`, `get_draft`; what generated clients call the method."""
        return str(operation.view_func.__name__)

    def get_openapi_schema(self, **_: Any) -> OpenAPISchema:
        return self._document

    @cached_property
    def _document(self) -> OpenAPISchema:
        document = super().get_openapi_schema(path_prefix="/api/v1/")
        document["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"]["default"] = _PROBLEM
        return document


def made() -> ConfHubAPI:
    """The one interface, with every route on it."""
    api = ConfHubAPI(
        title="ConfHub",
        version="v1",
        description=ABOUT,
        urls_namespace="api",
        openapi_url=None,  # it and the page made of it are confhub.api.reference's
        docs_url=None,
        auth=[Bearer(), Session()],
        parser=StrictJSON(),
    )
    problems.install(api)
    for module in (
        services,
        environments,
        config,
        drafts,
        releases,
        instances,
        requests,
        secrets,
        transfer,
        layers,
        people,
        audit,
        schemas,
        freezes,
        texts,
        compare,
        search,
        edits,
    ):
        api.add_router("", module.router)
    return api


api = made()
