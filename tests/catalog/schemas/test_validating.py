"""Values against a schema: a sentence for each key that does not fit, and never a secret's value."""

import json
from typing import Any

import pytest

from confhub.catalog.schemas import CannotValidate, breaking, facts, infer, validate
from confhub.releases.entries import plain
from tests.catalog.schemas.test_document import GOOD, schema

SECRET = {"secret": True, "ciphertext": "v1:k:xx", "fingerprint": "3f2a9c1b7d4e", "version": 1}


def problems(document: dict[str, Any], **values: Any) -> dict[str, str]:
    return validate(document, "prod", plain(values))


def test_what_fits_has_no_problems() -> None:
    entries = plain({"HOST": "db.example.org", "POOL": 10}) | {"PASSWORD": SECRET}
    assert validate(GOOD, "prod", entries) == {}


@pytest.mark.parametrize(
    ("rule", "value", "sentence"),
    [
        ({"type": "integer"}, "ten", 'K is "ten"; a whole number is asked for.'),
        ({"type": "integer"}, True, "K is true; a whole number is asked for."),
        ({"type": "integer"}, None, "K is null; a whole number is asked for."),
        ({"type": "integer"}, "", 'K is ""; a whole number is asked for.'),
        ({"type": ["integer", "null"]}, "x", 'K is "x"; a whole number or null is asked for.'),
        ({"minimum": 1}, 0, "K is 0; at least 1 is asked for."),
        ({"maximum": 1.5}, 2, "K is 2; at most 1.5 is asked for."),
        ({"exclusiveMinimum": 0}, 0, "K is 0; more than 0 is asked for."),
        ({"exclusiveMaximum": 9}, 9, "K is 9; less than 9 is asked for."),
        ({"multipleOf": 5}, 7, "K is 7; a multiple of 5 is asked for."),
        ({"minLength": 1}, "", "K is empty; at least 1 character is asked for."),
        ({"minLength": 5}, "abc", "K has 3 characters; at least 5 characters are asked for."),
        ({"maxItems": 1}, [1, 2], "K has 2 items; at most 1 item is asked for."),
        ({"pattern": "^a+$"}, "b", 'K is "b"; it must match ^a+$.'),
        ({"enum": ["a", "b", 3]}, "c", 'K is "c"; "a", "b" or 3 is asked for.'),
        ({"const": 1}, 2, "K is 2; 1 is asked for."),
        ({"format": "ipv4"}, "1.2.3", 'K is "1.2.3"; an IPv4 address is asked for.'),
        ({"format": "uri"}, "here", 'K is "here"; an absolute URI is asked for.'),
        ({"format": "date"}, "20261124", 'K is "20261124"; a date (2026-11-24) is asked for.'),
        ({"format": "date-time"}, "2026-11-24T12:00:00", 'K is "2026-11-24T12:00:00"; a time with its offset (2026-11-24T12:00:00Z) is asked for.'),
        ({"items": {"type": "integer"}}, [1, "x"], 'K[1] is "x"; a whole number is asked for.'),
        ({"properties": {"a": {"maximum": 1}}}, {"a": 2}, "K.a is 2; at most 1 is asked for."),
        ({"required": ["a"]}, {}, "K has no a; it is required."),
        ({"uniqueItems": True}, [1, 1], "K is [1, 1]; each item may stand in it once."),
        ({"anyOf": [{"type": "null"}, {"maximum": 1}]}, 2, "K is 2; it fits nothing that the schema allows (anyOf)."),
        ({"not": {"const": 1}}, 1, "K is 1; the schema excludes it."),
        (False, 1, "K is 1; the schema excludes it."),
        ({"properties": {"a": False}}, {"a": 1}, "K may not be set; the schema forbids it."),
        ({"type": "null"}, "x" * 100, f'K is "{"x" * 58}…; null is asked for.'),
        ({"type": "null"}, list(range(99)), "K is a list of 99; null is asked for."),
    ],
)  # fmt: skip
def test_each_problem_is_a_sentence(rule: Any, value: Any, sentence: str) -> None:
    assert problems(schema(K=rule), K=value) == {"K": sentence}


@pytest.mark.parametrize("format_", ["email", "hostname", "ipv6", "uuid", "regex", "unknown"])
def test_a_format_is_no_type(format_: str) -> None:
    assert problems(schema(K={"format": format_}), K=7) == {}


def test_missing_and_unknown_keys_are_named() -> None:
    assert problems(GOOD, POLL=3) == {
        "HOST": "HOST is missing; it is required.",
        "POLL": "POLL is not in the schema, which allows no other keys.",
    }
    beside = {**schema(A={}, B={}), "dependentRequired": {"A": ["B"]}}
    assert problems(beside, A=1) == {"B": "B is missing; it is required beside A."}
    few = {**schema(), "maxProperties": 1}
    assert problems(few, A=1, B=1) == {"": "At most 1 keys are asked for."}


def test_an_environment_has_its_own_rules() -> None:
    entries = plain({"HOST": "h", "POOL": 5})
    assert validate(GOOD, "prod", entries) == {"POOL": "POOL is 5; at least 10 is asked for."}
    assert validate(GOOD, "dev", entries) == {}
    assert validate(GOOD, "dev", {}) == {}


def test_of_a_secret_only_its_presence_is_checked() -> None:
    document = {**schema(P={"type": "integer", "secret": True}), "required": ["P"]}
    assert validate(document, "prod", {"P": SECRET}) == {}
    assert validate(document, "prod", {}) == {"P": "P is missing; it is required."}
    closed = {**schema(), "additionalProperties": False}
    assert list(validate(closed, "prod", {"P": SECRET})) == ["P"]


def test_an_opened_secret_is_checked_and_never_repeated() -> None:
    document = schema(P={"type": "string", "minLength": 12, "pattern": "^z", "secret": True})
    found = validate(document, "prod", {"P": SECRET}, opened={"P": "hunter2"})
    assert found == {"P": "The secret P does not fit; at least 12 characters are asked for."}
    assert validate(document, "prod", {"P": SECRET}, opened={"P": "zhunter2hunter2"}) == {}
    nested = schema(P={"properties": {"a": {"enum": ["x"]}}, "secret": True})
    found = validate(nested, "prod", {"P": SECRET}, opened={"P": {"a": "hunter2"}})
    assert "hunter2" not in json.dumps(found)


def test_a_secret_that_stands_readable_is_refused_without_its_value() -> None:
    document = schema(P={"type": "integer", "secret": True})
    found = problems(document, P="hunter2")
    assert found == {
        "P": "P is a secret by the schema and stands there readable. Set it as a secret."
    }


def test_a_catastrophic_pattern_costs_one_error() -> None:
    document = schema(K={"type": "string", "pattern": "^(a+)+$"})
    with pytest.raises(CannotValidate) as caught:
        problems(document, K="a" * 60 + "!")
    assert caught.value.code == "schema.limited"
    assert caught.value.detail.endswith("Look at the pattern of K.")
    assert caught.value.extra == {"limit": "cpu"}
    assert problems(document, K="aaa") == {}


def test_a_number_that_no_float_can_hold_is_one_problem() -> None:
    assert list(problems(schema(K={"multipleOf": 0.1}), K=10**400)) == [""]


def test_a_deep_value_costs_one_error() -> None:
    deep: Any = 0
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(CannotValidate):
        problems(schema(K={}), K=deep)


def test_facts_say_what_the_schema_says_of_each_key() -> None:
    found = facts(GOOD, "prod")
    assert list(found) == ["POOL", "HOST", "PASSWORD", "OLD"]
    pool = found["POOL"]
    assert (pool.type, pool.minimum, pool.default, pool.reload) == (("integer",), 10, 20, "restart")
    assert (found["HOST"].type, found["HOST"].required) == (("string",), True)
    assert found["PASSWORD"].secret
    assert (found["OLD"].deprecated, found["OLD"].instead) == (True, "Use HOST.")
    assert facts(GOOD, "dev")["HOST"].default == "localhost"
    assert facts(None, "prod") == {}
    assert facts({**schema(), "required": ["X"]}, "dev")["X"].required


def test_a_change_breaks_where_it_refuses_what_fitted_before() -> None:
    old = schema(A={"type": "integer"}, B={"type": "integer"})
    new = schema(A={"type": "integer", "maximum": 5}, B={"type": "integer"})
    there = {"dev": plain({"A": 5}), "prod": plain({"A": 9, "B": "x"})}
    assert breaking(old, new, there) == {"prod": {"A": "A is 9; at most 5 is asked for."}}
    assert breaking(None, new, there)["prod"].keys() == {"A", "B"}
    assert breaking(new, old, there) == {}


def test_a_schema_is_inferred_that_all_values_fit() -> None:
    dev = plain({"A": 1, "B": True, "C": "x", "D": [1, 2.5], "E": None}) | {"P": SECRET}
    prod = plain({"A": 1.5, "B": False, "D": [], "E": "x", "P": "readable", "F": {"a": 1}})
    document = infer([dev, prod])
    assert document["properties"] == {
        "A": {"type": "number"},
        "B": {"type": "boolean"},
        "C": {"type": "string"},
        "D": {"type": "array", "items": {"type": "number"}},
        "E": {"type": ["string", "null"]},
        "F": {"type": "object"},
        "P": {"type": "string", "secret": True},
    }
    assert document["required"] == ["A", "B", "D", "E", "P"]
    assert validate(document, "dev", dev) == {}
    assert list(validate(document, "prod", prod)) == ["P"]  # a secret elsewhere, readable here
    named = infer([dev, prod], ["dev", "prod"])
    assert named["properties"]["P"]["environments"] == {"prod": {"secret": False}}
    assert validate(named, "prod", prod) == {}
    assert infer([])["properties"] == {}
