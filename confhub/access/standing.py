"""Who is still behind what a connection was opened with: read anew, for many connections at once.

A stream lives for an hour, and rights that are taken back end it within seconds. Hundreds of
streams are asked about together, in a few queries whatever their number.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from itertools import islice
from typing import Literal

from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import Q
from django.http import HttpRequest

from confhub.access.models import Grant, Token, TokenReach
from confhub.access.queries import actor_of_user
from confhub.core.actors import EVERYTHING, Actor, Granted, Reach

AT_ONCE = 400  # in one query; SQLite takes a thousand alternatives


@dataclass(frozen=True)
class Credential:
    """What somebody signed in with: a token's digest, or a session's key."""

    kind: Literal["token", "session"]
    key: str


def actors_behind(credentials: Collection[Credential], *, now: datetime) -> dict[Credential, Actor]:
    """The actor of each that still opens something; whoever is missing has ended, or is switched off.

    Four queries for all tokens together, and some for each session.
    """
    tokens = {each.key: each for each in credentials if each.kind == "token"}
    found = {tokens[digest]: actor for digest, actor in _of_tokens(list(tokens), now)}
    for each in credentials:
        if each.kind == "session" and (actor := actor_of_session(each.key)) is not None:
            found[each] = actor
    return {each: actor for each, actor in found.items() if actor.active}


def actor_of_session(key: str) -> Actor | None:
    """Who is behind a session; None where it has ended, as by a changed password."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key=key)
    user = get_user(request)
    return actor_of_user(user) if user.is_authenticated else None


def _of_tokens(digests: list[str], now: datetime) -> Iterable[tuple[str, Actor]]:
    """The same rows and rights as `queries.actor_of_token` reads one by one."""
    left = iter(digests)
    while some := set(islice(left, AT_ONCE)):
        rotated = Q(previous_digest__in=some, previous_until__gt=now)
        living = Q(expires_at=None) | Q(expires_at__gt=now)
        rows = Token.objects.select_related("user").filter(living, Q(digest__in=some) | rotated)
        held = list(rows)
        grants = grants_of({row.user_id for row in held if not row.user.is_superuser})
        reaches = reaches_of({row.pk for row in held if row.limited})
        for row in held:
            actor = Actor(
                name=f"token:{row.name}",
                user_id=row.user_id,
                active=row.user.is_active,
                grants=EVERYTHING if row.user.is_superuser else grants.get(row.user_id, ()),
                reach=reaches.get(row.pk, ()) if row.limited else None,
            )
            if row.digest in some:
                yield row.digest, actor
            if row.previous_digest in some and row.previous_until and row.previous_until > now:
                yield row.previous_digest, actor


def grants_of(user_ids: Collection[int]) -> dict[int, tuple[Granted, ...]]:
    """{user row id: what is granted}; one query, or none where nobody is asked about."""
    found: dict[int, tuple[Granted, ...]] = {}
    rows = (
        Grant.objects.filter(user_id__in=user_ids).order_by("id")
        if user_ids
        else Grant.objects.none()
    )
    for user_id, role, service, environment in rows.values_list(
        "user_id", "role", "service__slug", "environment__slug"
    ):
        granted = Granted(role, service, environment)  # type: ignore[arg-type]  # the column holds one of ROLES
        found[user_id] = (*found.get(user_id, ()), granted)
    return found


def reaches_of(token_ids: Collection[int]) -> dict[int | None, tuple[Reach, ...]]:
    """{token row id: where it reaches}; one query, or none."""
    found: dict[int | None, tuple[Reach, ...]] = {}
    rows = (
        TokenReach.objects.filter(token_id__in=token_ids).order_by("id")
        if token_ids
        else TokenReach.objects.none()
    )
    for token_id, verbs, service, environment in rows.values_list(
        "token_id", "verbs", "service__slug", "environment__slug"
    ):
        reach = Reach(frozenset(verbs), service, environment)
        found[token_id] = (*found.get(token_id, ()), reach)
    return found
