"""The frame of every page below a service and an environment: its head, tabs and stream."""

from typing import Any

from django.urls import reverse

from confhub.access import queries as access
from confhub.access.policies import Verb, allowed
from confhub.core.actors import Actor
from confhub.releases import queries as releases
from confhub.releases.queries import DraftView
from dashboard import shell


def frame(
    who: Actor, verb: Verb, service: str, environment: str, *, tab: str
) -> tuple[Any, DraftView, dict[str, Any]]:
    """(scope, draft, context) of a page. Raises NotFound, NotAllowed.

    The position is read first: what happens while the page is drawn reaches it by a frame.
    """
    position = shell.live_from()
    scope = access.scope_for(who, verb, service, environment)
    draft = releases.draft_of(scope)
    context = {
        "scope": scope,
        "service": scope.service,
        "environment": scope.environment,
        "siblings": [each.environment for each in access.scopes_of(who, scope.service)],
        "draft": draft,
        "may": allowed(who, scope),
        "editor": addresses(scope),
        "rebase_url": reverse("rebase", args=[service, environment]),
        "tab": tab,
        "position": position,
        "streams": scope.stream,
    }
    return scope, draft, context


def addresses(scope: Any) -> dict[str, str]:
    """Where a scope's draft is read, changed and reviewed; parts/editor.html and its script."""
    names = (scope.service.slug, scope.environment.slug)
    return {
        "draft_url": f"/api/v1/services/{names[0]}/environments/{names[1]}/draft",
        "model_url": reverse("part-config", args=names),
        "key_url": reverse("key", args=names),
        "reveal_url": reverse("reveal", args=names),
        "review_url": reverse("review", args=names),
        "config_url": reverse("config", args=names),
        "stream": scope.stream,
    }
