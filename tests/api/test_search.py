"""Search and compare over REST."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.fleet.models import Instance
from confhub.releases.models import Release
from tests.api.conftest import PROD, Caller, untouched

pytestmark = pytest.mark.django_db


@pytest.fixture
def filled(api: Caller, publish: Callable[..., int]) -> None:
    publish(MAX=200, HOST="db-7")
    publish(MAX=250)
    dev = PROD.replace("/prod", "/dev")
    answer = api.post(f"{dev}/releases", {"message": "m", "set": {"MAX": 10, "DEBUG": True}})
    assert answer.status_code == 201


def test_a_value_is_answered_with_its_place(api: Caller, filled: None) -> None:
    answer = api.get("/search?q=DB-7")

    assert answer.status_code == 200
    [use] = answer.json()["values"]
    assert use == {
        "place": {
            "name": "checkout@prod", "kind": "scope", "service": "checkout", "environment": "prod",
            "slug": None,
        },
        "key": "HOST", "value": "db-7", "layer": None, "drafted": "",
    }  # fmt: skip
    assert answer.json()["more"] == []


def test_one_kind_alone_and_a_limit(api: Caller, filled: None) -> None:
    told = api.get("/search?q=max&kind=keys&limit=1").json()

    assert [use["place"]["name"] for use in told["keys"]] == ["checkout@dev"]
    assert told["more"] == ["keys"]
    assert told["releases"] == []
    [cut] = api.get("/search?q=checkout%20r2&kind=releases").json()["releases"]
    assert (cut["release"], cut["message"], cut["author"]) == (2, "a test's", "token:ann")


@pytest.mark.parametrize(
    "query", ["", "q=", "q=%20", "q=a&kind=secrets", "q=a&limit=0", f"q={'x' * 300}"]
)
def test_a_search_for_nothing_is_refused(api: Caller, query: str) -> None:
    with untouched():
        answer = api.get(f"/search?{query}")

    assert answer.status_code == 422
    assert answer.json()["fields"]


def test_two_sides_are_answered_as_a_change_too(api: Caller, filled: None) -> None:
    told = api.get("/compare?a=checkout@dev&b=checkout@prod").json()

    assert told["sides"][1] == {"side": "checkout@prod", "title": "checkout@prod r2", "release": 2}
    assert told["changes"] == [
        {"key": "DEBUG", "kind": "removed", "old": True, "new": None},
        {"key": "HOST", "kind": "added", "old": None, "new": "db-7"},
        {"key": "MAX", "kind": "changed", "old": 10, "new": 250},
    ]
    assert told["keys"][0] == {
        "key": "DEBUG", "differs": True,
        "cells": [{"there": True, "value": True}, {"there": False, "value": None}],
    }  # fmt: skip


def test_more_sides_releases_and_drafts(api: Caller, filled: None) -> None:
    api.patch(f"{PROD}/draft", {"set": {"NEW": None}}, If_Match="*")

    told = api.get(
        "/compare?a=checkout@prod/r1&b=checkout@prod&c=checkout@prod/draft&show=all"
    ).json()

    assert told["changes"] is None
    cells = {line["key"]: [cell["value"] for cell in line["cells"]] for line in told["keys"]}
    assert cells == {
        "HOST": ["db-7"] * 3, "MAX": [200, 250, 250], "NEW": [None] * 3,
    }  # fmt: skip
    assert [line["differs"] for line in told["keys"]] == [False, True, True]
    assert [cell["there"] for cell in told["keys"][2]["cells"]] == [False, False, True]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("a=checkout@dev&b=", 422, "a"),
        ("a=checkout@dev&b=nonsense", 422, "b"),
        ("a=checkout@dev&b=checkout@prod/r9", 404, "b"),
        ("a=checkout@dev&b=checkout@nowhere", 404, "b"),
        ("a=checkout@dev&b=checkout@prod&f=checkout@prod/instances/web-1", 404, "f"),
    ],
)
def test_a_side_that_is_not_there_is_named(
    api: Caller, filled: None, query: str, status: int, field: str
) -> None:
    answer = api.get(f"/compare?{query}")

    assert answer.status_code == status
    assert list(answer.json()["fields"]) == [field]


def test_strangers_get_nothing(anonymous: Caller, api: Caller, ann: User, filled: None) -> None:
    assert anonymous.get("/search?q=db-7").status_code == 401
    ann.is_superuser = False
    ann.save(update_fields=["is_superuser"])
    told: dict[str, Any] = api.get("/search?q=db-7").json()
    assert not any(told.values())
    assert api.get("/compare?a=checkout@dev&b=checkout@prod").status_code == 404


def test_an_instance_beside_its_target(api: Caller, filled: None, checkout_prod: Scope) -> None:
    Instance.objects.create(
        scope=checkout_prod, instance_id="3f2a9c1b7d4e", host="node-7", runtime="docker", agent="x",
        container={"name": "checkout-1"}, target=2, running=1, revision=1, seen_at=clock.now(),
    )  # fmt: skip
    side = "checkout@prod/instances/3f2a9c1b7d4e"

    told = api.get(f"/compare?a={side}&b={side}/target").json()

    titles = [each["title"] for each in told["sides"]]
    assert titles == [
        "checkout-1 of checkout@prod, running r1",
        "checkout-1 of checkout@prod, target r2",
    ]
    assert told["changes"] == [{"key": "MAX", "kind": "changed", "old": 200, "new": 250}]
    assert Release.objects.count() == 3
