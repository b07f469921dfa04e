"""What a token, or one that a trust gives, may reach: checked against what its person may do, and
kept as rows.

A reach is never wider than its person's grants were when it was written. Grants that are taken back
later count at once, because each request asks for both.
"""

from collections.abc import Sequence
from typing import ClassVar

from confhub.access.grants import place_text
from confhub.access.models import TokenReach
from confhub.access.people import place_for
from confhub.access.policies import LEAST_ROLE, VERBS, NotFound, may_at
from confhub.catalog.models import Environment, Service
from confhub.core.actors import Actor, Reach
from confhub.core.errors import ConfHubError

MOST_PLACES = 50


class BadReach(ConfHubError):
    """What a token shall reach is none of the verbs, or nothing at all."""

    code: ClassVar[str] = "reach.bad"
    status: ClassVar[int] = 422


class BeyondPerson(ConfHubError):
    """A token shall reach what its person may not do."""

    code: ClassVar[str] = "reach.beyond_person"
    status: ClassVar[int] = 422


def rows_for(reaches: Sequence[Reach], *, person: Actor, who: Actor) -> list[TokenReach]:
    """Rows that are not saved yet, one a place; `see` is added to each, because nothing is done to
    what cannot be seen.

    `person` is whom the token acts as, `who` asks for it and must see the places. Raises BadReach,
    BeyondPerson, NotFound; their fields are named `reach.0.verbs`, `reach.0.service` …
    """
    if not 1 <= len(reaches) <= MOST_PLACES:
        sentence = f"Write 1 to {MOST_PLACES} places with the verbs that are allowed there."
        raise BadReach(f"{len(reaches)} places. {sentence}", fields={"reach": sentence})
    return [_row(each, at, person=person, who=who) for at, each in enumerate(reaches)]


def _row(reach: Reach, at: int, *, person: Actor, who: Actor) -> TokenReach:
    _check_verbs(reach.verbs, at)
    service, environment = _place(reach, at, who)
    verbs = [verb for verb in VERBS if verb in reach.verbs or verb == "see"]
    for verb in verbs:
        if not may_at(person, verb, reach.service, reach.environment):
            place = place_text(reach.service, reach.environment)
            sentence = f"{person.name} may not {verb} {place}, so a token of theirs cannot either."
            raise BeyondPerson(
                f"{sentence} Leave the verb out, name a smaller place, or have them given the "
                f"role {LEAST_ROLE[verb]} {place} first.",
                fields={f"reach.{at}.verbs": sentence},
            )
    return TokenReach(verbs=verbs, service=service, environment=environment)


def _check_verbs(verbs: frozenset[str], at: int) -> None:
    name, known = f"reach.{at}.verbs", ", ".join(VERBS)
    unknown = sorted(verbs - set(VERBS))
    if unknown:
        sentence = f"{unknown[0][:40]!r} is not a verb. Write some of {known}."
        raise BadReach(sentence, fields={name: sentence})
    if not verbs:
        sentence = f"Name at least one verb: {known}."
        raise BadReach(
            f"A place without a verb reaches nothing. {sentence}", fields={name: sentence}
        )


def _place(reach: Reach, at: int, who: Actor) -> tuple[Service | None, Environment | None]:
    # An empty name is what a script sends whose variable is not set, and must not mean "every one".
    for name, slug in (("service", reach.service), ("environment", reach.environment)):
        if slug == "":
            sentence = "It is empty. Write a name, or leave it out for every one."
            raise BadReach(
                f"The {name} of place {at + 1} of the reach: {sentence}",
                fields={f"reach.{at}.{name}": sentence},
            )
    try:
        return place_for(who, reach.service, reach.environment)
    except NotFound as error:
        fields = {f"reach.{at}.{name}": sentence for name, sentence in error.fields.items()}
        raise NotFound(error.detail, fields=fields) from error


def chosen(reaches: Sequence[Reach] | None, *, unlimited: bool) -> Sequence[Reach] | None:
    """The places, or None for as far as the person. Raises BadReach where neither was said, or both:
    nothing is unlimited because somebody forgot a field."""
    if unlimited == (reaches is not None):
        sentence = (
            "Write the places that the token reaches, or say that it is unlimited; one of the two."
        )
        raise BadReach(sentence, fields={"reach": sentence})
    return reaches
