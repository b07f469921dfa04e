"""A schema is saved only where every environment's values, published and drafted, still fit."""

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from confhub.access.policies import NotFound
from confhub.catalog import schema_versions
from confhub.catalog.models import SchemaVersion
from confhub.catalog.schemas import BadSchema, validate
from confhub.events.models import AuditEntry, Event
from confhub.releases import actions as releases
from confhub.releases import schemas
from confhub.releases.entries import BadEntries
from confhub.releases.schemas import SchemaBreaks, SchemaIsStale
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def save(scope: Any, document: Any, *, expected: int | None = None, message: str = "why") -> Any:
    return schemas.save_schema(
        scope.service, document, message=message, expected_number=expected, who=ANN, now=NOON
    )


def written() -> tuple[int, int, int]:
    return (
        SchemaVersion.objects.count(),
        AuditEntry.objects.filter(action="schema.saved").count(),
        Event.objects.count(),
    )


def test_versions_are_numbered_and_audited() -> None:
    scope = a_scope()
    assert schema_versions.schema_of(scope.service) is None
    first = save(scope, schema(POOL={"type": "integer"}), expected=0)
    second = save(scope, schema(POOL={"type": "number"}), expected=1)
    assert (first.version.number, second.version.number) == (1, 2)
    assert first.created
    assert schema_versions.document_of(scope.service) == schema(POOL={"type": "number"})
    versions = schema_versions.versions_of(scope.service)
    assert [(row.number, row.author, row.message) for row in versions] == [
        (2, "ann", "why"),
        (1, "ann", "why"),
    ]
    assert [row.number for row in schema_versions.versions_of(scope.service, before=2)] == [1]
    assert schema_versions.version_of(scope.service, 2**40) is None
    audited = AuditEntry.objects.filter(action="schema.saved").order_by("id")
    assert [(row.target, row.data) for row in audited] == [
        ("billing", {"number": 1}),
        ("billing", {"number": 2}),
    ]


def test_the_same_again_is_no_new_version() -> None:
    scope = a_scope()
    save(scope, schema(POOL={"type": "integer"}))
    before = written()
    again = save(scope, schema(POOL={"type": "integer"}), message="again")
    assert (again.created, again.version.number) == (False, 1)
    assert written() == before


def test_the_database_refuses_to_change_a_version() -> None:
    scope = a_scope()
    version = save(scope, schema()).version
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        SchemaVersion.objects.filter(pk=version.pk).update(message="other")
    assert SchemaVersion.objects.get().message == "why"


@pytest.mark.parametrize(
    ("document", "message", "error"),
    [
        ({"type": "array"}, "", BadSchema),
        (schema(A={"$ref": "https://example.org"}), "", BadSchema),
        (schema(), "x" * 2001, BadEntries),
        (schema(), "\x00", BadEntries),
    ],
)
def test_what_cannot_be_kept_is_refused(document: Any, message: str, error: Any) -> None:
    scope = a_scope()
    before = written()
    with pytest.raises(error):
        save(scope, document, message=message)
    assert written() == before


def test_a_version_that_came_in_between_is_not_overwritten() -> None:
    scope = a_scope()
    save(scope, schema())
    before = written()
    with pytest.raises(SchemaIsStale) as caught:
        save(scope, schema(A={}), expected=0)
    assert caught.value.extra == {"number": 1, "expected": 0}
    assert (caught.value.status, written()) == (409, before)


def test_every_environment_is_asked_before_a_change_that_breaks() -> None:
    dev, prod = a_scope(environment="dev"), a_scope(environment="prod")
    a_release(dev, {"POOL": 5})
    a_release(prod, {"POOL": 50, "HOST": "h"})
    save(prod, schema(POOL={"type": "integer"}))
    before = written()
    with pytest.raises(SchemaBreaks) as caught:
        save(prod, schema("HOST", POOL={"type": "integer", "maximum": 10}))
    assert caught.value.extra["breaks"] == [
        {"environment": "dev", "in": "release", "keys": {"HOST": "HOST is missing; it is required."}},
        {"environment": "prod", "in": "release", "keys": {"POOL": "POOL is 50; at most 10 is asked for."}},
    ]  # fmt: skip
    assert caught.value.fields.keys() == {"dev.HOST", "prod.POOL"}
    assert "In the release of dev: HOST is missing" in caught.value.detail
    assert (caught.value.status, written()) == (409, before)


def test_drafts_are_asked_too() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 5})
    releases.change_draft(scope, set={"POOL": 50}, expected=None, who=BEN, now=NOON)
    before = written()
    with pytest.raises(SchemaBreaks) as caught:
        save(scope, schema(POOL={"maximum": 10}))
    assert [(each.environment, each.what) for each in caught.value.breaks] == [("prod", "draft")]
    assert written() == before


def test_a_draft_that_is_only_begun_may_lack_what_is_required() -> None:
    scope = a_scope()
    releases.change_draft(scope, set={"POOL": 5}, expected=None, who=BEN, now=NOON)
    assert save(scope, schema("HOST", POOL={"maximum": 10})).created
    with pytest.raises(SchemaBreaks):
        save(scope, schema("HOST", POOL={"maximum": 4}))


def test_another_service_s_values_do_not_count() -> None:
    other, scope = a_scope("search"), a_scope("billing")
    a_release(other, {"POOL": 50})
    assert save(scope, schema(POOL={"maximum": 10})).created


def test_what_layers_give_counts() -> None:
    from confhub.access.layers import layer_for
    from confhub.publishing.layers import publish_layer_changes

    scope = a_scope()
    layer = layer_for(ANN, "publish", "environment", "prod")
    publish_layer_changes(
        layer, set={"POOL": 50}, unset=[], message="", targets="all", who=ANN, now=NOON
    )
    a_release(scope, {"HOST": "h"})
    with pytest.raises(SchemaBreaks, match="POOL is 50"):
        save(scope, schema(POOL={"maximum": 10}))


def test_what_did_not_fit_before_does_not_count() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 5})
    save(scope, schema(POOL={"maximum": 10}, HOST={}))
    releases.change_draft(scope, set={"POOL": 11}, expected=None, who=ANN, now=NOON)
    assert save(scope, schema(POOL={"maximum": 10}, HOST={"type": "string"})).created


def test_a_service_that_is_gone_says_so() -> None:
    scope = a_scope()
    type(scope).objects.all().delete()
    scope.service.__class__.objects.filter(pk=scope.service.pk).delete()
    with pytest.raises(NotFound, match="removed meanwhile"):
        save(scope, schema())
    assert SchemaVersion.objects.count() == 0


def test_the_inferred_schema_fits_what_stands_there_and_can_be_saved() -> None:
    dev, prod = a_scope(environment="dev"), a_scope(environment="prod")
    a_release(dev, {"POOL": 5, "HOST": "h", "DEBUG": True})
    a_release(prod, {"POOL": 2.5, "HOST": "h"})
    releases.change_draft(prod, set={"HOST": None}, expected=None, who=ANN, now=NOON)
    document = schemas.infer_schema(prod.service)
    assert document["properties"] == {
        "DEBUG": {"type": "boolean"},
        "HOST": {"type": ["string", "null"]},
        "POOL": {"type": "number"},
    }
    assert document["required"] == ["HOST", "POOL"]
    assert SchemaVersion.objects.count() == 0  # a proposal only
    assert save(prod, document).created
    assert validate(document, "prod", {"HOST": {"value": 1}, "POOL": {"value": 1}}).keys() == {
        "HOST"
    }
