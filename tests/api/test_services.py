"""Services and environments over REST."""

from collections.abc import Callable

import pytest

from confhub.catalog.models import Scope
from tests.api.conftest import Caller, problem, untouched


def test_a_service_is_made_and_found(api: Caller) -> None:
    made = api.post("/services", {"slug": "billing", "name": "Billing", "description": "Invoices"})

    assert made.status_code == 201
    assert made["Location"] == "/api/v1/services/billing"
    assert made.json() | {"created_at": ""} == {
        "slug": "billing", "name": "Billing", "description": "Invoices", "created_at": "",
    }  # fmt: skip
    found = api.get("/services/billing").json()
    assert found == made.json() | {"environments": [], "includes": []}


def test_a_service_shows_where_it_stands(api: Caller, publish: Callable[..., int]) -> None:
    publish(MAX=1)

    places = api.get("/services/checkout").json()["environments"]

    assert places == [
        {"environment": "dev", "release": None, "holds_back": False, "behind": False},
        {"environment": "prod", "release": 1, "holds_back": False, "behind": False},
    ]


def test_a_change_leaves_what_it_does_not_name(api: Caller, checkout_prod: Scope) -> None:
    changed = api.patch("/services/checkout", {"description": "Pays"})

    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["description"]) == ("Checkout", "Pays")


def test_a_service_without_releases_goes(api: Caller, checkout_prod: Scope) -> None:
    assert api.delete("/services/checkout").status_code == 204
    problem(api.get("/services/checkout"), 404, "not_found")


@pytest.mark.parametrize("thing", ["/services/checkout", "/environments/prod"])
def test_what_was_published_stays(api: Caller, publish: Callable[..., int], thing: str) -> None:
    publish(MAX=1)

    with untouched():
        problem(api.delete(thing), 409, "catalog.in_use")


def test_an_environment_is_made_changed_and_removed(api: Caller, checkout_prod: Scope) -> None:
    made = api.post("/environments", {"slug": "staging", "protected": True, "order": 7})
    assert made.status_code == 201
    assert made.json() == {
        "slug": "staging", "name": "staging", "protected": True, "order": 7, "approvals": 0,
    }  # fmt: skip

    changed = api.patch("/environments/staging", {"protected": False, "approvals": 1})
    assert changed.json() == {
        "slug": "staging", "name": "staging", "protected": False, "order": 7, "approvals": 1,
    }  # fmt: skip
    assert api.get("/environments/staging").json() == changed.json()

    assert api.delete("/environments/staging").status_code == 204
    problem(api.get("/environments/staging"), 404, "not_found")


def test_lists_come_in_pages_that_join_without_a_gap(api: Caller) -> None:
    for slug in ("a", "b", "c", "d", "e"):
        api.post("/services", {"slug": slug})

    first = api.get("/services?limit=2").json()
    second = api.get(f"/services?limit=2&after={first['next']}").json()
    third = api.get(f"/services?limit=2&after={second['next']}").json()

    pages = [[item["slug"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    assert third["next"] is None


def test_environments_come_in_their_order_across_pages(api: Caller) -> None:
    for order, slug in ((10, "prod"), (9, "staging"), (1, "dev")):
        api.post("/environments", {"slug": slug, "order": order})

    first = api.get("/environments?limit=2").json()
    second = api.get(f"/environments?limit=2&after={first['next']}").json()

    assert [item["slug"] for item in first["items"]] == ["dev", "staging"]
    assert [item["slug"] for item in second["items"]] == ["prod"]


def test_an_environment_does_not_hide_a_page_of_every_service(api: Caller) -> None:
    with untouched():
        refused = api.post("/environments", {"slug": "schema"})

    assert problem(refused, 422, "catalog.bad")["fields"]["slug"].startswith("'schema' is the name")


BAD_BODIES = [
    # body                                            status  code           field
    ({"slug": "Billing"},                              422, "catalog.bad",   "slug"),
    ({"slug": "-billing"},                             422, "catalog.bad",   "slug"),
    ({"slug": "b" * 64},                               422, "catalog.bad",   "slug"),
    ({"slug": ""},                                     422, "catalog.bad",   "slug"),
    ({"slug": "checkout"},                             409, "catalog.taken", "slug"),
    ({},                                               422, "request.bad",   "slug"),
    ({"slug": 7},                                      422, "request.bad",   "slug"),
    ({"slug": None},                                   422, "request.bad",   "slug"),
    ({"slug": "b", "nmae": "B"},                       422, "request.bad",   "nmae"),
    ({"slug": "b", "name": "n" * 121},                 422, "catalog.bad",   "name"),
    ({"slug": "b", "name": "a\u0000b"},                422, "request.bad",   "name"),
    ({"slug": "b", "name": "\ud800"},                  422, "request.bad",   "name"),
    ({"slug": "b", "name": "bell\u0007"},              422, "catalog.bad",   "name"),
    ({"slug": "b", "description": "d" * 2001},         422, "catalog.bad",   "description"),
    ({"slug": "b", "description": "\udfff"},           422, "request.bad",   "description"),
    (["slug"],                                         422, "request.bad",   "body"),
    (None,                                             422, "request.bad",   "body"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "name"), BAD_BODIES)
def test_a_bad_service_is_refused_by_field(
    api: Caller, checkout_prod: Scope, body: object, status: int, code: str, name: str
) -> None:
    with untouched():
        document = problem(api.post("/services", body), status, code)

    assert document["fields"][name]


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        ({"slug": "x", "order": -1}, "catalog.bad", "order"),
        ({"slug": "x", "order": 10**30}, "catalog.bad", "order"),
        ({"slug": "x", "order": 1.5}, "request.bad", "order"),
        ({"slug": "x", "order": True}, "request.bad", "order"),
        ({"slug": "x", "protected": "yes"}, "request.bad", "protected"),
        ({"slug": "x", "protected": 1}, "request.bad", "protected"),
    ],
)
def test_a_bad_environment_is_refused_by_field(
    api: Caller, body: object, code: str, name: str
) -> None:
    with untouched():
        document = problem(api.post("/environments", body), 422, code)

    assert document["fields"][name]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=-1", "after=%21%21", "after=%ff", "after=ä"],
)
@pytest.mark.parametrize("path", ["/services", "/environments"])
def test_a_bad_page_is_refused(api: Caller, path: str, query: str) -> None:
    answer = api.get(f"{path}?{query}")

    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["fields"]
