"""The tokens of the permission matrix, made through the real actions; matrix.TOKENS says what each is."""

from datetime import timedelta

from django.contrib.auth.models import User

from confhub.access import tokens
from confhub.access.models import Token
from confhub.access.policies import VERBS
from confhub.access.queries import actor_of_user
from confhub.core import clock
from confhub.core.actors import Reach
from tests.access.matrix import VERB_TOKENS


def made(admin: User) -> dict[str, str]:
    """{name: secret} of each of TOKENS. All tokens there are count as used a moment ago, so that no
    request of a test writes down that it used one."""
    secrets = {**_limited(admin), **_whole_and_ended(admin)}
    Token.objects.update(last_used_at=clock.now() + timedelta(days=1))
    return secrets


def _limited(admin: User) -> dict[str, str]:
    reaches = {name: Reach(frozenset({verb}), "billing") for name, verb in VERB_TOKENS.items()}
    reaches["shop"] = Reach(frozenset(VERBS), "shop")
    reaches["prod"] = Reach(frozenset(VERBS), None, "prod")
    reaches["nowhere"] = Reach(frozenset(VERBS))
    found = {name: _make(admin, name, reach).secret for name, reach in reaches.items()}
    Token.objects.get(name="nowhere").reaches.all().delete()
    return found


def _whole_and_ended(admin: User) -> dict[str, str]:
    who, now = actor_of_user(admin), clock.now()
    found = {name: _make(admin, name) for name in ("unlimited", "overlapping", "rotated", "expired", "revoked")}  # fmt: skip
    tokens.rotate_token(found["overlapping"].row, overlap=tokens.LONGEST_OVERLAP, who=who, now=now)
    tokens.rotate_token(found["rotated"].row, overlap=timedelta(0), who=who, now=now)
    Token.objects.filter(name="expired").update(expires_at=now - timedelta(seconds=1))
    tokens.revoke_token(found["revoked"].row, who=who, now=now)
    return {name: each.secret for name, each in found.items()}


def _make(admin: User, name: str, *reaches: Reach) -> tokens.Made:
    return tokens.make_token(
        name, owner=admin, reaches=reaches or None, lifetime=tokens.USUAL_LIFETIME,
        who=actor_of_user(admin), now=clock.now(),
    )  # fmt: skip
