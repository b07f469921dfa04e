"""The frame of every page below a service and an environment: its head, tabs and stream."""

from typing import Any

from confhub.access import queries as access
from confhub.access.policies import Verb
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
        "siblings": [each.environment for each in access.scopes_of(scope.service)],
        "draft": draft,
        "tab": tab,
        "position": position,
        "streams": scope.stream,
    }
    return scope, draft, context
