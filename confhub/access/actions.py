"""Make people and tokens, switch people off and on."""

from datetime import datetime
from typing import ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from confhub.access.grants import LastAdmin, check_admins_remain, lock_admins
from confhub.access.models import Token
from confhub.access.policies import require
from confhub.access.queries import token_digest
from confhub.core.actors import SYSTEM, Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events

MAX_PASSWORD_CHARS = 200  # hashing a megabyte would keep a worker busy
SHOW_ENDING_CHARS = 32  # of a shorter token its last four would give too much away


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
    ending = token[-4:] if len(token) >= SHOW_ENDING_CHARS else ""
    return Token.objects.create(
        name=name, digest=digest, user=user, created_at=now, made_by=SYSTEM.name, ending=ending
    )


class BadPerson(ConfHubError):
    """A name or a password that cannot be taken."""

    code: ClassVar[str] = "person.bad"
    status: ClassVar[int] = 422


class PersonTaken(ConfHubError):
    """Somebody of this name is there already."""

    code: ClassVar[str] = "person.taken"
    status: ClassVar[int] = 409


@transaction.atomic
def make_person(username: str, *, password: str | None = None, who: Actor, now: datetime) -> User:
    """A new person without any role. Without a password nobody can sign in as them yet.

    Raises NotAllowed, BadPerson, PersonTaken.
    """
    require(who, "administer", "people")
    people = get_user_model()
    person = people(username=username)
    _check_name(person)
    if password is not None:
        _check_password(person, password)
    if people.objects.filter(username__iexact=username).exists():
        raise _taken(username)
    person.set_password(password)
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError as error:  # two at the same moment
        raise _taken(username) from error
    events.audit("person.made", who=who, target=username, now=now)
    return person


@transaction.atomic
def change_person(
    person: User, *, active: bool | None = None, password: str | None = None, who: Actor,
    now: datetime,
) -> User:  # fmt: skip
    """Both of the next two at once, or none; None leaves it. Raises what they raise."""
    if password is not None:
        set_password(person, password, who=who, now=now)
    if active is not None:
        switch(person, active=active, who=who, now=now)
    return person


@transaction.atomic
def switch(person: User, *, active: bool, who: Actor, now: datetime) -> User:
    """Switch the account off or on again. Off, no session and no token of the person works, and
    open pages end; nothing that they made is lost. Raises NotAllowed, LastAdmin."""
    require(who, "administer", "people")
    lock_admins()
    rows = get_user_model().objects.filter(pk=person.pk)
    changed = rows.exclude(is_active=active).update(is_active=active)
    person.is_active = active
    if not changed:
        return person
    if not active:
        if person.pk == who.user_id:
            raise LastAdmin("Nobody switches off their own account. Ask another administrator.")
        check_admins_remain(person, who=who)
    word = "person.switched_on" if active else "person.switched_off"
    events.audit(word, who=who, target=person.get_username(), now=now)
    return person


@transaction.atomic
def set_password(person: User, password: str, *, who: Actor, now: datetime) -> User:
    """Give the person another password; their open sessions end. Raises NotAllowed, BadPerson."""
    require(who, "administer", "people")
    _check_password(person, password)
    person.set_password(password)
    person.save(update_fields=["password"])
    events.audit("person.password_set", who=who, target=person.get_username(), now=now)
    return person


def _check_name(person: User) -> None:
    try:
        person.clean_fields(exclude=["password"])
    except ValidationError as error:
        sentence = " ".join(error.message_dict.get("username", error.messages))
        raise BadPerson(
            f"{person.username[:80]!r} cannot be a name. {sentence}", fields={"name": sentence}
        ) from error
    if not person.username.strip("."):
        sentence = "Dots alone are no name, because addresses read them otherwise."
        raise BadPerson(f"{person.username!r}: {sentence}", fields={"name": sentence})
    if person.username.lower() == SYSTEM.name:
        sentence = f"{SYSTEM.name!r} is how ConfHub names itself. Choose another name."
        raise BadPerson(sentence, fields={"name": sentence})


def _check_password(person: User, password: str) -> None:
    try:
        if len(password) > MAX_PASSWORD_CHARS:
            raise ValidationError(f"Write at most {MAX_PASSWORD_CHARS} characters.")
        validate_password(password, person)
    except ValidationError as error:
        sentence = " ".join(error.messages)
        raise BadPerson(
            f"This password cannot be taken. {sentence}", fields={"password": sentence}
        ) from error


def _taken(username: str) -> PersonTaken:
    return PersonTaken(
        f"There is already a person {username!r} (capital letters do not count). Choose another "
        "name.",
        fields={"name": "This name is taken."},
    )
