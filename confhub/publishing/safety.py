"""The gates that keep a service's values in its schema, and ask twice before a great change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from confhub.catalog.schema_versions import document_of
from confhub.catalog.schemas import CannotValidate, facts, validate
from confhub.core.errors import ConfHubError
from confhub.releases import guards
from confhub.releases.entries import Entries
from confhub.releases.guards import Guard, GuardTripped
from confhub.releases.layering import Ground
from confhub.releases.queries import drafted_own
from confhub.releases.secrets import opened

if TYPE_CHECKING:
    from confhub.catalog.models import Scope
    from confhub.publishing.gates import Candidate


class DoesNotFit(ConfHubError):
    """Values that the service's schema refuses; `fields` has a sentence for each key."""

    code: ClassVar[str] = "schema.refused"
    status: ClassVar[int] = 422


def schema(candidate: "Candidate") -> None:
    """Every value fits the schema. Raises DoesNotFit, CannotValidate.

    A rollback asks instead (`guard`): in an outage the older content may be the only one that
    works, also when the schema has moved on. Keys that are required it may not leave out either.
    """
    problems = candidate.unfit
    if candidate.is_rollback:
        after = candidate.resolved.entries
        problems = {key: each for key, each in problems.items() if key and key not in after}
    if problems:
        raise DoesNotFit(
            f"{candidate.scope} does not fit the schema of {candidate.scope.service.slug}. "
            f"{_first(problems)} Nothing was published.",
            fields={key or "entries": sentence for key, sentence in problems.items()},
        )


def guard(candidate: "Candidate") -> None:
    """Whoever publishes has confirmed what is asked twice. Raises GuardTripped."""
    confirmed = set(candidate.consent.confirmed)
    raised = guards_of(candidate)
    if open_ := [
        each for each in raised if not each.can_be_confirmed or each.code not in confirmed
    ]:
        raise GuardTripped(open_, what=str(candidate.scope))


def guards_of(candidate: "Candidate") -> list[Guard]:
    """Everything that is asked before this becomes a release, confirmed or not."""
    scope, after = candidate.scope, candidate.resolved.entries
    document = candidate.schema.document if candidate.schema is not None else None
    known = facts(document, scope.environment.slug)
    found = guards.check(candidate.before, after, known)
    if candidate.is_rollback:
        found += [
            Guard("schema", key or None, sentence) for key, sentence in candidate.unfit.items()
        ]
    return found


def schema_problems(candidate: "Candidate") -> dict[str, str]:
    """{KEY: sentence} of what does not fit the service's newest schema; {} without one.

    Raises CannotValidate; but of a rollback that is one more problem that can be confirmed.
    """
    if candidate.schema is None:
        return {}
    environment = candidate.scope.environment.slug
    try:
        return _unfit(candidate.schema.document, environment, candidate.resolved.entries)
    except CannotValidate as error:
        if not candidate.is_rollback:
            raise
        return {"": error.detail}


def _unfit(document: dict[str, Any], environment: str, entries: Entries) -> dict[str, str]:
    """{KEY: sentence}; secrets that the schema says something of are opened for it. Raises
    CannotValidate."""
    known = document.get("properties", {})
    hidden = {key: entry for key, entry in entries.items() if entry.get("secret") and key in known}
    return validate(document, environment, entries, opened=opened(hidden))


@dataclass(frozen=True)
class Foreseen:
    """What a publish of a draft would be refused for, and what it would be asked about."""

    problems: dict[str, str]  # {KEY: sentence}; "" stands for the keys together
    guards: list[Guard]


def foreseen(scope: "Scope") -> Foreseen:
    """The same gates for the draft as it is now, without publishing it."""
    ground = Ground.of([scope])
    head = ground.heads.get(scope.pk)
    resolved = ground.resolve(scope, drafted_own(scope, head), ground.numbers(scope))
    document, environment = document_of(scope.service), scope.environment.slug
    problems = dict(resolved.problems)
    try:
        if document is not None:
            problems = {**_unfit(document, environment, resolved.entries), **problems}
    except CannotValidate as error:
        problems[""] = error.detail
    before = head.entries if head is not None else {}
    asked = guards.check(before, resolved.entries, facts(document, environment))
    return Foreseen(problems, [each for each in asked if each.key not in problems])


def _first(problems: Mapping[str, str]) -> str:
    more = f" ({len(problems) - 1} more.)" if len(problems) > 1 else ""
    return f"{next(iter(problems.values()))}{more}"
