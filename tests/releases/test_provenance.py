"""Every key says which layer sets it, what it hides, who set it, in which release and why."""

import pytest

from confhub.access import layers as doors
from confhub.publishing import actions as publishing
from confhub.publishing import layers
from confhub.releases import actions as releases
from confhub.releases.provenance import history_of, provenance_of
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later

pytestmark = pytest.mark.django_db


def test_a_key_knows_its_layer_its_author_its_reason_and_what_it_hides() -> None:
    shop = a_scope("shop", "prod")
    world = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(
        world, set={"LEVEL": "info", "TZ": "UTC"}, expected=None, who=BEN, now=NOON
    )
    layers.publish_layer(world, message="defaults", targets="all", who=BEN, now=later(1))
    a_release(shop, {"LEVEL": "debug", "A": 1}, message="look closer")
    a_release(shop, {"A": 2}, message="more")

    found = provenance_of(shop)

    level, zone, own = found["LEVEL"], found["TZ"], found["A"]
    assert (level.set_by.layer, level.set_by.release, level.set_by.message) == (
        "own",
        1,
        "look closer",
    )
    assert [(hidden.layer, hidden.entry["value"], hidden.author) for hidden in level.hides] == [
        ("global", "info", "ben")
    ]
    assert (zone.set_by.kind, zone.set_by.release, zone.set_by.message) == ("global", 1, "defaults")
    assert (own.set_by.release, own.set_by.author, own.set_by.message, own.hides) == (
        2,
        "ann",
        "more",
        [],
    )


def test_an_older_release_says_how_it_was_then() -> None:
    shop = a_scope("shop", "prod")
    first = a_release(shop, {"A": 1}, message="one")
    a_release(shop, {"A": 2}, message="two")

    assert provenance_of(shop, first)["A"].set_by.message == "one"


def test_the_history_of_a_key_leaves_out_releases_that_did_not_touch_it() -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1, "B": 1}, message="begin")
    a_release(shop, {"B": 2})
    a_release(shop, {"A": 2}, message="more")
    a_release(shop, {"B": 3})
    releases.change_draft(shop, set={}, unset=["A"], expected=None, who=ANN, now=NOON)
    publishing.publish_draft(shop, message="gone", who=BEN, now=NOON)
    a_release(shop, {"B": 4})
    a_release(shop, {"A": 3}, message="again")

    found = history_of(shop, "A")

    assert [(each.release, each.entry and each.entry["value"], each.message) for each in found] == [
        (7, 3, "again"), (5, None, "gone"), (3, 2, "more"), (1, 1, "begin"),
    ]  # fmt: skip
    assert [each.release for each in history_of(shop, "A", limit=2)] == [7, 5]
    assert history_of(shop, "NEVER") == []
