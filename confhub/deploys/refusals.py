"""A delivery's refusal, kept in its row, and answered again when the same delivery comes again."""

from typing import Any

from confhub.core.errors import ConfHubError
from confhub.deploys.models import Delivery

MAX_FIELDS = 20


def kept(error: ConfHubError) -> dict[str, Any]:
    """What is kept of a refusal beside its sentence."""
    fields = {name[:140]: text[:500] for name, text in [*error.fields.items()][:MAX_FIELDS]}
    return {"code": error.code, "fields": fields}


def again(row: Delivery) -> ConfHubError:
    """The refusal that was answered first, with its code and its sentence."""
    problem: dict[str, Any] = row.problem or {}
    kind = _kinds().get(str(problem.get("code")), ConfHubError)
    error = kind.__new__(kind)  # some take more than a sentence
    told = "It came before, so it was not tried again; retry it on the hook's page."
    ConfHubError.__init__(error, f"{row.detail} {told}", fields=problem.get("fields"))
    return error


def _kinds() -> dict[str, type[ConfHubError]]:
    found: dict[str, type[ConfHubError]] = {}
    left: list[type[ConfHubError]] = [ConfHubError]
    while left:
        kind = left.pop()
        found[kind.code] = kind
        left += kind.__subclasses__()
    return found
