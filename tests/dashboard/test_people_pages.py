"""People, roles and the audit on pages, without scripts; and pages drawn for who may less."""

import csv
import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from confhub.access import actions, grants, queries
from confhub.access.models import Grant
from confhub.catalog.models import Scope
from confhub.events.models import AuditEntry
from tests.parts import factories
from tests.parts.factories import NOON

LIMIT = 20  # queries


@pytest.fixture
def mia(admin: Client, scope: Scope) -> User:
    """mia, with a password and no role."""
    who = queries.actor_of_user(User.objects.get(username="admin"))
    return actions.make_person("mia", password="a pass of mia", who=who, now=NOON)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(User.objects.get(pk=person.pk))
    return client


def give(person: User, role: str, scope: Scope | None = None) -> Grant:
    place = {"service": scope.service, "environment": scope.environment} if scope else {}
    return grants.grant(person, role, who=factories.ANN, now=NOON, **place)[0]


def said(answer: Any) -> str:
    """The text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def rows() -> list[Any]:
    models = (User, Grant, AuditEntry)
    return [
        list(model._default_manager.order_by("pk").values()) for model in models
    ]  # last_login is not asked for here


def test_a_person_is_made_given_roles_and_asked_about(admin: Client, scope: Scope) -> None:
    made = admin.post("/people/", {"name": "mia", "password": "a longer password"})
    assert made["Location"] == "/people/mia/"
    given = admin.post(
        "/people/mia/give/",
        {"grant-role": "publisher", "grant-service": "billing", "grant-environment": "dev"},
    )
    assert given["Location"] == "/people/mia/"

    page = said(admin.get("/people/mia/?service=billing&environment=dev"))

    assert "mia is publisher for billing@dev." in page
    assert "Publish and roll back yes publisher for billing@dev" in page
    assert "Administer no It needs admin for billing@dev." in page
    assert "publisher for billing@dev" in said(admin.get("/people/"))
    assert Grant.objects.get().made_by == "admin"


def test_a_role_is_taken_back_and_an_account_switched_off_and_on(
    admin: Client, mia: User, scope: Scope
) -> None:
    held = give(mia, "viewer", scope)

    assert admin.post(f"/people/mia/take/{held.pk}/").status_code == 302
    assert not Grant.objects.exists()
    assert admin.post("/people/mia/switch/", {"active": "no"}).status_code == 302
    assert "switched off" in said(admin.get("/people/mia/"))
    assert not User.objects.get(username="mia").is_active
    admin.post("/people/mia/switch/", {"active": "yes"})
    assert User.objects.get(username="mia").is_active


def test_a_new_password_ends_the_others_sessions_and_not_ones_own(admin: Client, mia: User) -> None:
    theirs = signed_in(mia)
    assert theirs.get("/services/").status_code == 200

    admin.post("/people/mia/password/", {"password": "another password"})
    admin.post("/people/admin/password/", {"password": "yet another password"})

    assert theirs.get("/services/").status_code == 302
    assert admin.get("/services/").status_code == 200


@pytest.mark.parametrize(
    ("address", "sent", "says"),
    [
        ("/people/", {"name": "a b"}, "valid username"),
        ("/people/", {"name": ""}, "required"),
        ("/people/", {"name": "MIA"}, "taken"),
        ("/people/", {"name": "ben", "password": "short"}, "too short"),
        ("/people/mia/password/", {"password": "short"}, "too short"),
        ("/people/mia/give/", {"grant-role": "owner"}, "Select a valid choice"),
        ("/people/mia/give/", {"grant-role": "viewer", "grant-service": "nope"}, "valid choice"),
    ],
)
def test_bad_input_is_named_at_its_field_and_changes_nothing(
    admin: Client, mia: User, address: str, sent: dict[str, str], says: str
) -> None:
    before = rows()

    answer = admin.post(address, sent)

    assert answer.status_code == 422
    assert says in said(answer)
    assert rows() == before


@pytest.mark.parametrize(
    ("address", "sent", "says"),
    [
        ("/people/admin/take/0/", {}, "last active administrator"),
        ("/people/admin/switch/", {"active": "no"}, "their own account"),
        ("/people/mia/switch/", {"active": "maybe"}, "incomplete"),
    ],
)
def test_what_is_refused_is_said_on_the_persons_page(
    admin: Client, mia: User, address: str, sent: dict[str, str], says: str
) -> None:
    before = rows()

    answer = admin.post(address, sent, follow=True)

    assert answer.status_code == 200
    assert says in said(answer)
    assert rows() == before


def test_lists_take_the_same_queries_however_long(
    admin: Client, mia: User, scope: Scope, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        person = actions.make_person(f"p{number}", who=factories.ANN, now=NOON)
        give(person, "viewer", scope)
        give(person, "editor")
    for address in ("/people/", "/people/p1/?service=billing", "/audit/"):
        with django_assert_max_num_queries(LIMIT):
            assert admin.get(address).status_code == 200


def test_who_sees_one_service_sees_no_other_anywhere(mia: User, scope: Scope) -> None:
    factories.a_release(factories.a_scope("secretive", "hidden"), {"A": 1})
    give(mia, "viewer", scope)
    client = signed_in(mia)

    for address in (
        "/services/", "/parts/services/", "/environments/", "/services/billing/",
        "/services/billing/dev/", "/people/mia/", "/audit/", "/audit/audit.csv",
    ):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert b"secretive" not in answer.content, address
        assert b"hidden/" not in answer.content, address
    assert client.get("/services/secretive/").status_code == 404
    same = [
        re.sub("secretive|nothing", "X", said(client.get(f"/services/{name}/")))
        for name in ("secretive", "nothing")
    ]
    assert same[0] == same[1]


def test_buttons_that_would_be_refused_are_not_offered(mia: User, scope: Scope) -> None:
    factories.releases.change_draft(
        scope, set={"POOL": 30}, expected=None, who=factories.ANN, now=NOON
    )
    give(mia, "viewer", scope)
    client = signed_in(mia)

    review = client.get("/services/billing/dev/review/").content.decode()
    assert re.search(r"<button[^>]* disabled[^>]*>Publish r3", review)
    assert "That needs the role publisher for billing@dev" in review
    assert "Discard the draft" not in review
    key = client.get("/services/billing/dev/config/key/?key=POOL").content.decode()
    assert 'value="save"' not in key
    assert "That needs the role editor" in key
    config = client.get("/services/billing/dev/config/").content.decode()
    assert "data-read-only" in config
    assert "Add key" not in config
    assert "Roll back" not in said(client.get("/services/billing/dev/releases/"))
    assert "Create service" not in said(client.get("/services/"))
    assert "Create environment" not in said(client.get("/environments/"))

    give(mia, "publisher", scope)
    review = client.get("/services/billing/dev/review/").content.decode()
    assert re.search(r"<button[^>]* data-confirmed>Publish r3", review)
    assert "data-read-only" not in client.get("/services/billing/dev/config/").content.decode()
    assert "Roll back" in said(client.get("/services/billing/dev/releases/"))


def test_the_navigation_shows_people_to_who_gives_roles(
    admin: Client, mia: User, scope: Scope
) -> None:
    client = signed_in(mia)
    assert 'href="/people/"' in admin.get("/services/").content.decode()
    page = client.get("/services/").content.decode()
    assert 'href="/people/"' not in page
    assert 'href="/people/mia/"' in page
    assert "until then you see nothing" in said(client.get("/people/mia/"))

    give(mia, "admin", scope)
    assert 'href="/people/"' in client.get("/services/").content.decode()
    assert "Make person" not in said(client.get("/people/"))


def test_a_refusal_names_the_role_and_the_administrators(mia: User, scope: Scope) -> None:
    give(mia, "viewer", scope)

    answer = signed_in(mia).post("/services/billing/dev/review/", {"message": "m"})

    assert answer.status_code == 403
    text = said(answer)
    assert "mia may not publish billing@dev: that needs the role publisher" in text
    assert "Administrators are: admin." in text


def test_the_audit_is_narrowed_paged_and_exported(admin: Client, mia: User) -> None:
    for number in range(120):
        actions.make_person(f"p{number}", who=factories.ANN, now=NOON)

    first = admin.get("/audit/?action=person.made").content.decode()
    [older] = re.findall(r'href="(/audit/\?[^"]*before=[^"]*)"', first)
    second = admin.get(older.replace("&amp;", "&"))
    assert first.count("person.made</code>") == 100
    assert 0 < second.content.decode().count("person.made</code>") < 100
    assert "fit." in said(second)
    assert "No entry fits" in said(admin.get("/audit/?person=nobody"))
    refused = admin.get("/audit/?since=tomorrow")
    assert (refused.status_code, "is no time" in said(refused)) == (422, True)

    table = admin.get("/audit/audit.csv?target=p11&action=person.")
    lines = admin.get("/audit/audit.jsonl?target=p11&action=person.")
    assert table["Content-Disposition"] == 'attachment; filename="audit.csv"'
    targets = [row["target"] for row in csv.DictReader(io.StringIO(table.content.decode()))]
    assert targets == [f"p11{n}" for n in reversed(range(10))] + ["p11"]
    held = [json.loads(line)["target"] for line in lines.content.decode().splitlines()]
    assert held == targets
    assert admin.get("/audit/audit.csv?since=x").status_code == 422


def test_what_people_are_called_is_text_and_never_markup(admin: Client, scope: Scope) -> None:
    AuditEntry.objects.create(
        at=NOON, actor="<script>x</script>", action="a", target="<b>", data={"<i>": "<u>"}
    )

    page = admin.get("/audit/").content.decode()

    assert "<script>x" not in page
    assert "&lt;b&gt;" in page
    assert "<u>" not in page
