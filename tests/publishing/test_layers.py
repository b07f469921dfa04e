"""Layers: what wins, whom a publish touches, one act for all, and nothing unseen."""

from typing import Any

import pytest

from confhub.access import layers as doors
from confhub.access.policies import NotAllowed
from confhub.catalog import actions as catalog
from confhub.catalog import sets
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor, Granted
from confhub.events.models import AuditEntry, Event
from confhub.publishing import actions as publishing
from confhub.publishing import layers
from confhub.publishing.layers import NotOnLayer
from confhub.publishing.models import Publication
from confhub.releases import actions as releases
from confhub.releases.actions import DraftIsStale, ReleaseIsStale
from confhub.releases.entries import BadEntries, values
from confhub.releases.models import LayerRelease, Release
from confhub.releases.queries import draft_of, head_of, resolved_draft
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db


def layer(kind: str, slug: str = "") -> Layer:
    return doors.layer_for(ANN, "publish", kind, slug)


def publish(target: Layer, targets: Any = "all", **held: Any) -> layers.LayerPublished:
    releases.change_draft(target, set=held, expected=None, who=ANN, now=NOON)
    return layers.publish_layer(target, message="why", targets=targets, who=ANN, now=NOON)


def now_in(scope: Scope) -> dict[str, Any]:
    head = head_of(scope)
    return values(head.entries) if head else {}


def untouched() -> tuple[int, ...]:
    models = (Release, LayerRelease, Publication, AuditEntry, Event)
    return tuple(model.objects.count() for model in models)


def test_later_layers_win() -> None:
    scope = a_scope("shop", "prod")
    sets.create_set(slug="low", who=ANN, now=NOON)
    sets.create_set(slug="high", who=ANN, now=NOON)
    sets.set_includes(scope.service, ["low", "high"], who=ANN, now=NOON)
    names = ["G", "E", "L", "H", "S", "O"]
    for at, (kind, slug) in enumerate(
        [
            ("global", ""),
            ("environment", "prod"),
            ("set", "low"),
            ("set", "high"),
            ("service", "shop"),
        ]
    ):
        publish(layer(kind, slug), **{name: f"{kind} {slug}".strip() for name in names[at:]})

    a_release(scope, {"O": "own"})

    assert now_in(scope) == {
        "G": "global", "E": "environment prod", "L": "set low", "H": "set high",
        "S": "service shop", "O": "own",
    }  # fmt: skip


def test_a_publish_says_first_whom_it_touches_and_cuts_one_release_for_each() -> None:
    shop, mail = a_scope("shop", "prod"), a_scope("mail", "prod")
    other = a_scope("shop", "dev")
    for scope in (shop, mail, other):
        a_release(scope, {"NAME": str(scope)})
    a_release(mail, {"LEVEL": "debug"})  # hides what comes
    releases.change_draft(layer("global"), set={"LEVEL": "info"}, expected=None, who=ANN, now=NOON)

    touched = layers.preview(layer("global"), ANN)
    done = layers.publish_layer(layer("global"), message="calm", targets="all", who=BEN, now=NOON)

    assert {str(each.scope) for each in touched} == {"shop@prod", "shop@dev"}
    assert [(c.key, c.kind, c.new) for c in touched[0].changes] == [("LEVEL", "added", "info")]
    assert {str(cut.release.scope) for cut in done.cut} == {"shop@prod", "shop@dev"}
    assert [cut.release.message for cut in done.cut] == ["global: calm"] * 2
    assert now_in(shop)["LEVEL"] == "info"
    assert now_in(mail)["LEVEL"] == "debug"
    assert Publication.objects.filter(release__scope=shop).count() == 2


def test_who_was_not_chosen_keeps_the_layer_as_it_was_until_it_is_taken_in() -> None:
    shop, mail = a_scope("shop", "prod"), a_scope("mail", "prod")
    for scope in (shop, mail):
        a_release(scope, {"A": 1})
    publish(layer("global"), LEVEL="info")
    publish(layer("global"), [("shop", "prod")], LEVEL="debug")

    a_release(mail, {"A": 2})

    assert now_in(shop)["LEVEL"] == "debug"
    assert now_in(mail) == {"A": 2, "LEVEL": "info"}
    assert layers.behind([shop, mail]) == {mail.pk}

    layers.take_layers(mail, message="", who=ANN, now=NOON)

    assert now_in(mail) == {"A": 2, "LEVEL": "debug"}
    assert layers.behind([shop, mail]) == set()


def test_a_scope_that_holds_back_is_left_out_of_all_and_can_be_named() -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1})
    sets.hold_back(shop, True, who=ANN, now=NOON)
    releases.change_draft(layer("global"), set={"B": 1}, expected=None, who=ANN, now=NOON)

    assert [each.is_chosen for each in layers.preview(layer("global"), ANN)] == [False]
    assert (
        layers.publish_layer(layer("global"), message="x", targets="all", who=ANN, now=NOON).cut
        == []
    )
    named = layers.publish_layer(
        layer("global"), message="x", targets=[("shop", "prod")], who=ANN, now=NOON
    )

    assert [cut.release.number for cut in named.cut] == [2]


def test_one_scope_that_refuses_stops_the_whole_act() -> None:
    shop, mail = a_scope("shop", "prod"), a_scope("mail", "prod")
    a_release(shop, {"A": 1})
    a_release(mail, {"URL": "own", "Log_Level": 1})
    releases.change_draft(layer("global"), set={"LOG_LEVEL": 2}, expected=None, who=ANN, now=NOON)
    before = untouched()

    with pytest.raises(BadEntries, match=r"mail@prod: .*No release was cut anywhere"):
        layers.publish_layer(layer("global"), message="x", targets="all", who=ANN, now=NOON)

    assert untouched() == before
    assert [change.key for change in draft_of(layer("global")).changes] == ["LOG_LEVEL"]


def test_a_reference_into_a_layer_is_put_in_and_one_without_a_target_is_refused() -> None:
    shop = a_scope("shop", "prod")
    publish(layer("environment", "prod"), DOMAIN="example.org")
    a_release(shop, {"URL": "https://shop.${DOMAIN}"})

    assert now_in(shop)["URL"] == "https://shop.example.org"
    releases.change_draft(
        layer("environment", "prod"), set={}, unset=["DOMAIN"], expected=None, who=ANN, now=NOON
    )
    before = untouched()
    (touched,) = layers.preview(layer("environment", "prod"), ANN)
    assert "no key DOMAIN" in touched.problems["URL"]
    with pytest.raises(BadEntries, match="no key DOMAIN"):
        layers.publish_layer(
            layer("environment", "prod"), message="x", targets="all", who=ANN, now=NOON
        )
    assert untouched() == before


def test_removing_an_override_shows_the_value_below() -> None:
    shop = a_scope("shop", "prod")
    publish(layer("global"), LEVEL="info")
    a_release(shop, {"LEVEL": "debug", "A": 1})

    releases.change_draft(shop, set={}, unset=["LEVEL"], expected=None, who=ANN, now=NOON)

    assert values(resolved_draft(shop)) == {"A": 1, "LEVEL": "info"}


def test_a_rollback_brings_the_layers_back_as_they_were() -> None:
    shop = a_scope("shop", "prod")
    publish(layer("global"), LEVEL="info")
    a_release(shop, {"A": 1})
    publish(layer("global"), LEVEL="debug")

    rolled = publishing.roll_back(shop, number=1, message="", who=ANN, now=NOON).release

    assert now_in(shop) == {"A": 1, "LEVEL": "info"}
    assert rolled.checksum == Release.objects.get(scope=shop, number=1).checksum
    a_release(shop, {"A": 2})
    assert now_in(shop) == {"A": 2, "LEVEL": "info"}


def test_a_layer_rolls_back_with_a_new_number() -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1})
    publish(layer("global"), LEVEL="info")
    publish(layer("global"), LEVEL="debug")

    done = layers.roll_back_layer(
        layer("global"), number=1, message="", targets="all", who=ANN, now=NOON
    )

    assert (done.release.number, done.release.restores) == (3, 1)
    assert now_in(shop)["LEVEL"] == "info"


def test_stale_callers_and_wrong_targets_write_nothing() -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1})
    releases.change_draft(layer("global"), set={"B": 1}, expected=None, who=ANN, now=NOON)
    before = untouched()

    for error, more in (
        (ReleaseIsStale, {"expected_release": 7}),
        (DraftIsStale, {"expected_draft": 9}),
        (NotOnLayer, {"targets": [("shop", "nowhere")]}),
    ):
        with pytest.raises(error):
            layers.publish_layer(
                layer("global"),
                **{"message": "x", "targets": "all", "who": ANN, "now": NOON, **more},
            )

    assert untouched() == before


def test_the_right_to_publish_is_needed_in_every_chosen_scope() -> None:
    shop, mail = a_scope("shop", "prod"), a_scope("mail", "prod")
    for scope in (shop, mail):
        a_release(scope, {"A": 1})
    releases.change_draft(layer("global"), set={"B": 1}, expected=None, who=ANN, now=NOON)
    mia = Actor(
        "mia", 9, active=True, grants=(Granted("viewer"), Granted("publisher", service="shop"))
    )
    before = untouched()

    with pytest.raises(NotAllowed):
        layers.publish_layer(layer("global"), message="x", targets="all", who=mia, now=NOON)

    assert untouched() == before


def test_every_own_key_knows_the_release_that_set_it() -> None:
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1, "B": 1})
    a_release(shop, {"B": 2})
    a_release(shop, {"C": 3})

    head = head_of(shop)

    assert head is not None
    assert head.origins == {"A": 1, "B": 2, "C": 3}


def test_a_first_release_and_a_new_include_take_what_is_there() -> None:
    sets.create_set(slug="common", who=ANN, now=NOON)
    publish(layer("set", "common"), [], LEVEL="info")
    shop = a_scope("shop", "prod")
    a_release(shop, {"A": 1})
    assert now_in(shop) == {"A": 1}

    sets.set_includes(shop.service, ["common"], who=ANN, now=NOON)
    a_release(shop, {"A": 2})

    assert now_in(shop) == {"A": 2, "LEVEL": "info"}


def test_a_set_in_use_stays() -> None:
    shop = a_scope("shop", "prod")
    common = sets.create_set(slug="common", who=ANN, now=NOON)
    sets.set_includes(shop.service, ["common"], who=ANN, now=NOON)
    with pytest.raises(catalog.StillInUse, match="shop include it"):
        sets.delete_set(common, who=ANN, now=NOON)
    with pytest.raises(sets.NoSuchSet, match="no set 'other'"):
        sets.set_includes(shop.service, ["other"], who=ANN, now=NOON)
    assert sets.includes_of(shop.service) == ["common"]

    sets.set_includes(shop.service, [], who=ANN, now=NOON)
    sets.delete_set(common, who=ANN, now=NOON)
    assert not Layer.objects.filter(kind="set").exists()
