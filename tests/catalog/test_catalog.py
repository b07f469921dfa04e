"""Services and environments: made, changed, removed; a scope wherever the two meet."""

import pytest

from confhub.catalog import actions
from confhub.catalog.actions import BadSlug, SlugTaken, StillInUse
from confhub.catalog.models import Environment, Scope, Service
from confhub.events.models import AuditEntry, Event
from tests.parts.factories import ANN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db


def everything() -> tuple:
    return (
        list(Service.objects.values_list("slug", "name", "description")),
        list(Environment.objects.values_list("slug", "name", "protected", "order")),
        Scope.objects.count(),
        AuditEntry.objects.count(),
        Event.objects.count(),
    )


def test_every_service_stands_in_every_environment_whichever_came_first() -> None:
    actions.create_environment(slug="dev", who=ANN, now=NOON)
    actions.create_service(slug="shop", who=ANN, now=NOON)
    actions.create_environment(slug="prod", protected=True, order=2, who=ANN, now=NOON)
    actions.create_service(slug="billing", name="Billing", who=ANN, now=NOON)

    assert {str(scope) for scope in Scope.objects.select_related("service", "environment")} == {
        "shop@dev", "shop@prod", "billing@dev", "billing@prod",
    }  # fmt: skip
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "environment.made", "service.made", "environment.made", "service.made",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "slug", ["", "A", "a_b", "-a", "a-", "a" * 64, "a/b", "ä", "a b", "..", "a\n"]
)
def test_a_name_that_cannot_stand_in_a_key_is_refused(slug: str) -> None:
    for make in (actions.create_service, actions.create_environment):
        with pytest.raises(BadSlug, match="1 to 63 small letters") as caught:
            make(slug=slug, who=ANN, now=NOON)
        assert list(caught.value.fields) == ["slug"]

    assert everything() == ([], [], 0, 0, 0)


@pytest.mark.parametrize(
    ("make", "facts", "field"),
    [
        (actions.create_service, {"name": "n" * 121}, "name"),
        (actions.create_service, {"name": "a\x07b"}, "name"),
        (actions.create_service, {"description": "d" * 2001}, "description"),
        (actions.create_service, {"description": "a\x00b"}, "description"),
        (actions.create_environment, {"order": -1}, "order"),
        (actions.create_environment, {"order": 2**40}, "order"),
    ],
)
def test_what_cannot_be_kept_names_its_field(make, facts: dict, field: str) -> None:
    with pytest.raises(BadSlug) as caught:
        make(slug="ok", **facts, who=ANN, now=NOON)

    assert list(caught.value.fields) == [field]
    assert everything() == ([], [], 0, 0, 0)


def test_a_taken_name_changes_nothing() -> None:
    scope = a_scope()
    before = everything()

    with pytest.raises(SlugTaken, match="billing"):
        actions.create_service(slug=scope.service.slug, who=ANN, now=NOON)
    with pytest.raises(SlugTaken, match="prod"):
        actions.create_environment(slug=scope.environment.slug, who=ANN, now=NOON)

    assert everything() == before


def test_only_what_is_given_changes() -> None:
    scope = a_scope()

    actions.change_service(scope.service, description="Money", who=ANN, now=NOON)
    actions.change_environment(scope.environment, protected=True, order=3, who=ANN, now=NOON)

    assert list(Service.objects.values_list("name", "description")) == [("billing", "Money")]
    assert list(Environment.objects.values_list("name", "protected", "order")) == [
        ("prod", True, 3)
    ]


def test_what_was_never_published_can_be_removed() -> None:
    scope = a_scope()

    actions.delete_service(scope.service, who=ANN, now=NOON)
    actions.delete_environment(scope.environment, who=ANN, now=NOON)

    assert everything()[:3] == ([], [], 0)


def test_what_has_releases_stays_because_containers_may_run_them() -> None:
    scope = a_scope()
    a_release(scope)
    before = everything()

    with pytest.raises(StillInUse, match="billing@prod is at r1"):
        actions.delete_service(scope.service, who=ANN, now=NOON)
    with pytest.raises(StillInUse, match="prod"):
        actions.delete_environment(scope.environment, who=ANN, now=NOON)

    assert everything() == before
