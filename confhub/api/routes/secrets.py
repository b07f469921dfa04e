"""The value of a secret, for one person who may and says why."""

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from ninja import Router

from confhub.access import layers as layer_access
from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.routes.layers import KINDS, Kind
from confhub.api.schemas import RevealIn, RevealOut
from confhub.core import clock
from confhub.releases import revealing

if TYPE_CHECKING:
    from confhub.catalog.models import Layer, Scope
    from confhub.core.actors import Actor

router = Router(tags=["secrets"])


@router.post("/services/{service}/environments/{environment}/reveal", response=RevealOut)
def reveal(
    request: HttpRequest, service: str, environment: str, body: RevealIn, response: HttpResponse
) -> RevealOut:
    """A secret's value; the audit keeps who asked, for which key, and why."""
    who = who_asks(request)
    scope = access.scope_for(who, "reveal", service, environment)
    return _reveal(scope, body, who, response)


@router.post("/layers/global/reveal", response=RevealOut)
def reveal_global(request: HttpRequest, body: RevealIn, response: HttpResponse) -> RevealOut:
    """A secret's value in the global layer."""
    who = who_asks(request)
    return _reveal(layer_access.layer_for(who, "reveal", "global"), body, who, response)


@router.post("/layers/{kind}/{slug}/reveal", response=RevealOut)
def reveal_in_layer(
    request: HttpRequest, kind: Kind, slug: str, body: RevealIn, response: HttpResponse
) -> RevealOut:
    """A secret's value in a layer."""
    who = who_asks(request)
    layer = layer_access.layer_for(who, "reveal", KINDS[kind], slug)
    return _reveal(layer, body, who, response)


def _reveal(
    place: "Scope | Layer", body: RevealIn, who: "Actor", response: HttpResponse
) -> RevealOut:
    found = revealing.reveal(
        place, body.key, of="draft" if body.release is None else body.release,
        reason=body.reason, who=who, now=clock.now(),
    )  # fmt: skip
    response["Cache-Control"] = "no-store"
    return RevealOut(
        key=found.key, value=found.value, version=found.version, fingerprint=found.fingerprint
    )
