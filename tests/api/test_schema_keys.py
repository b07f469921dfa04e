"""One key of a schema over REST."""

from collections.abc import Callable
from typing import Any

from confhub.catalog.models import Scope
from tests.api.conftest import Caller, problem, untouched

KEYS = "/services/checkout/schema/keys"


def put(api: Caller, key: str, rule: Any, **more: Any) -> Any:
    return api("PUT", f"{KEYS}/{key}", {"rule": rule, **more})


def test_a_key_gets_a_rule_and_loses_it(api: Caller, checkout_prod: Scope) -> None:
    problem(api.get(f"{KEYS}/POOL"), 404, "not_found")
    made = put(api, "POOL", {"type": "integer"}, required=False, message="why")
    assert (made.status_code, made.json()["number"]) == (201, 1)
    assert put(api, "POOL", {"type": "integer"}).status_code == 200
    put(api, "HOST", {"type": "string"})
    assert api.get(f"{KEYS}/POOL").json() == {
        "service": "checkout", "key": "POOL", "number": 2, "rule": {"type": "integer"},
        "required": False,
    }  # fmt: skip
    assert api.delete(f"{KEYS}/POOL").status_code == 204
    assert set(api.get("/services/checkout/schema").json()["document"]["properties"]) == {"HOST"}
    with untouched():
        problem(api.delete(f"{KEYS}/POOL"), 404, "not_found")


def test_required_is_of_the_whole(api: Caller, checkout_prod: Scope) -> None:
    put(api, "POOL", {"type": "integer"}, required=True)
    assert api.get("/services/checkout/schema").json()["document"]["required"] == ["POOL"]
    put(api, "POOL", {"type": "integer"})
    assert "required" not in api.get("/services/checkout/schema").json()["document"]


def test_what_would_break_is_refused(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL="many")
    with untouched():
        problem(put(api, "POOL", {"type": "integer"}), 409, "schema.breaks")
        problem(put(api, "POOL", {"type": "nothing"}), 422, "schema.bad")
        problem(put(api, "not a key", {}), 422, "entries.bad")
        problem(put(api, "POOL", {}, expected_number=3), 409, "schema.stale")
        problem(put(api, "POOL", []), 422, "request.bad")
