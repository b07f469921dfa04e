"""Sides compared, and keys promoted from one environment to the next."""

import re
from typing import Any

import pytest
from django.test import Client

from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.fleet.models import Instance
from confhub.releases import actions as releases
from confhub.releases.models import DraftChange, Release
from confhub.releases.queries import draft_of
from tests.parts.factories import ANN, BEN, NOON, a_person, a_release, a_scope
from watchers.wire.sealing import SealingKey

pytestmark = pytest.mark.django_db
PROMOTE = "/services/billing/all/promote/"


@pytest.fixture
def page(client: Client) -> Client:
    client.force_login(a_person())
    return client


@pytest.fixture
def dev(db: None) -> Scope:
    made = a_scope("billing", "dev")
    a_release(made, {"POOL": 10, "HOST": "db", "NEW": "x"})
    return made


@pytest.fixture
def prod(dev: Scope) -> Scope:
    made = a_scope("billing", "prod", protected=True)
    a_release(made, {"POOL": 200, "HOST": "db"})
    return made


def text(answer: Any) -> str:
    return str(answer.content.decode())


def hidden(drawn: str) -> dict[str, str]:
    """The last form's hidden fields."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', drawn)
    return {
        name: value for name, value in found if name not in ("next", "csrfmiddlewaretoken", "key")
    }


# --- compare -----------------------------------------------------------------------------------


def test_without_sides_it_asks_for_them_and_offers_names(page: Client, prod: Scope) -> None:
    drawn = text(page.get("/compare/"))

    assert '<option value="billing@dev">' in drawn
    assert '<option value="billing@prod/draft">' in drawn
    assert "<table" not in drawn


def test_two_sides_are_a_difference_old_left_and_new_right(page: Client, prod: Scope) -> None:
    drawn = text(page.get("/compare/?a=billing@dev&b=billing@prod"))

    assert re.findall(r'class="diff-key panel" data-status="(\w+)" data-key="(\w+)"', drawn) == [
        ("removed", "NEW"), ("changed", "POOL"),
    ]  # fmt: skip
    assert drawn.index("<del>10</del>") < drawn.index("<ins>200</ins>")
    assert "HOST" not in drawn
    assert '/api/v1/compare?a=billing%40dev&amp;b=billing%40prod"' in drawn


def test_more_sides_are_a_table_of_what_differs(page: Client, prod: Scope) -> None:
    releases.change_draft(prod, set={"HOST": "db-2"}, expected=None, who=ANN, now=NOON)

    drawn = text(page.get("/compare/?a=billing@dev&b=billing@prod&c=billing@prod/draft"))

    rows = {
        key: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip()
        for key, row in re.findall(r'<tr data-key="(\w+)">(.*?)</tr>', drawn, re.DOTALL)
    }
    assert rows == {
        "HOST": "HOST db db db-2", "NEW": "NEW x Missing Missing", "POOL": "POOL 10 200 200",
    }  # fmt: skip


def test_equal_keys_are_drawn_where_asked_for(page: Client, prod: Scope) -> None:
    drawn = text(page.get("/compare/?a=billing@dev&b=billing@prod&show=all"))

    assert re.findall(r'<tr data-key="(\w+)"', drawn) == ["HOST", "NEW", "POOL"]
    assert "No difference" in text(page.get("/compare/?a=billing@dev&b=billing@dev/r1"))


def test_an_instances_running_release_beside_its_target(page: Client, prod: Scope) -> None:
    a_release(prod, {"POOL": 300})
    Instance.objects.create(
        scope=prod, instance_id="web-1", host="node-7", runtime="docker", agent="x", target=2,
        running=1, revision=1, seen_at=clock.now(),
    )  # fmt: skip
    side = "billing@prod/instances/web-1"

    drawn = text(page.get(f"/compare/?a={side}&b={side}/target"))

    assert "web-1 of billing@prod, running r1" in drawn
    assert "<ins>300</ins>" in drawn


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("a=billing@dev", "1 side is no comparison"),
        ("a=billing@dev&b=what", "names nothing that can be compared"),
        ("a=billing@dev&b=billing@prod/r77", "billing@prod has no release 77"),
        ("a=billing@dev&b=billing@prod/instances/gone", "has no instance"),
        ("a=billing@dev&b=%00@x", "names nothing|There is no service"),
    ],
)
def test_a_side_that_is_not_there_is_said_at_its_field(
    page: Client, prod: Scope, query: str, says: str
) -> None:
    answer = page.get(f"/compare/?{query}")

    assert answer.status_code == 422
    assert re.search(says, text(answer))


def test_secrets_are_compared_by_fingerprint(page: Client, prod: Scope, settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("test").to_text()
    a_release(
        a_scope("billing", "dev"),
        {"SAME": {"$secret": "canary-1"}, "PASS": {"$secret": "canary-2"}},
    )
    a_release(prod, {"SAME": {"$secret": "canary-1"}, "PASS": {"$secret": "canary-3"}})

    drawn = text(page.get("/compare/?a=billing@dev&b=billing@prod"))

    assert 'data-key="PASS"' in drawn
    assert 'data-key="SAME"' not in drawn
    assert "canary" not in drawn


@pytest.mark.parametrize(
    ("address", "a", "b"),
    [
        ("review/", "billing@prod", "billing@prod/draft"),
        ("releases/2/", "billing@prod/r1", "billing@prod/r2"),
        ("releases/1/rollback/", "billing@prod", "billing@prod/r1"),
    ],
)
def test_every_difference_is_there_as_json(
    page: Client, prod: Scope, address: str, a: str, b: str
) -> None:
    a_release(prod, {"POOL": 300})
    releases.change_draft(prod, set={"POOL": 400}, expected=None, who=ANN, now=NOON)

    drawn = text(page.get(f"/services/billing/prod/{address}"))
    [link] = re.findall(r'href="(/api/v1/compare[^"]+)"', drawn)
    told = page.get(link.replace("&amp;", "&")).json()

    assert [side["side"] for side in told["sides"]] == [a, b]
    assert [change["key"] for change in told["changes"]] == ["POOL"]


# --- promote -----------------------------------------------------------------------------------


def test_what_differs_is_listed_with_both_values(page: Client, prod: Scope) -> None:
    drawn = text(page.get(f"{PROMOTE}?from=dev&to=prod"))

    assert re.findall(r'name="key" value="(\w+)"', drawn) == ["NEW", "POOL"]
    assert "Missing in prod" in drawn
    assert 'data-protected="yes"' in drawn
    only = text(page.get(f"{PROMOTE}?from=dev&to=prod&new=1"))
    assert re.findall(r'name="key" value="(\w+)"', only) == ["NEW"]
    assert "Nothing to promote" in text(page.get(f"{PROMOTE}?from=dev&to=prod&q=zebra"))


def test_ticked_keys_are_checked_first_and_then_written_into_the_draft(
    page: Client, prod: Scope
) -> None:
    sent: dict[str, Any] = hidden(text(page.get(f"{PROMOTE}?from=dev&to=prod")))
    count = Release.objects.count()

    checked = page.post(PROMOTE, sent | {"act": "check", "key": ["NEW", "POOL"]})
    drawn = text(checked)

    assert checked.status_code == 200
    assert "This would change in the draft of prod" in drawn
    assert DraftChange.objects.filter(draft__scope=prod).exclude(entry={}).count() == 0
    assert "Write 2 keys into the draft of prod" in drawn
    done = page.post(PROMOTE, sent | {"act": "promote", "key": ["NEW", "POOL"]})
    assert done["Location"] == "/services/billing/prod/review/"
    assert draft_of(prod).set == {"NEW": "x", "POOL": 10}
    assert Release.objects.count() == count


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        ({"key": []}, 422, "Tick at least one key."),
        ({"key": ["HOST"]}, 422, "has it so already"),
        ({"key": ["NEW"], "release": "7"}, 409, "billing@dev is at r1, not at r7"),
        ({"key": ["NEW"], "version": ""}, 422, "The page was incomplete"),
    ],
)
def test_a_refusal_is_said_and_nothing_is_written(
    page: Client, prod: Scope, sent: dict[str, Any], status: int, says: str
) -> None:
    fields = hidden(text(page.get(f"{PROMOTE}?from=dev&to=prod"))) | {"act": "promote"}

    answer = page.post(PROMOTE, fields | sent)

    assert answer.status_code == status
    assert says in text(answer)
    assert draft_of(prod).changes == []


def test_somebody_was_quicker_with_the_same_key(page: Client, prod: Scope) -> None:
    fields = hidden(text(page.get(f"{PROMOTE}?from=dev&to=prod"))) | {"act": "promote"}
    releases.change_draft(prod, set={"NEW": "of ben"}, expected=None, who=BEN, now=NOON)

    answer = page.post(PROMOTE, fields | {"key": ["NEW"]})

    assert answer.status_code == 412
    assert "ben changed NEW" in text(answer)
    assert draft_of(prod).set == {"NEW": "of ben"}


@pytest.mark.parametrize("query", ["from=nowhere", "from=dev&to=nowhere"])
def test_an_environment_that_is_not_there(page: Client, prod: Scope, query: str) -> None:
    assert page.get(f"{PROMOTE}?{query}").status_code == 404


def test_from_an_environment_into_itself_is_said(page: Client, prod: Scope) -> None:
    drawn = text(page.get(f"{PROMOTE}?from=dev&to=dev"))

    assert "Keys go from one environment of a service to another" in drawn
