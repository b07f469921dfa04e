"""People and grants: every act is audited, every refusal writes nothing, an admin always remains."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from confhub.access import actions, grants, people, queries
from confhub.access.actions import BadPerson, PersonTaken
from confhub.access.audit import Wanted, entries_for
from confhub.access.grants import BadRole, LastAdmin
from confhub.access.models import Grant
from confhub.access.policies import NotAllowed, NotFound
from confhub.catalog.models import Scope
from confhub.core.actors import SYSTEM, Actor, Granted, Reach
from confhub.events import actions as events
from confhub.events.models import AuditEntry
from tests.parts.factories import ANN, NOON, a_person, a_scope, a_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def scope() -> Scope:
    a_scope("shop", "dev")
    return a_scope("billing", "prod")


@pytest.fixture
def admin() -> Actor:
    return queries.actor_of_user(a_person("root"))


@pytest.fixture
def mia(admin: Actor) -> User:
    return actions.make_person("mia", password="a pass of mia", who=admin, now=NOON)


def actor(person: User) -> Actor:
    return queries.actor_of_user(User.objects.get(pk=person.pk))


def all_rows() -> list[Any]:
    models = (User, Grant, AuditEntry)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


@contextmanager
def refused(error: type[Exception], match: str) -> Iterator[None]:
    before = all_rows()
    with pytest.raises(error, match=match):
        yield
    assert all_rows() == before


def audited() -> list[tuple[str, str, str, Any]]:
    rows = AuditEntry.objects.order_by("id")
    return list(rows.values_list("action", "actor", "target", "data"))


def test_a_new_person_may_nothing_until_something_is_granted(
    scope: Scope, admin: Actor, mia: User
) -> None:
    assert actor(mia).grants == ()
    assert queries.services_for(actor(mia)) == []
    assert queries.environments_for(actor(mia)) == []
    assert queries.all_scopes(actor(mia)) == []

    made, is_new = grants.grant(mia, "editor", service=scope.service, who=admin, now=NOON)
    again, is_new_again = grants.grant(mia, "editor", service=scope.service, who=admin, now=NOON)

    assert (made.pk, is_new, is_new_again) == (again.pk, True, False)
    assert actor(mia).grants == (Granted("editor", "billing", None),)
    assert [str(each) for each in queries.all_scopes(actor(mia))] == ["billing@dev", "billing@prod"]
    assert [each.slug for each in queries.services_for(actor(mia))] == ["billing"]
    assert audited()[-2:] == [
        ("person.made", "root", "mia", {}),
        (
            "grant.given", "root", "mia",
            {"role": "editor", "service": "billing", "environment": None},
        ),
    ]  # fmt: skip


def test_a_persons_token_has_their_grants_and_no_more(scope: Scope, admin: Actor) -> None:
    token = a_token(username="root")
    who = queries.actor_of_token(token)
    assert who is not None
    assert who.grants == (Granted("admin"),)

    mia = actions.make_person("mia", who=admin, now=NOON)
    grants.grant(mia, "viewer", environment=scope.environment, who=admin, now=NOON)
    actions.set_token("mia", token="a-token-of-mia", user=mia, now=NOON)

    held = queries.actor_of_token("a-token-of-mia")
    assert held is not None
    assert held.grants == (Granted("viewer", None, "prod"),)


def test_a_role_taken_back_is_gone_at_once(scope: Scope, admin: Actor, mia: User) -> None:
    made, _ = grants.grant(mia, "publisher", service=scope.service, who=admin, now=NOON)

    grants.revoke(made, who=admin, now=NOON)

    assert actor(mia).grants == ()
    assert audited()[-1][:3] == ("grant.revoked", "root", "mia")
    with refused(NotFound, "taken back already"):
        grants.revoke(made, who=admin, now=NOON)


def test_an_admin_of_a_place_gives_and_takes_roles_there_only(
    scope: Scope, admin: Actor, mia: User
) -> None:
    grants.grant(mia, "admin", service=scope.service, who=admin, now=NOON)
    ben = actions.make_person("ben", who=admin, now=NOON)
    wide, _ = grants.grant(ben, "viewer", who=admin, now=NOON)
    who = actor(mia)

    grants.grant(ben, "publisher", service=scope.service, environment=scope.environment, who=who, now=NOON)  # fmt: skip
    made, _ = grants.grant(ben, "admin", service=scope.service, who=who, now=NOON)
    grants.revoke(made, who=who, now=NOON)

    with refused(NotAllowed, "admin there"):
        grants.grant(ben, "viewer", who=who, now=NOON)
    with refused(NotAllowed, "every service in prod"):
        grants.grant(mia, "admin", environment=scope.environment, who=who, now=NOON)
    with refused(NotAllowed, "everywhere"):
        grants.revoke(wide, who=who, now=NOON)
    with refused(NotAllowed, "administer people"):
        actions.make_person("eve", who=who, now=NOON)
    with refused(NotAllowed, "administer people"):
        actions.switch(ben, active=False, who=who, now=NOON)
    with refused(NotAllowed, "administer people"):
        actions.set_password(ben, "a longer password", who=who, now=NOON)


def test_an_editor_gives_nothing(scope: Scope, admin: Actor, mia: User) -> None:
    grants.grant(mia, "publisher", who=admin, now=NOON)

    with refused(NotAllowed, "may not give or take roles for billing@prod"):
        grants.grant(
            mia, "admin", service=scope.service, environment=scope.environment,
            who=actor(mia), now=NOON,
        )  # fmt: skip


def test_a_role_that_does_not_exist_is_refused(admin: Actor, mia: User) -> None:
    with refused(BadRole, "'owner' is not a role. Write one of viewer, editor"):
        grants.grant(mia, "owner", who=admin, now=NOON)


def test_the_last_admin_of_everything_stays(scope: Scope, admin: Actor, mia: User) -> None:
    root = User.objects.get(username="root")
    grants.grant(mia, "admin", service=scope.service, who=admin, now=NOON)

    with refused(LastAdmin, "last active administrator"):
        grants.revoke_superuser(root, who=SYSTEM, now=NOON)
    with refused(LastAdmin, "last active administrator"):
        actions.switch(root, active=False, who=SYSTEM, now=NOON)

    made, _ = grants.grant(mia, "admin", who=admin, now=NOON)
    actions.switch(root, active=False, who=actor(mia), now=NOON)
    with refused(LastAdmin, "last active administrator"):
        grants.revoke(made, who=SYSTEM, now=NOON)


def test_nobody_locks_themselves_out(scope: Scope, admin: Actor, mia: User) -> None:
    everywhere, _ = grants.grant(mia, "admin", who=admin, now=NOON)
    here, _ = grants.grant(mia, "admin", service=scope.service, who=admin, now=NOON)
    who = actor(mia)

    grants.revoke(everywhere, who=who, now=NOON)  # one is left
    with refused(LastAdmin, "your own last right"):
        grants.revoke(here, who=actor(mia), now=NOON)
    with refused(LastAdmin, "own account"):
        actions.switch(User.objects.get(username="root"), active=False, who=admin, now=NOON)


def test_a_superuser_can_become_like_everybody(admin: Actor, mia: User) -> None:
    grants.grant(mia, "admin", who=admin, now=NOON)
    root = User.objects.get(username="root")

    with refused(LastAdmin, "your own last right"):
        grants.revoke_superuser(root, who=admin, now=NOON)
    grants.revoke_superuser(root, who=actor(mia), now=NOON)

    assert actor(root).grants == ()
    assert audited()[-1][3]["superuser"] is True
    with refused(NotFound, "no superuser|not a superuser"):
        grants.revoke_superuser(root, who=actor(mia), now=NOON)


def test_off_and_on_again(scope: Scope, admin: Actor, mia: User) -> None:
    grants.grant(mia, "editor", who=admin, now=NOON)

    actions.switch(mia, active=False, who=admin, now=NOON)
    actions.switch(mia, active=False, who=admin, now=NOON)  # nothing more happens
    assert actor(mia).active is False
    with pytest.raises(NotAllowed, match="switched off"):
        queries.scope_for(actor(mia), "see", "billing", "prod")

    actions.switch(mia, active=True, who=admin, now=NOON)
    assert queries.scope_for(actor(mia), "edit", "billing", "prod") == scope
    assert [each[0] for each in audited()[-2:]] == ["person.switched_off", "person.switched_on"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "blank"), ("a b", "valid username"), ("confhub", "names itself"),
        ("ConfHub", "names itself"), ("token:x", "valid username"), ("x" * 151, "150"),
        ("a\x00b", "valid username"), ("../x", "valid username"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_kept(admin: Actor, name: str, says: str) -> None:
    with refused(BadPerson, says):
        actions.make_person(name, password="a longer password", who=admin, now=NOON)


@pytest.mark.parametrize("password", ["", "short", "password", "x" * 201])
def test_a_password_that_cannot_be_taken(admin: Actor, mia: User, password: str) -> None:
    with refused(BadPerson, "password cannot be taken"):
        actions.make_person("ben", password=password, who=admin, now=NOON)
    with refused(BadPerson, "password cannot be taken"):
        actions.set_password(mia, password, who=admin, now=NOON)


def test_a_name_is_taken_in_capitals_too(admin: Actor, mia: User) -> None:
    for name in ("mia", "MIA"):
        with refused(PersonTaken, "already a person"):
            actions.make_person(name, who=admin, now=NOON)


def test_without_a_password_nobody_signs_in(admin: Actor) -> None:
    ben = actions.make_person("ben", who=admin, now=NOON)
    assert not ben.has_usable_password()

    actions.set_password(ben, "a longer password", who=admin, now=NOON)

    assert User.objects.get(username="ben").check_password("a longer password")
    assert "a longer password" not in str(list(AuditEntry.objects.values()))


def test_what_may_mia_do_here(scope: Scope, admin: Actor, mia: User) -> None:
    grants.grant(mia, "viewer", who=admin, now=NOON)
    grants.grant(mia, "publisher", service=scope.service, environment=scope.environment, who=admin, now=NOON)  # fmt: skip
    view = people.person_for(admin, "mia")

    here = people.rights_of(admin, view, "billing", "prod")
    there = people.rights_of(admin, view, "shop", "dev")
    everywhere = people.rights_of(admin, view, None, None)

    assert here["publish"] == people.Right(True, "publisher for billing@prod")
    assert here["see"] == people.Right(True, "viewer everywhere")
    assert here["approve"] == people.Right(False, "It needs approver for billing@prod.")
    assert there["edit"] == people.Right(False, "It needs editor for shop@dev.")
    assert everywhere["see"].allowed
    assert not everywhere["edit"].allowed
    assert people.rights_of(admin, people.person_for(admin, "root"), "shop", "dev")[
        "administer"
    ] == people.Right(True, "admin everywhere")
    actions.switch(mia, active=False, who=admin, now=NOON)
    off = people.rights_of(admin, people.person_for(admin, "mia"), "billing", "prod")
    assert {right.because for right in off.values()} == {"The account is switched off."}


def test_one_sees_oneself_and_admins_see_everybody_as_far_as_they_see_the_places(
    scope: Scope, admin: Actor, mia: User, django_assert_num_queries: Any
) -> None:
    grants.grant(mia, "viewer", service=scope.service, who=admin, now=NOON)
    ben = actions.make_person("ben", who=admin, now=NOON)
    grants.grant(ben, "admin", service=a_scope("shop", "dev").service, who=admin, now=NOON)
    who = actor(mia)

    assert people.person_for(who, "mia").grants[0].role == "viewer"
    for name in ("ben", "root", "nobody", "a\x00b"):
        with pytest.raises(NotFound, match=r"There is no person .*, or you may not see them"):
            people.person_for(who, name)
    with pytest.raises(NotAllowed, match="admin somewhere"):
        people.people_for(who)
    with pytest.raises(NotFound):
        people.rights_of(who, people.person_for(who, "mia"), "shop", "dev")

    shop_admin = actor(ben)
    seen = {each.name: each for each in people.people_for(shop_admin)}
    assert (seen["mia"].grants, seen["mia"].hidden) == ([], 1)
    assert seen["ben"].grants[0].may_revoke
    assert not seen["root"].grants[0].may_revoke
    with django_assert_num_queries(2):
        people.people_for(admin)


def test_a_refusal_names_admins(admin: Actor, mia: User) -> None:
    with pytest.raises(NotAllowed) as found:
        people.people_for(actor(mia))
    assert people.whom_to_ask(found.value).endswith("Administrators are: root.")

    for name in ("a1", "a2", "a3"):
        grants.grant(actions.make_person(name, who=admin, now=NOON), "admin", who=admin, now=NOON)
    assert people.whom_to_ask(found.value).endswith("Administrators are: a1, a2, a3 and others.")


WRITTEN = {
    "billing@prod r1": "release.published",
    "billing@dev": "draft.discarded",
    "shop@prod r7": "release.published",
    "shop@prod2 r7": "release.published",
    "billing2@prod": "draft.discarded",
    "billing": "service.changed",
    "shop": "service.made",
    "prod": "environment.changed",
    "dev": "environment.made",
    "global r1": "layer.published",
    "environment prod r1": "layer.published",
    "service billing": "draft.discarded",
    "set tls": "set.made",
    "etcd": "store.renewed",
    "mia": "grant.given",
    "bob@prod": "person.made",
    "bob": "token.set",
}
SEEN = {
    ("billing", "prod"): "billing@prod r1, billing, prod, set tls, mia",
    ("billing", None): "billing@prod r1, billing@dev, billing, prod, dev, service billing, set tls, mia",
    (None, "prod"): "billing@prod r1, shop@prod r7, billing2@prod, billing, shop, prod, environment prod r1, set tls, mia",
    (None, None): "billing@prod r1, billing@dev, shop@prod r7, shop@prod2 r7, billing2@prod, billing, shop, prod, dev, global r1, environment prod r1, service billing, set tls, mia",
}  # fmt: skip


@pytest.mark.parametrize("place", SEEN, ids=str)
def test_one_reads_the_audit_of_what_one_may_see(
    mia: User, place: tuple[str | None, str | None]
) -> None:
    for target, action in WRITTEN.items():
        events.audit(action, who=ANN, target=target, now=NOON)

    who = Actor(name="mia", user_id=mia.pk, active=True, grants=(Granted("editor", *place),))
    found = entries_for(who, Wanted(person="ann"))

    assert [each.target for each in reversed(found)] == SEEN[place].split(", ")
    assert len(entries_for(ANN, Wanted(person="ann"))) == len(WRITTEN)
    nobody = Actor(name="mia", user_id=mia.pk, active=True)
    assert [each.target for each in entries_for(nobody, Wanted(person="ann"))] == ["mia"]
    with pytest.raises(NotAllowed):
        entries_for(Actor(name="eve", user_id=9, active=False), Wanted())


@pytest.mark.parametrize("place", SEEN, ids=str)
def test_a_limited_token_reads_the_audit_of_what_it_reaches_and_of_no_person(
    mia: User, place: tuple[str | None, str | None]
) -> None:
    for target, action in WRITTEN.items():
        events.audit(action, who=ANN, target=target, now=NOON)
    reached = [target for target in SEEN[place].split(", ") if target != "mia"]

    def read(reach: tuple[Reach, ...], *grants: Granted) -> list[str]:
        who = Actor("token:ci", mia.pk, active=True, grants=grants, reach=reach)
        return [each.target for each in reversed(entries_for(who, Wanted(person="ann")))]

    see = frozenset({"see"})
    assert read((Reach(see, *place),), Granted("admin")) == reached
    assert read((Reach(see),), Granted("viewer", *place)) == reached
    assert read((Reach(see, *place),), Granted("viewer", "elsewhere", "nowhere")) == (
        ["set tls"] if "set tls" in reached else []
    )
    assert read((Reach(frozenset({"publish"}), *place),), Granted("admin")) == []
    assert read((), Granted("admin")) == []
    everything = Reach(frozenset({"see", "administer"}))
    assert len(read((everything,), Granted("admin"))) == len(WRITTEN)


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_take_the_right_from_each_other_one_stays() -> None:
    root = queries.actor_of_user(a_person("root"))
    held = {}
    for name in ("mia", "ben"):
        person = actions.make_person(name, who=root, now=NOON)
        held[name], _ = grants.grant(person, "admin", who=root, now=NOON)
    grants.revoke_superuser(User.objects.get(username="root"), who=SYSTEM, now=NOON)
    mia, ben = (actor(held[name].user) for name in ("mia", "ben"))

    def take(pair: tuple[Grant, Actor]) -> str:
        try:
            grants.revoke(pair[0], who=pair[1], now=NOON)
        except LastAdmin:
            return "refused"
        finally:
            connection.close()
        return "taken"

    with ThreadPoolExecutor(2) as both:
        found = sorted(both.map(take, [(held["ben"], mia), (held["mia"], ben)]))

    assert found == ["refused", "taken"]
    assert grants.admins_everywhere().count() == 1
    assert AuditEntry.objects.filter(action="grant.revoked").count() == 2  # root's, and one
