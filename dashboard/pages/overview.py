"""What one line about a service in an environment says, for the list and the service's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confhub.fleet import queries as fleet
from confhub.publishing import queries as publishing
from confhub.releases import summaries
from dashboard import tiles

STREAM_KINDS = (
    "release.published publication.written publication.delayed draft.changed instance.changed "
    "instance.gone service.changed environment.changed"
)


@dataclass(frozen=True)
class Line:
    """A scope with its newest release, its draft's size and how far its instances are."""

    scope: Any
    release: Any | None
    publication: Any | None
    changes: int
    counts: list[dict[str, Any]]
    instances: int

    @property
    def confirmed(self) -> int:
        return sum(each["count"] for each in self.counts if each["state"] == "confirmed")

    @property
    def failed(self) -> int:
        return sum(each["count"] for each in self.counts if each["state"] == "failed")


def lines_of(scopes: Sequence[Any]) -> list[Line]:
    """One line for each of `scopes`."""
    converged = fleet.convergence_of(scopes)
    heads = summaries.heads_of(scopes)
    drafts = summaries.draft_sizes(scopes)
    published = publishing.publications_of(heads.values())
    found = []
    for scope in scopes:
        head = heads.get(scope.pk)
        counted = _counted(converged[scope.pk].counts)
        found.append(
            Line(
                scope=scope,
                release=head,
                publication=published.get(head.pk) if head else None,
                changes=drafts.get(scope.pk, 0),
                counts=counted,
                instances=sum(each["count"] for each in counted),
            )
        )
    return found


def _counted(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"state": state, "tone": tone, "icon": icon, "word": word, "count": counts[state]}
        for state, (tone, icon, word) in tiles.STATES.items()
        if counts.get(state)
    ]
