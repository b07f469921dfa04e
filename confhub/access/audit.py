"""The door to the audit: its entries, as far as one may see what they are about.

Who is admin everywhere reads all of it. Others read what happened to places that they may see, and
to themselves; an action that names no place stays with the administrators.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from confhub.access.policies import may_at, require
from confhub.core.actors import Actor, Granted, Reach
from confhub.core.errors import ConfHubError
from confhub.events import chain
from confhub.events.models import AuditEntry

ABOUT_A_SERVICE = ("service.", "schema.")  # their target is the service's slug
ABOUT_AN_ENVIRONMENT = ("environment.",)
PERSONAL = ("person.", "grant.", "token.")  # their targets are people, whose names may hold "@"


class BadMoment(ConfHubError):
    """A text that is no date and no time."""

    code: ClassVar[str] = "moment.bad"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Wanted:
    """What to look for; what is empty does not narrow."""

    person: str = ""  # who did it: the whole name
    target: str = ""  # begins so: "checkout@prod"
    action: str = ""  # begins so: "release."
    since: datetime | None = None
    until: datetime | None = None


def moment_of(text: str | None, *, field: str) -> datetime | None:
    """`2026-11-24` or `2026-11-24T12:00Z` as aware time, UTC where it names no zone; None for "".

    Raises BadMoment, which names the field.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        sentence = "Write a time as 2026-11-24 or 2026-11-24T12:00Z."
        raise BadMoment(f"{field}: {text[:40]!r} is no time. {sentence}", fields={field: sentence}) from error  # fmt: skip


def reads_everything(who: Actor) -> bool:
    return may_at(who, "administer", None, None)


def entries_for(
    who: Actor, wanted: Wanted, *, before: int | None = None, limit: int = 100
) -> list[AuditEntry]:
    """The newest first, below position `before` where given. Chains what is new beforehand.

    Raises NotAllowed.
    """
    rows = _rows_for(who, wanted)
    if before is not None:
        rows = rows.filter(position__lt=before)
    return list(rows.order_by("-position")[:limit])


def every_entry_for(who: Actor, wanted: Wanted) -> Iterator[AuditEntry]:
    """All of them, the oldest first, for an export; a few hundred in memory at a time."""
    rows = _rows_for(who, wanted).order_by("position")
    return rows.iterator(chunk_size=chain.BATCH)


def _rows_for(who: Actor, wanted: Wanted) -> QuerySet[AuditEntry]:
    require(who, "see", "audit")
    if chain.some_wait():  # so that nothing depends on a worker
        chain.chain_new_entries()
    rows = AuditEntry.objects.filter(position__isnull=False)
    if not reads_everything(who):
        rows = rows.filter(_visible_to(who))
    if wanted.person:
        rows = rows.filter(actor=wanted.person)
    if wanted.target:
        rows = rows.filter(target__startswith=wanted.target)
    if wanted.action:
        rows = rows.filter(action__startswith=wanted.action)
    if wanted.since:
        rows = rows.filter(at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(at__lt=wanted.until)
    return rows


def _visible_to(who: Actor) -> Q:
    """Targets are written `checkout@prod r7`, `checkout` (service.…), `prod` (environment.…), and
    `service checkout`, `environment prod`, `set tls` or `global` for layers."""
    personal = _acts(PERSONAL)
    places = Q(pk__in=[])
    for granted in who.grants:
        places |= _places(granted)
    if who.reach is not None:  # such a token sees what it reaches, and nobody's own business
        reached = Q(pk__in=[])
        for reach in who.reach:
            reached |= _places(reach) if "see" in reach.verbs else Q(pk__in=[])
        return places & reached & ~personal
    own = personal & Q(target__in=_names_of(who))
    return (places & ~personal) | own


def _places(granted: Granted | Reach) -> Q:
    """What a grant, or a token's reach, lets one see; every role may see."""
    service, environment = granted.service, granted.environment
    about_service = _acts(ABOUT_A_SERVICE) & _is(service)
    about_environment = _acts(ABOUT_AN_ENVIRONMENT) & _is(environment)
    found = about_service | about_environment | _begins("set")
    if service and environment:
        return found | _begins(f"{service}@{environment}")
    if service:
        return found | Q(target__startswith=f"{service}@") | _begins(f"service {service}")
    if environment:
        at = f"@{environment}"
        in_it = Q(target__endswith=at) | Q(target__contains=f"{at} ")
        return found | in_it | _begins(f"environment {environment}")
    layers = _begins("global") | _begins("service") | _begins("environment")
    return found | Q(target__contains="@") | layers


def _acts(starts: Sequence[str]) -> Q:
    found = Q()
    for start in starts:
        found |= Q(action__startswith=start)
    return found


def _is(slug: str | None) -> Q:
    return Q(target=slug) if slug else Q()


def _begins(words: str) -> Q:
    """The target is `words`, alone or before more words."""
    return Q(target=words) | Q(target__startswith=f"{words} ")


def _names_of(who: Actor) -> list[str]:
    rows = get_user_model().objects.filter(pk=who.user_id) if who.user_id is not None else None
    return list(rows.values_list("username", flat=True)) if rows is not None else []
