"""What may be a service's schema, and what is refused with the path and the way out."""

from typing import Any

import pytest

from confhub.catalog.schemas import BadSchema, check_document, effective

GOOD: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "POOL": {
            "type": "integer",
            "minimum": 1,
            "default": 10,
            "description": "Connections.",
            "reload": "restart",
            "environments": {"prod": {"minimum": 10, "default": 20}},
        },
        "HOST": {"$ref": "#/$defs/host"},
        "PASSWORD": {"type": "string", "minLength": 12, "secret": True},
        "OLD": {"type": "string", "deprecated": "Use HOST."},
    },
    "required": ["HOST"],
    "additionalProperties": False,
    "environments": {"dev": {"required": [], "properties": {"HOST": {"default": "localhost"}}}},
    "$defs": {"host": {"type": "string", "format": "hostname"}},
}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def refused(document: Any) -> dict[str, str]:
    with pytest.raises(BadSchema) as caught:
        check_document(document)
    assert (caught.value.code, caught.value.status) == ("schema.bad", 422)
    assert next(iter(caught.value.fields.values())).split(".")[0] in caught.value.detail
    return caught.value.fields


def test_a_schema_with_all_our_words_is_accepted() -> None:
    check_document(GOOD)
    check_document(schema())


def test_an_environment_lays_its_own_over_the_rest() -> None:
    assert effective(GOOD, "prod")["properties"]["POOL"]["minimum"] == 10
    assert effective(GOOD, "dev")["properties"]["POOL"]["minimum"] == 1
    assert effective(GOOD, "dev")["required"] == []
    assert effective(GOOD, "prod")["required"] == ["HOST"]
    assert effective(GOOD, "dev")["properties"]["HOST"]["default"] == "localhost"
    assert "environments" not in effective(GOOD, "prod")["properties"]["POOL"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (None, "schema"),
        ([], "schema"),
        ({"properties": {}}, "type"),
        ({"type": "array", "properties": {}}, "type"),
        ({"type": "object"}, "properties"),
        ({"type": "object", "properties": []}, "properties"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **schema()}, "$schema"),
        (schema(**{"2X": {}}), "properties.2X"),
        (schema(A={"type": "whole"}), "properties.A.type"),
        (schema(A={"minimum": "1"}), "properties.A.minimum"),
        (schema(A={"pattern": "("}), "properties.A.pattern"),
        ({**schema(), "required": "A"}, "required"),
        (schema(A={"secret": "yes"}), "properties.A.secret"),
        (schema(A={"reload": "sometimes"}), "properties.A.reload"),
        (schema(A={"deprecated": 1}), "properties.A.deprecated"),
        (schema(A={"environments": []}), "properties.A.environments"),
        (schema(A={"environments": {"Prod!": {}}}), "properties.A.environments.Prod!"),
        (schema(A={"environments": {"prod": 1}}), "properties.A.environments.prod"),
        (schema(A={"environments": {"prod": {"environments": {}}}}), "properties.A.environments.prod"),
        (schema(A={"environments": {"prod": {"reload": 1}}}), "properties.A.environments.prod.reload"),
        (schema(A={"environments": {"prod": {"minimum": "1"}}}), "properties.A.minimum"),
        ({**schema(), "environments": {"prod": {"type": "array"}}}, "environments.prod"),
        ({**schema(), "environments": {"prod": {"required": 3}}}, "required"),
        ({**schema(), "environments": {"prod": {"properties": {"A": 1}}}}, "environments.prod.properties.A"),
        (schema(A={"$ref": "https://example.org/s.json"}), "properties.A.$ref"),
        (schema(A={"allOf": [{"$ref": "file:///etc/passwd"}]}), "properties.A.allOf.0.$ref"),
        (schema(A={"$dynamicRef": "https://example.org"}), "properties.A.$dynamicRef"),
        (schema(A={"$ref": "#/$defs/nothing"}), "properties.A.$ref"),
        (schema(default={"$ref": "#/$defs/nothing"}), "properties.default.$ref"),
        ({**schema(), "patternProperties": {"default": {"$ref": "https://example.org"}}}, "patternProperties.default.$ref"),
        (schema(A={"$dynamicRef": "#nothing"}), "properties.A.$dynamicRef"),
        (schema(A={"pattern": "a{99999999999}"}), "properties.A.pattern"),
        ({"$id": "https://example.org", **schema()}, "$id"),
        (schema(A={"type": "integer", "default": "ten"}), "properties.A.default"),
        (schema(A={"type": "integer", "environments": {"prod": {"default": "x"}}}), "properties.A.default"),
    ],
)  # fmt: skip
def test_what_no_value_could_be_checked_by_is_refused(document: Any, path: str) -> None:
    assert path in refused(document)


def test_a_value_may_hold_what_would_be_a_reference_elsewhere() -> None:
    check_document(schema(A={"default": {"$ref": "https://example.org"}, "enum": [{"$id": 1}, {"$ref": "https://example.org"}]}))  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        schema(A={"$ref": "#/properties/A"}),
        {**schema(A={"$ref": "#/$defs/a"}), "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {**schema(), "allOf": [{"$ref": "#"}]},
    ],
)  # fmt: skip
def test_a_schema_that_refers_to_itself_is_one_error(document: dict[str, Any]) -> None:
    assert refused(document) == {"schema": "It refers to itself without an end."}


def test_a_default_that_a_pattern_never_ends_on_is_one_error() -> None:
    document = schema(A={"type": "string", "pattern": "^(a+)+$", "default": "a" * 60 + "!"})
    assert "did not end" in refused(document)["schema"]


def test_a_deep_or_large_schema_is_one_error() -> None:
    deep: Any = {}
    for _ in range(5_000):
        deep = {"not": deep}
    assert "deeper" in refused(schema(A=deep))["schema"]
    assert "bytes" in refused(schema(A={"description": "x" * 600_000}))["schema"]
    assert refused(schema(A={"minimum": float("nan")}))
