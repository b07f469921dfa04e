"""Make people and tokens."""

from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from confhub.access.models import Token
from confhub.access.queries import token_digest
from confhub.core.actors import SYSTEM
from confhub.events import actions as events


@transaction.atomic
def ensure_person(username: str, *, password: str | None, now: datetime) -> User:
    """The person `username`, made where missing; `password`, where given, becomes theirs."""
    people = get_user_model().objects
    person = people.filter(username=username).first()
    if person is None:
        made = people.create_superuser(username=username, email=None, password=password)
        events.audit("person.made", who=SYSTEM, target=username, now=now)
        return made
    if password and not person.check_password(password):
        person.set_password(password)
        person.save(update_fields=["password"])
        events.audit("person.password_set", who=SYSTEM, target=username, now=now)
    return person


@transaction.atomic
def set_token(name: str, *, token: str, user: User, now: datetime) -> Token:
    """Let `token` act as `user`; the token `name` had before ends. Only its hash is kept."""
    digest = token_digest(token)
    held = Token.objects.filter(name=name).first()
    if held is not None and held.digest == digest and held.user_id == user.pk:
        return held
    Token.objects.filter(name=name).delete()
    events.audit("token.set", who=SYSTEM, target=name, now=now)
    return Token.objects.create(name=name, digest=digest, user=user, created_at=now)
