"""Pages of layers: made, edited, reviewed with whom they touch, published for the ticked, undone."""

from typing import Any

import pytest
from django.test import Client

from confhub.access import layers as doors
from confhub.catalog import sets
from confhub.releases import actions as releases
from confhub.releases.entries import values
from confhub.releases.models import LayerRelease, Release
from confhub.releases.queries import draft_of, head_of
from tests.parts.factories import ANN, NOON, a_person, a_release, a_scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client) -> Client:
    client.force_login(a_person())
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def drafted(**held: Any) -> Any:
    layer = doors.layer_for(ANN, "edit", "global")
    releases.change_draft(layer, set=held, expected=None, who=ANN, now=NOON)
    return layer


def test_the_list_names_every_layer_and_makes_a_set(page: Client) -> None:
    a_scope("shop", "prod")
    drafted(LEVEL="info")

    made = page.post("/layers/", {"slug": "common", "description": "shared"})
    listed = text(page.get("/layers/"))

    assert made["Location"] == "/layers/set/common/"
    for word in (
        "/layers/global/",
        "/layers/environment/prod/",
        "/layers/service/shop/",
        "1 drafted",
    ):
        assert word in listed
    assert page.post("/layers/", {"slug": "common"}).status_code == 422


@pytest.mark.parametrize("end", ["", "review/", "releases/", "key/?key=LEVEL", "model/"])
@pytest.mark.parametrize("name", ["global", "environment/prod", "service/shop", "set/common"])
def test_every_layer_has_every_page(page: Client, name: str, end: str) -> None:
    a_scope("shop", "prod")
    sets.create_set(slug="common", who=ANN, now=NOON)

    assert page.get(f"/layers/{name}/{end}").status_code == 200


def test_a_review_shows_whom_it_touches_and_publishes_for_the_ticked(page: Client) -> None:
    shop, mail = a_scope("shop", "prod"), a_scope("mail", "prod")
    for scope in (shop, mail):
        a_release(scope, {"A": 1})
    drafted(LEVEL="info")

    seen = text(page.get("/layers/global/review/"))
    done = page.post(
        "/layers/global/review/",
        {"message": "calm", "release": "0", "version": "1", "target": ["shop/prod"]},
    )

    assert 'value="shop/prod" checked' in seen
    assert 'value="mail/prod" checked' in seen
    assert done["Location"] == "/layers/global/releases/"
    assert (shop.releases.count(), mail.releases.count()) == (2, 1)
    service = text(page.get("/services/mail/"))
    assert "Behind its layers." in service
    page.post("/services/mail/prod/follow/", {"act": "take"})
    head = head_of(mail)
    assert head is not None
    assert values(head.entries) == {"A": 1, "LEVEL": "info"}


def test_a_stale_review_publishes_nothing_and_shows_the_draft_as_it_is(page: Client) -> None:
    a_release(a_scope("shop", "prod"), {"A": 1})
    layer = drafted(LEVEL="info")
    drafted(LEVEL="debug")

    answer = page.post(
        "/layers/global/review/",
        {"message": "x", "release": "0", "version": "1", "target": ["shop/prod"]},
    )

    assert answer.status_code == 412
    assert "you saw version 1, it is 2" in text(answer)
    assert (LayerRelease.objects.count(), Release.objects.count()) == (0, 1)
    assert draft_of(layer).set == {"LEVEL": "debug"}


def test_a_layer_is_rolled_back_and_discarded(page: Client) -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1})
    for level in ("info", "debug"):
        layer = drafted(LEVEL=level)
        page.post(
            "/layers/global/review/",
            {"message": "x", "release": layer.head, "version": draft_of(layer).version,
             "target": ["shop/prod"]},
        )  # fmt: skip

    page.post("/layers/global/releases/", {"number": "1", "release": "2"})
    head = head_of(shop)
    assert head is not None
    assert values(head.entries)["LEVEL"] == "info"

    layer = drafted(LEVEL="x")
    page.post("/layers/global/review/discard/", {"version": draft_of(layer).version})
    assert draft_of(layer).changes == []


def test_a_key_says_why_it_is_this_and_brings_an_older_value_back(page: Client) -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1})
    drafted(LEVEL="info", A=0)
    page.post(
        "/layers/global/review/",
        {"message": "defaults", "release": "0", "version": "1", "target": ["shop/prod"]},
    )
    a_release(shop, {"A": 2}, message="more")

    own = text(page.get("/services/shop/prod/config/key/?key=A"))
    inherited = text(page.get("/services/shop/prod/config/key/?key=LEVEL"))
    listed = text(page.get("/services/shop/prod/config/"))

    assert "Set here" in own
    assert "hidden by the one above" in own
    assert "defaults" in inherited
    assert "Remove LEVEL" not in inherited
    assert "from global" in listed
    version = draft_of(shop).version
    page.post(
        "/services/shop/prod/config/key/",
        {"key": "A", "act": "restore", "number": "1", "version": version},
    )
    assert draft_of(shop).set == {"A": 1}


def test_a_service_includes_sets(page: Client) -> None:
    shop = a_scope("shop", "prod")
    for slug in ("low", "high"):
        sets.create_set(slug=slug, who=ANN, now=NOON)

    page.post("/services/shop/includes/", {"includes": "low, high"})
    refused = page.post("/services/shop/includes/", {"includes": "none"}, follow=True)

    assert sets.includes_of(shop.service) == ["low", "high"]
    assert "There is no set" in text(refused)


def test_a_rollback_says_what_it_takes_back_and_what_becomes_of_the_draft(page: Client) -> None:
    shop = a_scope("shop", "prod")
    for number in (1, 2, 3):
        a_release(shop, {"A": number}, message=f"step {number}")
    releases.change_draft(shop, set={"A": 9, "B": 1}, expected=None, who=ANN, now=NOON)

    seen = text(page.get("/services/shop/prod/releases/1/rollback/"))

    assert "It takes back 2 releases" in seen
    assert ("step 3" in seen, "step 2" in seen, "step 1" in seen) == (True, True, False)
    assert "The draft keeps its 2 changes." in seen
    assert "the review will ask which value stays" in seen


def test_what_reaches_a_protected_environment_has_its_name_typed(page: Client) -> None:
    shop = a_scope("shop", "prod", protected=True)
    a_release(shop, {"A": 1}, message="first")
    drafted(LEVEL="info")
    sent = {"message": "calm", "release": "0", "version": "1", "target": ["shop/prod"]}

    refused = page.post("/layers/global/review/", sent)

    assert refused.status_code == 422
    assert "Type prod to publish there." in text(refused)
    assert LayerRelease.objects.count() == 0
    assert page.post("/layers/global/review/", {**sent, "confirm": "prod"}).status_code == 302
    assert shop.releases.count() == 2
