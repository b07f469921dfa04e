"""The newest releases of scopes for whoever holds tokens, many at once in two to four queries: for
`config` with If-None-Match, which every program asks every few seconds.

It says yes only where everything is plainly in order; for anything else, a refusal as well, the caller
takes the ordinary way, which finds out why. Nothing is kept from one question to the next, so a token
that was revoked a moment ago opens nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import connection

from confhub.access import last_use
from confhub.access.models import Token
from confhub.access.policies import may_at
from confhub.access.standing import grants_of, reaches_of
from confhub.catalog.models import Environment, Scope, Service
from confhub.core.actors import EVERYTHING, Actor
from confhub.releases.models import Release


class Question(NamedTuple):
    """Who asks for which scope: a token's digest, and two slugs."""

    digest: str
    service: str
    environment: str


@dataclass(frozen=True, slots=True)
class Head:
    """What the answer's headers say of the newest release."""

    number: int
    checksum: str


def heads_for(questions: Collection[Question], *, now: datetime) -> dict[Question, Head]:
    """The heads of those whose token may see the scope and was noted as used within the last minute."""
    actors = _actors({each.digest for each in questions}, now)
    if not actors:
        return {}
    heads = _heads({(each.service, each.environment) for each in questions})
    found = {}
    for each in questions:
        who, head = actors.get(each.digest), heads.get((each.service, each.environment))
        if who and head and may_at(who, "see", each.service, each.environment):
            found[each] = head
    return found


def _actors(digests: Collection[str], now: datetime) -> dict[str, Actor]:
    """{digest: who it signs in}, without those whose last use has to be written down."""
    asked, moment = list(digests), connection.ops.adapt_datetimefield_value(now)
    noted = connection.ops.adapt_datetimefield_value(now - last_use.EVERY)
    some = _places(asked)
    # By hand, because the ORM takes longer to write it than the database to answer it.
    rows = _rows(
        f"""
        SELECT t.digest, CASE WHEN t.previous_until > %s THEN t.previous_digest END,
               t.id, t.user_id, t.limited, u.is_superuser
        FROM {_table(Token)} t JOIN {_table(get_user_model())} u ON u.id = t.user_id
        WHERE (t.digest IN ({some}) OR (t.previous_digest IN ({some}) AND t.previous_until > %s))
          AND (t.expires_at IS NULL OR t.expires_at > %s) AND t.last_used_at > %s AND u.is_active
        """,  # noqa: S608  # names of our own tables; every value is a parameter
        [moment, *asked, *asked, moment, moment, noted],
    )
    grants = grants_of({user_id for _, _, _, user_id, _, is_admin in rows if not is_admin})
    reaches = reaches_of({token_id for _, _, token_id, _, is_limited, _ in rows if is_limited})
    found = {}
    for digest, previous, token_id, user_id, is_limited, is_admin in rows:
        who = Actor(
            name="", user_id=user_id, active=True,
            grants=EVERYTHING if is_admin else grants.get(user_id, ()),
            reach=reaches.get(token_id, ()) if is_limited else None,
        )  # fmt: skip
        found.update({each: who for each in (digest, previous) if each in digests})
    return found


def _heads(scopes: Collection[tuple[str, str]]) -> dict[tuple[str, str], Head]:
    """{(service, environment): its newest release}, without scopes that have none."""
    services, environments = {each for each, _ in scopes}, {each for _, each in scopes}
    rows = _rows(
        f"""
        SELECT s.slug, e.slug, r.number, r.checksum
        FROM {_table(Scope)} c
        JOIN {_table(Service)} s ON s.id = c.service_id
        JOIN {_table(Environment)} e ON e.id = c.environment_id
        JOIN {_table(Release)} r ON r.scope_id = c.id AND r.number = c.head
        WHERE s.slug IN ({_places(services)}) AND e.slug IN ({_places(environments)})
        """,  # noqa: S608  # as above
        [*services, *environments],
    )
    return {(service, place): Head(number, checksum) for service, place, number, checksum in rows}


def _rows(question: str, given: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(question, given)
        return list(cursor.fetchall())


def _places(held: Collection[str]) -> str:
    return ", ".join(["%s"] * len(held))


def _table(model: Any) -> str:
    return connection.ops.quote_name(model._meta.db_table)
