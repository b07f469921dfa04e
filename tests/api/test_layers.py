"""Layers over REST: edited, previewed, published for chosen scopes; includes; provenance."""

from typing import Any

import pytest

from confhub.releases.models import LayerRelease, Release
from tests.api.conftest import Caller
from tests.parts.factories import a_release, a_scope

pytestmark = pytest.mark.django_db


def post(api: Caller, path: str, body: dict[str, Any]) -> Any:
    return api.post(path, body)


def patch(api: Caller, path: str, body: dict[str, Any], seen: str = "*") -> Any:
    return api.patch(path, body, If_Match=seen)


@pytest.mark.parametrize(
    "path",
    ["/layers/global", "/layers/environments/prod", "/layers/services/shop", "/layers/sets/common"],
)
def test_a_layer_is_drafted_previewed_published_and_rolled_back(api: Caller, path: str) -> None:
    shop = a_scope("shop", "prod")
    assert post(api, "/layers/sets", {"slug": "common"}).status_code == 201
    assert patch(api, "/services/shop", {"includes": ["common"]}).status_code == 200
    a_release(shop, {"A": 1})

    drafted = patch(api, f"{path}/draft", {"set": {"LEVEL": "info"}}, seen='"0"')
    touched = api.get(f"/api/v1{path}/preview").json()
    first = post(api, f"{path}/releases", {"message": "calm"})

    assert drafted.status_code == 200, drafted.content
    assert drafted["ETag"] == '"1"'
    assert [(each["service"], each["changes"][0]["new"]) for each in touched] == [("shop", "info")]
    assert first.status_code == 201, first.content
    assert first.json()["releases"] == [{"service": "shop", "environment": "prod", "release": 2}]
    second = post(api, f"{path}/releases", {"message": "x", "set": {"LEVEL": "debug"}})
    assert second.json()["release"] == 2
    diff = api.get(f"/api/v1{path}/releases/2/diff").json()
    assert [(each["old"], each["new"]) for each in diff["changes"]] == [("info", "debug")]
    rolled = post(api, f"{path}/releases/1/rollback", {})
    assert (rolled.json()["release"], rolled.json()["restores"]) == (3, 1)
    config = api.get("/api/v1/services/shop/environments/prod/config").json()
    assert config == {"A": 1, "LEVEL": "info"}
    listed = api.get(f"/api/v1{path}/releases").json()
    assert [each["release"] for each in listed["items"]] == [3, 2, 1]
    assert api.get(f"/api/v1{path}").json()["release"] == 3
    assert api.get(f"/api/v1{path}/releases/1").json()["entries"] == {"LEVEL": {"value": "info"}}


def test_a_stale_or_missing_version_changes_no_layer(api: Caller) -> None:
    a_scope("shop", "prod")
    path = "/api/v1/layers/global/draft"
    assert patch(api, "/layers/global/draft", {"set": {"A": 1}}, seen='"0"').status_code == 200

    stale = patch(api, "/layers/global/draft", {"set": {"A": 2}}, seen='"0"')
    missing = api.patch(path, {"set": {"A": 2}})

    assert (stale.status_code, missing.status_code) == (412, 428)
    assert api.get(path).json()["set"] == {"A": 1}
    assert api.delete(path, If_Match='"1"').json()["changes"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [("/layers/nowhere/x", 422), ("/layers/sets/none", 404), ("/layers/services/none", 404),
     ("/layers/environments/none/draft", 404), ("/layers/global/releases/9", 404)],
)  # fmt: skip
def test_what_is_not_there(api: Caller, path: str, status: int) -> None:
    assert api.get(f"/api/v1{path}").status_code == status


def test_a_wrong_target_publishes_nothing(api: Caller) -> None:
    a_release(a_scope("shop", "prod"), {"A": 1})

    answer = post(
        api,
        "/layers/global/releases",
        {"message": "x", "set": {"B": 1}, "targets": [{"service": "shop", "environment": "qa"}]},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "layer.no_such_target")
    assert (LayerRelease.objects.count(), Release.objects.count()) == (0, 1)


def test_a_scope_holds_back_and_takes_its_layers_in_later(api: Caller) -> None:
    a_release(a_scope("shop", "prod"), {"A": 1})
    scope = "/services/shop/environments/prod"
    held = api("PUT", f"{scope}/layers", {"holds_back": True})
    assert held.json() == {"holds_back": True, "behind": False}

    cut = post(api, "/layers/global/releases", {"message": "x", "set": {"B": 1}})

    assert cut.json()["releases"] == []
    place = api.get("/api/v1/services/shop").json()["environments"][0]
    assert (place["holds_back"], place["behind"]) == (True, True)
    assert post(api, f"{scope}/layers/take", {}).json()["release"] == 2
    assert post(api, f"{scope}/layers/take", {}).status_code == 200


def test_provenance_names_the_layer_of_each_key(api: Caller) -> None:
    post(api, "/layers/global/releases", {"message": "defaults", "set": {"B": 1, "A": 0}})
    a_release(a_scope("shop", "prod"), {"A": 1}, message="mine")

    found = api.get("/api/v1/services/shop/environments/prod/config?provenance=1").json()

    assert (found["B"]["layer"], found["B"]["message"], found["B"]["value"]) == (
        "global",
        "defaults",
        1,
    )
    assert (found["A"]["layer"], found["A"]["hides"][0]["value"]) == ("own", 0)


def test_includes_must_be_there(api: Caller) -> None:
    a_scope("shop", "prod")

    answer = patch(api, "/services/shop", {"includes": ["nothing"], "name": "New"})

    assert (answer.status_code, answer.json()["fields"]) == (
        422, {"includes": "There is no set 'nothing'. Make it first."},
    )  # fmt: skip
    assert api.get("/api/v1/services/shop").json()["name"] == "shop"
    post(api, "/layers/sets", {"slug": "common"})
    assert patch(api, "/services/shop", {"includes": ["common"]}).status_code == 200
    assert api.get("/api/v1/services/shop").json()["includes"] == ["common"]
    assert api.delete("/api/v1/layers/sets/common").status_code == 409
    assert patch(api, "/services/shop", {"includes": []}).status_code == 200
    assert api.delete("/api/v1/layers/sets/common").status_code == 204
