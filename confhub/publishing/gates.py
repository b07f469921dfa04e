"""What stands between a draft and its release, each gate a function that raises to refuse.

Called in order by confhub.publishing.actions with the scope's row locked and nothing written yet.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from confhub.catalog.models import SchemaVersion, Scope
from confhub.catalog.schema_versions import schema_of
from confhub.core.actors import Actor
from confhub.publishing import consulting, hooks, protection, safety
from confhub.publishing.asking import Verdict
from confhub.publishing.models import PublishHook
from confhub.releases.entries import BadEntries, Entries
from confhub.releases.layering import Resolved
from confhub.releases.models import Release


@dataclass(frozen=True)
class Consent:
    """What whoever publishes has agreed to, and says, beyond the publish itself."""

    confirmed: Collection[str] = ()  # codes of guards that were shown and confirmed
    request_id: int | None = None  # the approved request that is published
    emergency: bool = False  # past freezes and approvals, and flagged for ever
    image: Mapping[str, str] | None = None  # {"name", "digest"} that the release is made for
    # {(hook row id, content): what it said}; given by consulting.with_hooks, and by nobody else
    verdicts: Mapping[tuple[int, str], Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """What would become the scope's next release. Entries are sealed, never masked."""

    scope: Scope
    head: Release | None
    own: Entries
    resolved: Resolved
    message: str
    consent: Consent
    is_rollback: bool
    who: Actor
    now: datetime
    is_covered: bool = False  # by an approved request for the layer that it is cut for

    @property
    def before(self) -> Entries:
        return self.head.entries if self.head is not None else {}

    @cached_property
    def schema(self) -> SchemaVersion | None:
        """The service's newest schema, which the release is checked against."""
        return schema_of(self.scope.service)

    @cached_property
    def all_hooks(self) -> list[PublishHook]:
        """Who is asked before it is frozen, and who is told after it."""
        return hooks.matching(self.scope)

    @property
    def hooks(self) -> list[PublishHook]:
        """Who is asked before it is frozen, in their order."""
        return hooks.before(self.all_hooks)

    @cached_property
    def content(self) -> str:
        """The checksum of what would be published, and of where it starts."""
        return consulting.content_of(self)

    @cached_property
    def unfit(self) -> dict[str, str]:
        """{KEY: sentence} of what does not fit it. Raises CannotValidate."""
        return safety.schema_problems(self)


Gate = Callable[[Candidate], None]


def references(candidate: Candidate) -> None:
    """Every reference has a target. Raises BadEntries."""
    problems = candidate.resolved.problems
    if problems:
        first = next(iter(problems.values()))
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise BadEntries(f"{candidate.scope}: {first}{more}", fields=problems)


# The hooks last, so that nobody outside is asked about what is refused anyway.
GATES: list[Gate] = [
    references,
    safety.schema,
    *protection.GATES,
    safety.guard,
    consulting.agreed,
]


def pass_all(candidate: Candidate) -> None:
    for gate in GATES:
        gate(candidate)
