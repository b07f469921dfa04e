"""Where is it used: keys, values, places, releases and people, as far as one may see them."""

import random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from confhub.access import layers as doors
from confhub.catalog import sets
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor, Granted
from confhub.publishing import layers
from confhub.releases import actions as releases
from confhub.releases.models import Release
from confhub.releases.needle import Needle
from confhub.releases.searching import KINDS, BadSearch, Use, search
from tests.parts.factories import ANN, BEN, NOON, a_person, a_release, a_scope
from watchers.wire.sealing import SealingKey

pytestmark = pytest.mark.django_db


def of(uses: list[Use]) -> list[tuple[str, str]]:
    return [(str(use.place), use.key) for use in uses]


def published(kind: str, slug: str = "", targets: Any = "all", **values: Any) -> Layer:
    layer = doors.layer_for(ANN, "publish", kind, slug)
    releases.change_draft(layer, set=values, expected=None, who=ANN, now=NOON)
    layers.publish_layer(layer, message="layered", targets=targets, who=ANN, now=NOON)
    return layer


def a_landscape(services: int, keys: int) -> list[Scope]:
    """`services` in three environments, each with `keys` keys, on a global layer; the same every time."""
    rnd = random.Random(7)  # noqa: S311  # makes values, and keeps no secret
    scopes = []
    for number in range(services):
        for environment in ("dev", "staging", "prod"):
            scope = a_scope(f"service-{number:03}", environment)
            a_release(
                scope, {f"KEY_{at:03}": f"value {rnd.random()} of {at}" for at in range(keys)}
            )
            scopes.append(scope)
    published("global", LEVEL="info")
    return scopes


def test_a_value_is_found_at_every_place_with_the_layer_that_sets_it() -> None:
    shop, mail = a_scope("shop", "prod"), a_scope("mail", "prod")
    a_release(shop, {"DB": "postgresql://db-7:5432/shop"})
    a_release(mail, {"LIST": ["db-7", "db-8"], "OTHER": "db-9"})
    published("global", DB_HOST="db-7")

    found = search(ANN, "db-7")

    assert of(found.values) == [
        ("global", "DB_HOST"), ("mail@prod", "DB_HOST"), ("mail@prod", "LIST"),
        ("shop@prod", "DB"), ("shop@prod", "DB_HOST"),
    ]  # fmt: skip
    setters = {(str(use.place), use.key): str(use.layer) for use in found.values if use.layer}
    assert setters == {("mail@prod", "DB_HOST"): "global", ("shop@prod", "DB_HOST"): "global"}
    assert found.keys == []


def test_the_layer_that_sets_it_is_the_one_that_wins() -> None:
    sets.create_set(slug="common", who=ANN, now=NOON)
    scope = a_scope("shop", "prod")
    sets.set_includes(scope.service, ["common"], who=ANN, now=NOON)
    a_release(scope, {"OWN": "needle-own"})
    published("global", LEVEL="needle", HIDDEN="needle")
    published("set", "common", LEVEL="needle of set")
    published("service", "shop", HIDDEN="needle of shop")

    found = search(ANN, "needle", kinds=["values"], limit=50).values

    said = {use.key: str(use.layer) for use in found if use.place == scope}
    assert said == {"LEVEL": "set common", "HIDDEN": "service shop", "OWN": "None"}


def test_a_reference_is_found_as_it_was_written_and_as_it_resolved() -> None:
    a_release(a_scope("shop", "prod"), {"HOST": "db-7", "URL": "http://${HOST}/"})

    assert of(search(ANN, "${host}").values) == [("shop@prod", "URL")]
    assert of(search(ANN, "http://db-7").values) == [("shop@prod", "URL")]


def test_only_newest_releases_and_drafts_are_looked_into() -> None:
    scope = a_scope("shop", "prod")
    a_release(scope, {"A": "old one"})
    a_release(scope, {"A": "new one"})
    releases.change_draft(
        scope, set={"B": "drafted one"}, unset=["A"], expected=None, who=BEN, now=NOON
    )

    found = search(ANN, "one")

    assert [(use.key, use.drafted, use.author) for use in found.values] == [
        ("B", "set", "ben"), ("A", "", ""),
    ]  # fmt: skip
    assert [(use.key, use.drafted) for use in search(ANN, "A", kinds=["keys"]).keys] == [
        ("A", "removed"), ("A", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("100 % sure_of \\it", "% sure_"),
        ("100 % sure_of \\it", "_of \\i"),
        ('say "hello"', '"HELLO"'),
        ("first\nsecond", "first\nsecond"),
        ("Grüße aus Köln", "GRÜSSE".replace("SS", "ß")),
        ("Grüße aus Köln", "KÖLN"),
        ("ПРИВЕТ", "привет"),
        ("設定", "定"),
        ({"hosts": ["a", "b"]}, '"hosts":["a"'),
        (8080, "808"),
        (True, "TRUE"),
        (None, "null"),
        (1.5e300, "1.5e+300"),
    ],
)  # fmt: skip
def test_letters_match_in_either_case_and_signs_mean_themselves(value: Any, text: str) -> None:
    a_release(a_scope("shop", "prod"), {"HIT": value, "MISS": "100x surely of it"})

    assert of(search(ANN, text, kinds=["values"]).values) == [("shop@prod", "HIT")]


@pytest.mark.parametrize("text", ["ciphertext", "secret", "fingerprint", "version", "value"])
def test_the_words_of_how_it_is_kept_are_not_found(text: str, settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("test").to_text()
    a_release(a_scope("shop", "prod"), {"PASS": {"$secret": "canary-4711"}, "A": "plain"})

    assert search(ANN, text, kinds=["keys", "values"]).is_empty


def test_a_secret_is_found_by_key_and_fingerprint_and_never_by_its_value(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("test").to_text()
    scope = a_scope("shop", "prod")
    entry = a_release(scope, {"PASS": {"$secret": "canary-4711"}}).entries["PASS"]
    releases.change_draft(
        scope, set={"NEXT": {"$secret": "canary-4711"}}, expected=None, who=ANN, now=NOON
    )

    assert search(ANN, "canary").is_empty
    assert search(ANN, entry["ciphertext"][-30:-4]).is_empty
    assert search(ANN, entry["fingerprint"][:5], kinds=["values"]).is_empty, "too few to guess with"
    found = search(ANN, entry["fingerprint"][:6].upper())
    assert of(found.values) == [("shop@prod", "NEXT"), ("shop@prod", "PASS")]
    [use] = search(ANN, "pass").keys
    assert use.value == {"$secret": True, "fingerprint": entry["fingerprint"], "version": 1}
    assert "canary" not in repr(found)


def test_names_releases_and_people_are_found() -> None:
    a_person("mia")
    scope = a_scope("checkout", "prod")
    a_release(scope, {"A": 1}, message="Raise the Pool")
    a_release(scope, {"A": 2}, message="again")
    a_release(a_scope("mail", "prod"), {"A": 1}, message="x")

    assert [each.slug for each in search(ANN, "CHECK").services] == ["checkout"]
    assert [each.slug for each in search(ANN, "prod").environments] == ["prod"]
    assert [str(each) for each in search(ANN, "prod").layers] == ["environment prod"]
    assert search(ANN, "mia").people == ["mia"]
    assert [cut.number for cut in search(ANN, "the pool").releases] == [1]
    assert [str(cut.place) for cut in search(ANN, "Checkout R2").releases] == ["checkout@prod"]
    assert len(search(ANN, "r1").releases) == 2
    assert len(search(ANN, "ann", kinds=["releases"]).releases) == 3
    assert search(ANN, "checkout r9", kinds=["releases"]).is_empty
    assert search(ANN, "r999999999", kinds=["releases"]).is_empty


def test_one_finds_what_one_may_see(settings: Any) -> None:
    for service in ("shop", "mail"):
        a_release(a_scope(service, "prod"), {"HOST": "db-7"}, message="needle")
        releases.change_draft(
            a_scope(service, "prod"), set={"D": "db-7"}, expected=None, who=ANN, now=NOON
        )
    published("global", LEVEL="db-7")
    published("service", "mail", OWN="db-7")
    viewer = Actor("vic", 5, active=True, grants=(Granted("viewer", "shop"),))
    nobody = Actor("new", 6, active=True)

    places = {str(use.place) for use in search(viewer, "db-7", limit=100).values}
    assert places == {"shop@prod"}
    assert {str(cut.place) for cut in search(viewer, "needle").releases} == {"shop@prod"}
    assert search(viewer, "ann", kinds=["people"]).is_empty
    assert [each.slug for each in search(viewer, "m", kinds=["services"]).services] == []
    assert search(nobody, "db-7").is_empty


@pytest.mark.parametrize("text", ["", "   ", "x" * 201, "a\x00b"])
def test_nothing_to_look_for_is_said_at_the_field(text: str) -> None:
    with pytest.raises(BadSearch) as refused:
        search(ANN, text)
    assert set(refused.value.fields) == {"q"}


def test_of_much_the_first_are_answered_and_it_is_said() -> None:
    scopes = a_landscape(services=4, keys=30)

    found = search(ANN, "value", kinds=["values"], limit=10)
    everything = search(ANN, "info", kinds=["values"], limit=100)

    assert len(found.values) == 10
    assert found.more == {"values"}
    assert len(everything.values) == len(scopes) + 1
    assert everything.more == frozenset()


def test_how_many_queries_it_takes_does_not_depend_on_how_much_is_there() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as sent:
            search(ANN, "info", kinds=KINDS)
        return len(sent)

    a_landscape(services=1, keys=5)
    few = queries()
    for number in range(6):
        a_release(a_scope(f"more-{number}", "prod"), {"LEVEL": "info too"})

    assert queries() == few


def test_no_release_is_read_that_cannot_hold_it() -> None:
    a_landscape(services=2, keys=5)
    with CaptureQueriesContext(connection) as sent:
        assert search(ANN, "not there at all").is_empty
    read = [each["sql"] for each in sent if '"releases_release"."entries" AS' in each["sql"]]
    assert read == []


def test_what_a_needle_asks_the_database_is_never_less_than_what_it_holds() -> None:
    rnd = random.Random(3)  # noqa: S311  # makes texts, and keeps no secret
    letters = 'aA%_\\"\néÉßя定 "'
    scope = a_scope("shop", "prod")
    values = {f"K{at}": "".join(rnd.choices(letters, k=12)) for at in range(60)}
    a_release(scope, values)

    for value in values.values():
        text = value[3:8].swapcase().strip() or "x"
        if text.lower() not in value.lower():
            continue  # a letter that has no single counterpart
        assert Release.objects.filter(Needle(text).may_be_in("entries")).exists(), repr(text)
