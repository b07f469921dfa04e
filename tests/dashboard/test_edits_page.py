"""Undo, redo, rename and the list of edits, on pages without scripts."""

from typing import Any

import pytest
from django.test import Client

from confhub.catalog.models import Layer, Scope
from confhub.releases import actions
from confhub.releases.queries import draft_of
from confhub.releases.undo import edits_of
from tests.parts import factories

CONFIG = {
    "scope": "/services/billing/dev/config/",
    "layer": "/layers/global/",
}
REVIEW = {
    "scope": "/services/billing/dev/review/",
    "layer": "/layers/global/review/",
}


@pytest.fixture(params=["scope", "layer"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, scope: Scope) -> Scope | Layer:
    return scope if kind == "scope" else Layer.objects.get(kind="global")


def change(place: Any, *, who: Any = None, **values: Any) -> int:
    """What the person behind the `admin` client (or `who`) set; the draft's version after it."""
    who = who or factories.Actor("admin", 1, active=True, grants=factories.EVERYTHING)
    view = actions.change_draft(place, set=values, expected=None, who=who, now=factories.NOON)
    return view.version


@pytest.mark.parametrize("back", ["config", "review", "edits"])
def test_undo_takes_back_ones_own_last_edit_and_comes_back(
    admin: Client, place: Any, kind: str, back: str
) -> None:
    change(place, A=1)
    version = change(place, A=2, B=2)

    answer = admin.post(f"{CONFIG[kind]}undo/", {"version": version, "back": back})

    assert draft_of(place).set == {"A": 1}
    wanted = {"config": CONFIG[kind], "review": REVIEW[kind], "edits": f"{CONFIG[kind]}edits/"}
    assert answer["Location"] == wanted[back]
    assert "Your last edit is undone." in admin.get(answer["Location"]).content.decode()


def test_redo_does_it_again(admin: Client, place: Any, kind: str) -> None:
    change(place, A=1)
    admin.post(f"{CONFIG[kind]}undo/", {"version": draft_of(place).version})

    admin.post(f"{CONFIG[kind]}redo/", {"version": draft_of(place).version})

    assert draft_of(place).set == {"A": 1}


def test_a_discard_is_undone(admin: Client, place: Any, kind: str) -> None:
    version = change(place, A=1, B="x")
    admin.post(f"{REVIEW[kind]}discard/", {"version": version})
    assert draft_of(place).changes == []

    admin.post(f"{CONFIG[kind]}undo/", {"version": draft_of(place).version})

    assert draft_of(place).set == {"A": 1, "B": "x"}


def test_what_another_changed_since_is_shown_with_a_way_out(
    admin: Client, place: Any, kind: str
) -> None:
    change(place, A="mine before", B=1)
    change(place, A="mine after", B=2)
    version = change(place, who=factories.BEN, A="of ben")
    before = draft_of(place)

    refused = admin.post(f"{CONFIG[kind]}undo/", {"version": version})
    text = refused.content.decode()

    assert refused.status_code == 412
    assert "ben changed A" in text
    assert "of ben" in text
    assert "mine before" in text
    assert draft_of(place) == before

    assert '<input type="hidden" name="keep" value="A">' in text
    admin.post(f"{CONFIG[kind]}undo/", {"version": version, "keep": ["A"]})
    assert draft_of(place).set == {"A": "of ben", "B": 1}


def test_without_anything_to_undo_it_says_so(admin: Client, place: Any, kind: str) -> None:
    before = draft_of(place)

    answer = admin.post(f"{CONFIG[kind]}undo/", {"version": 0}, follow=True)

    assert "You changed nothing in the draft" in answer.content.decode()
    assert draft_of(place) == before


def test_the_list_shows_who_did_what(admin: Client, place: Any, kind: str) -> None:
    change(place, who=factories.BEN, POOLS="<b>one</b>")
    change(place, PASSWORD={"$secret": "canary-value"})
    admin.post(f"{CONFIG[kind]}undo/", {"version": draft_of(place).version})

    text = admin.get(f"{CONFIG[kind]}edits/").content.decode()

    assert "<strong>ben</strong> edited" in text
    assert "&lt;b&gt;one&lt;/b&gt;" in text
    assert "<strong>admin</strong> undid" in text
    assert "undone" in text
    assert "canary" not in text


def test_the_list_pages(admin: Client, scope: Scope) -> None:
    for number in range(40):
        change(scope, A=number)

    first = admin.get("/services/billing/dev/config/edits/").content.decode()
    address = first.split('href="?before=')[1].split('"')[0]
    rest = admin.get(f"/services/billing/dev/config/edits/?before={address}").content.decode()

    assert first.count("edit-item") == 30
    assert rest.count("edit-item") == len(edits_of(scope, limit=100)) - 30
    assert 'href="?before=' not in rest


def test_the_list_asks_the_same_few_queries_however_long_it_is(
    admin: Client, scope: Scope, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        change(scope, A=number, B=number)
    with django_assert_max_num_queries(20):
        admin.get("/services/billing/dev/config/edits/")


def test_a_key_is_renamed_on_its_page(admin: Client, scope: Scope) -> None:
    page = "/services/billing/dev/config/key/"
    assert 'name="to"' in admin.get(f"{page}?key=POOL").content.decode()

    answer = admin.post(
        page, {"act": "rename", "key": "POOL", "to": "SIZE", "version": draft_of(scope).version}
    )

    assert answer["Location"] == "/services/billing/dev/config/"
    draft = draft_of(scope)
    assert (draft.set, draft.unset) == ({"SIZE": 20}, ["POOL"])


@pytest.mark.parametrize(
    ("to", "status", "says"),
    [("nginx.conf", 422, "already"), ("1 bad", 422, "is not a key"), ("BENS", 412, "ben changed BENS")],
)  # fmt: skip
def test_a_rename_that_cannot_be_says_why_and_keeps_what_was_typed(
    admin: Client, scope: Scope, to: str, status: int, says: str
) -> None:
    seen = draft_of(scope).version
    change(scope, who=factories.BEN, BENS=1)
    before = draft_of(scope)

    answer = admin.post(
        "/services/billing/dev/config/key/",
        {"act": "rename", "key": "POOL", "to": to, "version": seen},
    )
    text = answer.content.decode()

    assert (answer.status_code, says in text, f'value="{to}"' in text) == (status, True, True)
    assert draft_of(scope) == before


CONF = "worker 1;\nlog off;\nport 80;\nroot /;\n"


def test_what_both_changed_in_different_lines_can_be_merged(admin: Client, scope: Scope) -> None:
    factories.a_release(scope, {"app.conf": CONF, "POOL": 1})
    change(scope, **{"app.conf": CONF.replace("1;", "4;"), "POOL": 2})
    factories.publishing.publish_changes(
        scope, set={"app.conf": CONF.replace("/;", "/srv;"), "POOL": 3}, unset=[], message="m",
        who=factories.BEN, now=factories.NOON,
    )  # fmt: skip
    draft = draft_of(scope)
    text = admin.get(REVIEW["scope"]).content.decode()
    assert 'name="keep.app.conf" value="merged"' in text
    assert 'name="keep.POOL" value="merged"' not in text

    form = {"release": draft.head, "version": draft.version, "keep.POOL": "theirs"}
    admin.post(f"{REVIEW['scope']}rebase/", {**form, "keep.app.conf": "merged"})

    after = draft_of(scope)
    assert (after.overlapping, after.base) == ([], draft.head)
    assert after.set == {"app.conf": CONF.replace("1;", "4;").replace("/;", "/srv;")}


def test_what_does_not_merge_is_refused_and_nothing_is_changed(admin: Client, scope: Scope) -> None:
    change(scope, POOL=2)
    factories.publishing.publish_changes(
        scope, set={"POOL": 3}, unset=[], message="m", who=factories.BEN, now=factories.NOON
    )
    before = draft_of(scope)

    answer = admin.post(
        f"{REVIEW['scope']}rebase/",
        {"release": before.head, "version": before.version, "keep.POOL": "merged"},
        follow=True,
    )

    assert "do not merge" in answer.content.decode()
    assert draft_of(scope) == before
