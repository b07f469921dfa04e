"""The page of tokens, without scripts: made and shown once, rotated, revoked, and said in words."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from confhub.access import actions, grants, queries, tokens
from confhub.access.models import Token
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Reach
from confhub.events.models import AuditEntry
from tests.parts.factories import ANN

ASKED = {
    "name": "deploy", "owner": "admin", "extent": "limited", "days": "90", "lines": "1",
    "reach.0.service": "billing", "reach.0.environment": "dev", "reach.0.verbs": ["publish"],
    "act": "make",
}  # fmt: skip


def said(answer: Any) -> str:
    """The text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def secret_in(answer: Any) -> str:
    found = set(re.findall(r"cht_[A-Za-z0-9_-]{43}", answer.content.decode()))
    assert len(found) == 1
    return found.pop()


def rows() -> list[Any]:
    return [list(model._default_manager.order_by("pk").values()) for model in (Token, AuditEntry)]


def held(name: str = "deploy", **more: Any) -> Token:
    person = User.objects.get(username="admin")
    asked = {
        "owner": person,
        "reaches": [Reach(frozenset({"see"}))],
        "lifetime": timedelta(days=90),
    }
    who = queries.actor_of_user(person)
    return tokens.make_token(name, **{**asked, **more}, who=who, now=clock.now()).row


@pytest.fixture
def mia(admin: Client, scope: Scope) -> Client:
    """A browser of mia, who is viewer of billing in dev."""
    person = actions.make_person("mia", who=ANN, now=clock.now())
    grants.grant(
        person, "viewer", service=scope.service, environment=scope.environment, who=ANN,
        now=clock.now(),
    )  # fmt: skip
    client = Client()
    client.force_login(person)
    return client


def test_a_token_is_made_shown_once_and_works(admin: Client, scope: Scope) -> None:
    answer = admin.post("/tokens/", ASKED)

    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    secret = secret_in(answer)
    assert f"export CONFHUB_TOKEN={secret}" in said(answer)
    assert "export CONFHUB_URL=http://testserver" in said(answer)
    curl = 'curl -H "Authorization: Bearer {}" http://testserver/api/v1/me'
    assert curl.format(secret) in said(answer).replace("&quot;", '"')
    me = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json()
    assert me["reach"] == [
        {"verbs": ["see", "publish"], "service": "billing", "environment": "dev"}
    ]
    for path in ("/tokens/", "/tokens/?all=1", "/audit/", "/people/admin/"):
        page = admin.get(path)
        assert page.status_code == 200
        assert secret not in page.content.decode()
    assert secret not in str(rows())


def test_the_same_form_sent_again_makes_nothing(admin: Client, scope: Scope) -> None:
    admin.post("/tokens/", ASKED)
    before = rows()

    answer = admin.post("/tokens/", ASKED)

    assert answer.status_code == 422
    assert "This name is taken." in said(answer)
    assert rows() == before


def test_several_places_are_added_without_scripts_and_what_was_typed_stays(
    admin: Client, scope: Scope
) -> None:
    more = admin.post("/tokens/", {**ASKED, "act": "more"})
    assert more.status_code == 200
    page = more.content.decode()
    assert 'value="deploy"' in page
    assert '<option value="billing" selected>' in page
    assert re.search(r'value="publish"[^>]* checked', page)
    assert "Place 2" in page
    assert not Token.objects.filter(name="deploy").exists()

    made = admin.post(
        "/tokens/",
        {
            **ASKED,
            "lines": "3",
            "reach.2.service": "*",
            "reach.2.environment": "dev",
            "days": "never",
        },
    )

    assert made.status_code == 200
    row = Token.objects.get(name="deploy")
    assert (row.limited, row.expires_at) == (True, None)
    places = [(each.verbs, each.service_id is None) for each in row.reaches.order_by("pk")]
    assert places == [(["see", "publish"], False), (["see"], True)]


def test_unlimited_is_chosen_in_words(admin: Client, scope: Scope) -> None:
    asked = {name: value for name, value in ASKED.items() if not name.startswith("reach.")}

    answer = admin.post("/tokens/", {**asked, "extent": "unlimited"})

    assert "unlimited : all that admin may" in said(answer)
    assert Token.objects.get(name="deploy").limited is False


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "A B"}, "small letters"),
        ({"name": "a\x00b"}, "Null characters are not allowed."),
        ({"name": "x" * 64}, "at most 63"),
        ({"owner": "nobody"}, "No such person."),
        ({"owner": "a\x00b"}, "Null characters are not allowed."),
        ({"extent": "all"}, "Select a valid choice"),
        ({"days": "9999"}, "Select a valid choice"),
        ({"reach.0.service": ""}, "Choose one, or “every service”."),
        ({"reach.0.environment": ""}, "Choose one, or “every environment”."),
        ({"reach.0.service": "nope"}, "Select a valid choice"),
        ({"reach.0.verbs": ["look"]}, "Select a valid choice"),
        ({"lines": "2", "reach.1.verbs": ["edit"]}, "Choose one, or “every service”."),
    ],
    ids=str,
)
def test_bad_input_is_named_at_its_field_and_changes_nothing(
    admin: Client, scope: Scope, sent: dict[str, Any], says: str
) -> None:
    before = rows()

    answer = admin.post("/tokens/", {**ASKED, **sent})

    assert answer.status_code == 422
    assert says in said(answer)
    assert rows() == before
    assert "cht_" not in answer.content.decode()


@pytest.mark.parametrize("lines", ["x", "-1", "0", "999999999", "٣"])
def test_a_number_of_places_that_is_none(admin: Client, scope: Scope, lines: str) -> None:
    answer = admin.post("/tokens/", {**ASKED, "lines": lines, "act": "more"})

    assert answer.status_code == 200
    assert answer.content.decode().count("Place ") <= 50


def test_somebody_makes_what_they_may_and_for_themselves_only(mia: Client, scope: Scope) -> None:
    page = mia.get("/tokens/")
    assert "You have no token." in said(page)
    assert "It acts as" not in said(page)
    before = rows()
    answer = mia.post("/tokens/", ASKED)
    assert answer.status_code == 422
    assert "mia may not publish for billing@dev" in said(answer)
    assert rows() == before

    made = mia.post("/tokens/", {**ASKED, "reach.0.verbs": [], "owner": "admin"})

    assert made.status_code == 200
    assert Token.objects.get(name="deploy").user.username == "mia"
    assert mia.get("/tokens/?owner=admin").status_code == 404
    assert mia.get("/tokens/?all=1").status_code == 403


def test_rotated_on_the_page(admin: Client, scope: Scope) -> None:
    first = secret_in(admin.post("/tokens/", ASKED))
    ending = Token.objects.get(name="deploy").ending
    form = {"overlap": "3600", "days": "as-it-is", "ending": ending}

    second = secret_in(admin.post("/tokens/deploy/rotate/", form))

    assert [queries.actor_of_token(each) is not None for each in (first, second)] == [True, True]
    assert "its secret before works until" in said(admin.get("/tokens/"))
    before = rows()
    again = admin.post("/tokens/deploy/rotate/", form, follow=True)  # the browser's "send again"
    assert "was rotated meanwhile" in said(again)
    form["ending"] = Token.objects.get(name="deploy").ending
    assert "was rotated already" in said(admin.post("/tokens/deploy/rotate/", form, follow=True))
    assert "The page was incomplete" in said(admin.post("/tokens/deploy/rotate/", {}, follow=True))
    assert rows() == before

    third = secret_in(
        admin.post("/tokens/deploy/rotate/", {**form, "end_previous": "on", "days": "never"})
    )

    living = [queries.actor_of_token(each) is not None for each in (first, second, third)]
    assert living == [False, True, True]
    assert Token.objects.get(name="deploy").expires_at is None


def test_revoked_on_the_page(admin: Client, scope: Scope) -> None:
    secret = secret_in(admin.post("/tokens/", ASKED))

    answer = admin.post("/tokens/deploy/revoke/", follow=True)

    assert "deploy is revoked." in said(answer)
    assert queries.actor_of_token(secret) is None
    assert admin.post("/tokens/deploy/revoke/").status_code == 404


def test_what_ends_soon_or_was_never_used_is_said(admin: Client, scope: Scope) -> None:
    held("a-soon", lifetime=timedelta(days=3))
    held("b-later", lifetime=timedelta(days=60))
    held("c-never", lifetime=None)
    gone = held("d-gone")
    Token.objects.filter(pk=gone.pk).update(expires_at=clock.now() - timedelta(days=1))
    Token.objects.filter(name="b-later").update(
        last_used_at=clock.now(), last_used_from="192.0.2.7"
    )

    page = said(admin.get("/tokens/"))

    soon, later, never, ended = (
        page.index(name) for name in ("a-soon", "b-later", "c-never", "d-gone")
    )
    assert "soon 20" in page[soon:later]
    assert "never" in page[soon:later]  # used
    assert "from 192.0.2.7" in page[later:never]
    assert "soon" not in page[later:never]
    assert "ended 20" in page[ended:]
    assert "A token leaked?" in page


def test_an_administrator_sees_everybodys_in_parts(
    admin: Client, mia: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    mia.post("/tokens/", {**ASKED, "name": "zz-of-mia", "reach.0.verbs": []})
    assert "zz-of-mia" not in said(admin.get("/tokens/"))
    assert "zz-of-mia" in said(admin.get("/tokens/?all=1"))
    assert "1 token acts as mia." in said(admin.get("/people/mia/"))
    assert "1 token acts as mia." in said(mia.get("/people/mia/"))
    for number in range(101):
        held(f"t-{number:03}")

    with django_assert_max_num_queries(16):
        page = admin.get("/tokens/?all=1")
    following = re.search(r'href="(/tokens/\?[^"]*after=[^"]*)"', page.content.decode())
    assert following is not None
    rest = said(admin.get(following[1].replace("&amp;", "&")))

    assert "t-099" in said(page)
    assert "t-100" in rest
    assert "zz-of-mia" in rest

    answer = admin.post("/tokens/zz-of-mia/revoke/")
    assert answer["Location"] == "/tokens/?owner=mia"
    assert "0 tokens act as mia." in said(admin.get("/people/mia/"))


def test_a_place_that_is_gone_is_no_place(admin: Client, scope: Scope) -> None:
    row = held()
    row.reaches.all().delete()

    assert "nothing: the places are gone" in said(admin.get("/tokens/"))
