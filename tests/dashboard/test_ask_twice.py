"""A publish that empties, halves or doubles a scope asks twice, wherever it is made from."""

from typing import Any

from django.test import Client

from confhub.access.layers import layer_for
from confhub.catalog.models import Scope
from confhub.publishing.layers import publish_layer_changes
from confhub.releases import actions as releases
from confhub.releases import schemas
from confhub.releases.models import LayerRelease, Release
from tests.parts.factories import ANN, NOON, a_release, a_scope

KEYS = {f"KEY_{at}": 1 for at in range(6)}


def heads() -> list[tuple[str, int]]:
    return sorted((str(each.scope), each.number) for each in Release.objects.all())


def test_the_review_asks_with_a_box_and_then_publishes(admin: Client, db: None) -> None:
    scope = a_scope("billing", "dev")
    a_release(scope, KEYS)
    view = releases.change_draft(scope, set={}, unset=KEYS, expected=None, who=ANN, now=NOON)
    before = heads()
    drawn = admin.get("/services/billing/dev/review/").content.decode()
    assert "You will be asked whether this is meant" in drawn
    form = {"message": "tidy up", "release": 1, "version": view.version, "act": "publish"}
    asked = admin.post("/services/billing/dev/review/", form)
    page = asked.content.decode()
    assert (asked.status_code, heads()) == (409, before)
    assert "All 6 keys would be removed." in page
    assert '<input type="checkbox" name="guard" value="emptied">' in page
    done = admin.post("/services/billing/dev/review/", form | {"guard": "emptied"})
    assert (done.status_code, len(heads())) == (302, 2)


def test_a_rollback_asks_too(admin: Client, db: None) -> None:
    scope = a_scope("billing", "dev")
    a_release(scope, {"A": 1})
    a_release(scope, KEYS)
    before = heads()
    at, form = "/services/billing/dev/releases/1/rollback/", {"message": "back", "release": 2}
    asked = admin.post(at, form)
    assert (asked.status_code, heads()) == (409, before)
    assert 'value="count_halved"' in asked.content.decode()
    assert admin.post(at, form | {"guard": "count_halved"}).status_code == 302
    assert len(heads()) == 3


def a_layer_of(scope: Scope, values: dict[str, Any]) -> Any:
    layer = layer_for(ANN, "publish", "environment", scope.environment.slug)
    publish_layer_changes(layer, set=values, unset=[], message="", targets="all", who=ANN, now=NOON)
    return layer_for(ANN, "publish", "environment", scope.environment.slug)


def test_a_layer_s_review_and_history_ask_too(admin: Client, db: None) -> None:
    scope = a_scope("billing", "dev")
    a_layer_of(scope, {"A": 1})
    a_release(scope, {f"OWN_{at}": 1 for at in range(5)})
    layer = layer_for(ANN, "publish", "environment", "dev")
    view = releases.change_draft(layer, set=KEYS, expected=None, who=ANN, now=NOON)
    before = heads()
    form = {"message": "more", "release": 1, "version": view.version, "target": "billing/dev"}
    asked = admin.post("/layers/environment/dev/review/", form)
    assert (asked.status_code, heads(), LayerRelease.objects.count()) == (409, before, 1)
    assert 'value="count_doubled"' in asked.content.decode()
    done = admin.post("/layers/environment/dev/review/", form | {"guard": "count_doubled"})
    assert (done.status_code, LayerRelease.objects.count()) == (302, 2)
    assert len(heads()) == 2

    at, back = "/layers/environment/dev/releases/", {"number": "1", "release": "2"}
    asked = admin.post(at, back)
    page = asked.content.decode()
    assert (asked.status_code, LayerRelease.objects.count()) == (409, 2)
    assert '<input type="hidden" name="number" value="1">' in page
    assert 'value="count_halved"' in page
    assert admin.post(at, back | {"guard": "count_halved"}).status_code == 302
    assert (LayerRelease.objects.count(), len(heads())) == (3, 3)


def test_taking_layers_in_asks_too(admin: Client, db: None) -> None:
    scope = a_scope("billing", "dev")
    a_release(scope, {f"OWN_{at}": 1 for at in range(5)})
    layer = layer_for(ANN, "publish", "environment", "dev")
    publish_layer_changes(layer, set=KEYS, unset=[], message="", targets=[], who=ANN, now=NOON)
    before = heads()
    asked = admin.post("/services/billing/dev/follow/", {"act": "take"})
    assert (asked.status_code, heads()) == (409, before)
    assert '<input type="hidden" name="act" value="take">' in asked.content.decode()
    done = admin.post("/services/billing/dev/follow/", {"act": "take", "guard": "count_doubled"})
    assert (done.status_code, len(heads())) == (302, 2)


def test_the_review_says_first_what_does_not_fit(admin: Client, db: None) -> None:
    scope = a_scope("billing", "dev")
    a_release(scope, {"POOL": 5, "HOST": "h"})
    document = {
        "type": "object",
        "properties": {"POOL": {"type": "integer", "minimum": 1}, "HOST": {}},
        "required": ["HOST"],
    }
    schemas.save_schema(
        scope.service, document, message="", expected_number=None, who=ANN, now=NOON
    )
    releases.change_draft(scope, set={"POOL": 0}, unset=["HOST"], expected=None, who=ANN, now=NOON)
    page = admin.get("/services/billing/dev/review/").content.decode()
    assert "This cannot be published yet" in page
    assert "POOL is 0; at least 1 is asked for." in page
    assert "HOST is missing; it is required." in page
    releases.change_draft(scope, set={"POOL": 6, "HOST": "x"}, expected=None, who=ANN, now=NOON)
    assert "cannot be published" not in admin.get("/services/billing/dev/review/").content.decode()
