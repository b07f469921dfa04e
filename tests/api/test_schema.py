"""A service's schema over REST: saved in versions, inferred, and refused where values would break."""

from collections.abc import Callable
from typing import Any

from confhub.access import actions as access
from confhub.catalog.models import SchemaVersion, Scope
from confhub.core import clock
from tests.api.conftest import PROD, Caller, problem, untouched

AT = "/services/checkout/schema"


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def put(api: Caller, document: Any, **more: Any) -> Any:
    return api("PUT", AT, {"document": document, **more})


def test_a_schema_is_saved_in_versions(api: Caller, checkout_prod: Scope) -> None:
    problem(api.get(AT), 404, "not_found")
    first = put(api, schema(POOL={"type": "integer"}), message="types", expected_number=0)
    assert first.status_code == 201
    assert first.json() | {"created_at": ""} == {
        "service": "checkout", "number": 1, "message": "types", "author": "token:ann",
        "created_at": "", "document": schema(POOL={"type": "integer"}),
    }  # fmt: skip
    assert put(api, schema(POOL={"type": "integer"})).status_code == 200  # the same again
    assert put(api, schema(POOL={"type": "number"})).json()["number"] == 2
    assert api.get(AT).json()["document"] == schema(POOL={"type": "number"})
    assert api.get(f"{AT}/versions/1").json() == first.json()
    problem(api.get(f"{AT}/versions/3"), 404, "not_found")
    problem(api.get(f"{AT}/versions/99999999999"), 404, "not_found")

    page = api.get(f"{AT}/versions?limit=1").json()
    assert [item["number"] for item in page["items"]] == [2]
    rest = api.get(f"{AT}/versions?limit=1&after={page['next']}").json()
    assert ([item["number"] for item in rest["items"]], rest["next"]) == ([1], None)
    assert "document" not in rest["items"][0]


def test_what_breaks_where_is_said_and_nothing_is_saved(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=50)
    with untouched():
        told = problem(put(api, schema(POOL={"maximum": 10})), 409, "schema.breaks")
    assert told["breaks"] == [
        {
            "environment": "prod",
            "in": "release",
            "keys": {"POOL": "POOL is 50; at most 10 is asked for."},
        }
    ]
    assert told["fields"] == {"prod.POOL": "POOL is 50; at most 10 is asked for. (In the release.)"}


def test_what_cannot_be_a_schema_is_refused_by_path(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        told = problem(put(api, schema(POOL={"minimum": "1"})), 422, "schema.bad")
        remote = schema(A={"$ref": "https://example.org/s.json"})
        problem(put(api, remote), 422, "schema.bad")
        problem(api("PUT", AT, {"document": []}), 422, "request.bad")
        problem(api("PUT", AT, {"document": schema(), "number": 1}), 422, "request.bad")
        problem(put(api, schema(), expected_number=4), 409, "schema.stale")
        problem(put(api, schema(), message="x" * 2001), 422, "entries.bad")
    assert told["fields"] == {"properties.POOL.minimum": "'1' is not of type 'number'."}


def test_a_proposal_is_inferred_and_not_saved(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=5, HOST="h")
    with untouched():
        answer = api.post(f"{AT}/infer")
    document = answer.json()["document"]
    assert document["properties"] == {"HOST": {"type": "string"}, "POOL": {"type": "integer"}}
    assert put(api, document).status_code == 201


def test_a_value_that_does_not_fit_is_not_published(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=5)
    put(api, schema("POOL", POOL={"type": "integer", "minimum": 1}))
    with untouched():
        told = problem(
            api.post(f"{PROD}/releases", {"message": "m", "set": {"POOL": 0}}),
            422, "schema.refused",
        )  # fmt: skip
        problem(
            api.post(f"{PROD}/releases", {"message": "m", "unset": ["POOL"]}),
            422, "schema.refused",
        )  # fmt: skip
    assert told["fields"] == {"POOL": "POOL is 0; at least 1 is asked for."}


def test_a_pattern_that_never_ends_costs_one_error(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(A="a")
    assert put(api, schema(A={"type": "string", "pattern": "^(a+)+$"})).status_code == 201
    with untouched():
        body = {"message": "m", "set": {"A": "a" * 60 + "!"}}
        told = problem(api.post(f"{PROD}/releases", body), 422, "schema.limited")
    assert told["limit"] == "cpu"
    assert api.post(f"{PROD}/releases", {"message": "m", "set": {"A": "aa"}}).status_code == 201


def test_a_great_change_asks_twice(api: Caller, publish: Callable[..., int]) -> None:
    keys = [f"KEY_{at}" for at in range(6)]
    publish(**dict.fromkeys(keys, 1))
    body = {"message": "m", "unset": keys}
    with untouched():
        told = problem(api.post(f"{PROD}/releases", body), 409, "release.guard")
        other = body | {"confirm": ["count_doubled"]}
        problem(api.post(f"{PROD}/releases", other), 409, "release.guard")
    assert [guard["code"] for guard in told["guards"]] == ["emptied"]
    assert api.post(f"{PROD}/releases", body | {"confirm": ["emptied"]}).status_code == 201


def test_a_rollback_asks_twice_too(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    publish(**{f"KEY_{at}": 1 for at in range(6)})
    with untouched():
        problem(api.post(f"{PROD}/releases/1/rollback", {}), 409, "release.guard")
    answer = api.post(f"{PROD}/releases/1/rollback", {"confirm": ["count_halved"]})
    assert answer.status_code == 201


def test_who_may_not_edit_the_service_everywhere_saves_no_schema(
    api: Caller, anonymous: Caller, checkout_prod: Scope
) -> None:
    person = access.ensure_person("vic", password="a-password-of-vic", now=clock.now())
    person.is_superuser = False
    person.save(update_fields=["is_superuser"])
    access.set_token("vic", token="token-of-vic-long-enough", user=person, now=clock.now())
    vic = Caller(token="token-of-vic-long-enough")
    with untouched():
        assert put(vic, schema()).status_code in (403, 404)
        assert vic.post(f"{AT}/infer").status_code in (403, 404)
        assert put(anonymous, schema()).status_code == 401
        assert anonymous.get(AT).status_code == 401
    assert SchemaVersion.objects.count() == 0
