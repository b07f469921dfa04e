"""Save a service's schema, once it is known that no environment's values would stop fitting."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from django.db import transaction

from confhub.access.policies import NotFound
from confhub.catalog import schema_versions
from confhub.catalog.actions import STREAM
from confhub.catalog.models import SchemaVersion, Scope, Service
from confhub.catalog.schemas import breaking, check_document, infer
from confhub.core import rehearsal
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.releases.entries import BadEntries, Entries
from confhub.releases.layering import Ground
from confhub.releases.queries import drafted_own
from watchers.wire.canonical import canonical

MAX_MESSAGE_CHARS = 2000
MAX_NAMED = 20  # problems of one environment that a sentence or an answer repeats


class SchemaIsStale(ConfHubError):
    """Somebody saved a version after the one that the caller saw."""

    code: ClassVar[str] = "schema.stale"
    status: ClassVar[int] = 409


class SchemaBreaks(ConfHubError):
    """Values that stand in an environment now would not fit; `breaks` says which and where."""

    code: ClassVar[str] = "schema.breaks"
    status: ClassVar[int] = 409

    def __init__(self, breaks: "list[Break]") -> None:
        super().__init__(
            _sentence(breaks),
            fields={
                f"{each.environment}.{key}": f"{sentence} (In the {each.what}.)"
                for each in breaks
                for key, sentence in each.shown.items()
            },
            extra={"breaks": [each.as_json() for each in breaks]},
        )
        self.breaks = breaks


@dataclass(frozen=True)
class Break:
    """What of one environment's newest release, or of its draft, a schema would refuse."""

    environment: str
    what: Literal["release", "draft"]
    problems: Mapping[str, str]  # {KEY: sentence}

    @property
    def shown(self) -> dict[str, str]:
        """The first of them; `hidden` says how many follow."""
        return dict(list(self.problems.items())[:MAX_NAMED])

    @property
    def hidden(self) -> int:
        return len(self.problems) - len(self.shown)

    def as_json(self) -> dict[str, Any]:
        return {"environment": self.environment, "in": self.what, "keys": dict(self.problems)}


@dataclass(frozen=True)
class Saved:
    """`created` is False where the document is the newest version's already."""

    version: SchemaVersion
    created: bool


@transaction.atomic
def save_schema(
    service: Service, document: dict[str, Any], *, message: str, expected_number: int | None,
    who: Actor, now: datetime,
) -> Saved:  # fmt: skip
    """Make `document` the service's schema, under the next number.

    `expected_number` is the version that the caller saw (0: there was none); None does not compare.
    Raises BadSchema, SchemaIsStale, SchemaBreaks, CannotValidate, BadEntries (the message); then
    nothing is saved.
    """
    _check_message(message)
    check_document(document)
    _lock(service)
    newest = schema_versions.schema_of(service)
    _check_newest(service, newest, expected_number)
    if newest is not None and canonical(newest.document) == canonical(document):
        return Saved(newest, created=False)
    if breaks := what_breaks(service, document):
        raise SchemaBreaks(breaks)
    version = schema_versions.append(service, document, message=message, author=who.name, now=now)
    rehearsal.note_fields(
        "schema", service.slug, _rules(newest.document) if newest else None, _rules(document)
    )
    events.audit(
        "schema.saved", who=who, target=service.slug, data={"number": version.number}, now=now
    )
    events.record("service.changed", stream=STREAM, data={"service": service.slug}, now=now)
    return Saved(version, created=True)


def _rules(document: dict[str, Any]) -> dict[str, Any]:
    """The document key by key, for a rehearsal to compare; what is about all of them as "*"."""
    rest = {name: held for name, held in document.items() if name != "properties"}
    return {"*": rest, **document.get("properties", {})}


def check_schema(service: Service, document: dict[str, Any]) -> list[Break]:
    """What saving `document` would refuse, without saving it. Raises BadSchema, CannotValidate."""
    check_document(document)
    return what_breaks(service, document)


def what_breaks(service: Service, document: dict[str, Any]) -> list[Break]:
    """What stands in the service's environments, published or drafted, that `document` refuses and
    the schema of now does not. Secrets are not looked into."""
    old = schema_versions.document_of(service)
    found: list[Break] = []
    for scope, published, drafted in _standing(service):
        slug = scope.environment.slug
        if published is not None:
            problems = breaking(old, document, {slug: published}).get(slug, {})
            if problems:
                found.append(Break(slug, "release", problems))
        if drafted is not None:
            problems = breaking(old, document, {slug: drafted}).get(slug, {})
            if published is None:  # one that is only begun may lack what is required
                problems = {key: each for key, each in problems.items() if key in drafted}
            if problems:
                found.append(Break(slug, "draft", problems))
    return found


def infer_schema(service: Service) -> dict[str, Any]:
    """A schema that all present values fit: of releases, and of drafts that change them."""
    standing = [
        (scope.environment.slug, entries)
        for scope, published, drafted in _standing(service)
        for entries in (published, drafted)
        if entries is not None
    ]
    return infer([entries for _, entries in standing], [name for name, _ in standing])


def _standing(service: Service) -> list[tuple[Scope, Entries | None, Entries | None]]:
    """(scope, resolved entries of its newest release, the same of its draft where that differs)."""
    scopes = Scope.objects.select_related("service", "environment").filter(service=service)
    ground = Ground.of(scopes.order_by("environment__order", "environment__slug"))
    found: list[tuple[Scope, Entries | None, Entries | None]] = []
    for scope in ground.scopes:
        head = ground.heads.get(scope.pk)
        own = drafted_own(scope, head)
        is_changed = own != (head.own_entries if head else {})
        drafted = ground.resolve(scope, own, ground.numbers(scope)).entries if is_changed else None
        found.append((scope, head.entries if head else None, drafted))
    return found


def _lock(service: Service) -> None:
    """The service, and its scopes: a release that is being cut meanwhile would be checked against
    the old schema, and the new one against the old release."""
    if not schema_versions.lock(service):
        raise NotFound(f"The service {service.slug} was removed meanwhile. Nothing was saved.")
    list(Scope.objects.select_for_update().filter(service=service).order_by("pk"))


def _check_newest(service: Service, newest: SchemaVersion | None, expected: int | None) -> None:
    number = newest.number if newest else 0
    if expected is not None and expected != number:
        there = f"at version {number}" if number else "not there any more"
        raise SchemaIsStale(
            f"The schema of {service.slug} is {there}, and you saw version {expected}. Nothing was "
            "saved. Look at what came in between and save it again.",
            fields={"expected_number": f"The newest version is {number}."},
            extra={"number": number, "expected": expected},
        )


def _check_message(message: str) -> None:
    if len(message) > MAX_MESSAGE_CHARS or "\x00" in message:
        sentence = f"Write at most {MAX_MESSAGE_CHARS:,} characters, without NUL."
        raise BadEntries(f"The reason cannot be kept. {sentence}", fields={"message": sentence})


def _sentence(breaks: list[Break]) -> str:
    first = breaks[0]
    problem = next(iter(first.problems.values()))
    more = sum(len(each.problems) for each in breaks) - 1
    rest = f" ({more} more in {', '.join(sorted({each.environment for each in breaks}))}.)"
    return (
        f"Values that stand there now would not fit this schema, so it was not saved. In the "
        f"{first.what} of {first.environment}: {problem}{rest if more else ''} Change the values "
        "first, or ask for less."
    )
