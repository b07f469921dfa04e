"""The REST interface put together: its routes, its rights, its problems, its OpenAPI document."""

from functools import cached_property
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from confhub.api import problems, rehearsals
from confhub.api.auth import Bearer, Session
from confhub.api.bodies import StrictJSON
from confhub.api.document import complete
from confhub.api.routes import (
    audit,
    compare,
    config,
    deciding,
    deploy_hooks,
    drafts,
    edits,
    environments,
    everywhere,
    freezes,
    incoming,
    instance,
    instances,
    layers,
    people,
    promotions,
    publish_hooks,
    releases,
    requests,
    schema_keys,
    schemas,
    search,
    secrets,
    services,
    texts,
    tokens,
    transfer,
    trusts,
    watch,
    webhooks,
)

ABOUT = """\
Configuration that changes while it runs. Sign in with `Authorization: Bearer …`, or with the
browser's session and `X-CSRFToken`. Every error is a problem document (RFC 9457) with a permanent
`code` and a `request_id`.
"""


class ConfHubAPI(NinjaAPI):
    """ninja's, whose document is completed by confhub.api.document."""

    def get_openapi_operation_id(self, operation: Any) -> str:
        """The function's name: `publish`, `get_draft`; what generated clients call the method."""
        return str(operation.view_func.__name__)

    def get_openapi_schema(self, **_: Any) -> OpenAPISchema:
        return self._document

    @cached_property
    def _document(self) -> OpenAPISchema:
        document = super().get_openapi_schema(path_prefix="/api/v1/")
        complete(document)
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
    api.add_decorator(rehearsals.rehearsable, mode="view")
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
        deciding,
        everywhere,
        promotions,
        instance,
        schema_keys,
        watch,
        trusts,
        tokens,
        deploy_hooks,
        incoming,
        publish_hooks,
        webhooks,
    ):
        api.add_router("", module.router)
    return api


api = made()
