"""The doors: nothing is handed out without who asks and for what."""

import pytest

from confhub.access import actions, policies, queries
from confhub.access.models import Token
from confhub.access.policies import NotAllowed, NotFound
from confhub.events.models import AuditEntry
from tests.parts.factories import ANN, EVE, NOON, a_person, a_scope, a_token

pytestmark = pytest.mark.django_db


def test_somebody_switched_off_gets_nothing() -> None:
    scope = a_scope()

    for door in (
        lambda: queries.services_for(EVE),
        lambda: queries.environments_for(EVE),
        lambda: queries.service_for(EVE, "see", "billing"),
        lambda: queries.environment_for(EVE, "see", "prod"),
        lambda: queries.scope_for(EVE, "see", "billing", "prod"),
        lambda: queries.scope_by_id(EVE, "see", scope.pk),
        lambda: queries.all_scopes(EVE),
    ):
        with pytest.raises(NotAllowed, match="eve"):
            door()


def test_what_is_missing_is_named() -> None:
    a_scope()

    with pytest.raises(NotFound, match="'nope'") as service:
        queries.scope_for(ANN, "see", "nope", "prod")
    with pytest.raises(NotFound, match="'nope'") as environment:
        queries.scope_for(ANN, "see", "billing", "nope")
    with pytest.raises(NotFound):
        queries.scope_by_id(ANN, "see", 10**6)

    assert list(service.value.fields) == ["service"]
    assert list(environment.value.fields) == ["environment"]


def test_a_verb_that_does_not_exist_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="'look'"):
        policies.require(ANN, "look", "billing")  # type: ignore[arg-type]


def test_a_token_is_kept_as_a_hash_and_acts_as_its_person() -> None:
    token = a_token("s3cret-of-the-token")

    who = queries.actor_of_token(token, request_id="r-1")

    assert (who.name, who.active, who.request_id) == ("token:admin", True, "r-1")
    assert "s3cret" not in str(Token.objects.values())
    assert queries.actor_of_token("another") is None
    assert queries.actor_of_token("") is None


def test_a_token_set_anew_ends_the_one_before() -> None:
    old = a_token("the-old-one")
    new = a_token("the-new-one")
    a_token("the-new-one")

    assert queries.actor_of_token(old) is None
    assert queries.actor_of_token(new) is not None
    assert AuditEntry.objects.filter(action="token.set").count() == 2


def test_a_persons_password_changes_only_when_another_is_given() -> None:
    a_person(password="first password")
    person = actions.ensure_person("admin", password=None, now=NOON)
    assert person.check_password("first password")

    person = actions.ensure_person("admin", password="second password", now=NOON)

    assert person.check_password("second password")
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "person.made",
        "person.password_set",
    ]


def test_a_switched_off_persons_token_is_switched_off() -> None:
    token = a_token()
    person = a_person()
    person.is_active = False
    person.save(update_fields=["is_active"])

    assert queries.actor_of_token(token).active is False
