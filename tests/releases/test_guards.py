"""What is asked twice before a release is cut, and what no confirmation helps against."""

from typing import Any

import pytest

from confhub.access.layers import layer_for
from confhub.catalog.schemas import CannotValidate, facts
from confhub.publishing import actions as publishing
from confhub.publishing.gates import Consent
from confhub.publishing.layers import publish_layer_changes
from confhub.publishing.models import Publication
from confhub.publishing.safety import DoesNotFit
from confhub.releases import actions as releases
from confhub.releases import schemas
from confhub.releases.entries import plain
from confhub.releases.guards import GuardTripped, check
from confhub.releases.models import LayerRelease, Release
from confhub.releases.queries import draft_of
from tests.parts.factories import ANN, NOON, a_release, a_scope

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "HOST": {"type": "string"},
        "POOL": {"type": "integer", "minimum": 1},
        "NOTE": {"type": ["string", "null"]},
    },
    "required": ["HOST", "NOTE"],
}
KNOWN = facts(SCHEMA, "prod")
SECRET = {"secret": True, "ciphertext": "v1:k:xx", "fingerprint": "3f2a9c1b7d4e", "version": 1}


def many(count: int, value: Any = 1) -> dict[str, Any]:
    return {f"KEY_{at}": value for at in range(count)}


def codes(before: dict[str, Any], after: dict[str, Any], known: Any = None) -> list[str]:
    return [guard.code for guard in check(plain(before), plain(after), known or {})]


@pytest.mark.parametrize(
    ("had", "has", "expected"),
    [
        (4, 0, []),
        (4, 8, []),
        (5, 0, ["emptied"]),
        (5, 2, ["count_halved"]),
        (6, 3, ["count_halved"]),
        (6, 4, []),
        (5, 9, []),
        (5, 10, ["count_doubled"]),
        (0, 100, []),
    ],
)
def test_counts_that_halve_or_double_are_asked_about(
    had: int, has: int, expected: list[str]
) -> None:
    assert codes(many(had), many(has)) == expected


def test_a_size_that_doubles_is_asked_about_from_a_few_kilobytes() -> None:
    assert codes({"A": "x"}, {"A": "x" * 5000}) == ["size_doubled"]
    assert codes({"A": "x" * 10}, {"A": "x" * 2000}) == []
    assert codes({"A": "x" * 5000}, {"A": "x" * 9000}) == []
    assert codes({}, {"A": "x" * 5000}) == []


def test_a_required_key_may_never_go() -> None:
    (guard,) = check(plain({"HOST": "h", "NOTE": "n"}), plain({"NOTE": "n"}), KNOWN)
    assert (guard.code, guard.key, guard.can_be_confirmed) == ("required_removed", "HOST", False)
    assert guard.sentence == "HOST is required by the schema and would be removed."
    assert codes({"POOL": 1}, {}, KNOWN) == []


def test_a_required_key_that_empties_is_asked_about() -> None:
    full = {"HOST": "h", "NOTE": "n"}
    assert codes(full, {"HOST": "", "NOTE": None}, KNOWN) == ["required_emptied"] * 2
    assert codes(full, {"HOST": None, "NOTE": "n"}, KNOWN) == []  # the schema refuses that
    assert codes({"HOST": "", "NOTE": None}, {"HOST": "", "NOTE": ""}, KNOWN) == []
    assert codes(full, {"HOST": 0, "NOTE": False}, KNOWN) == []  # not empty, whatever else
    before, after = plain(full), {**plain(full), "HOST": SECRET}
    assert check(before, after, KNOWN) == []


@pytest.mark.django_db
def test_publishing_asks_twice_and_then_does_it() -> None:
    scope = a_scope()
    a_release(scope, many(6))
    releases.change_draft(scope, set={}, unset=many(6), expected=None, who=ANN, now=NOON)
    with pytest.raises(GuardTripped) as caught:
        publishing.publish_draft(scope, message="", who=ANN, now=NOON)
    assert (caught.value.code, caught.value.status) == ("release.guard", 409)
    assert caught.value.extra["guards"] == [
        {
            "code": "emptied",
            "key": None,
            "sentence": "All 6 keys would be removed.",
            "can_be_confirmed": True,
        }
    ]
    assert caught.value.detail == (
        "billing@prod: All 6 keys would be removed. Nothing was published. If that is meant, "
        "confirm it (emptied)."
    )
    assert nothing_new(scope, releases_=1)
    assert len(draft_of(scope).changes) == 6

    consent = Consent(confirmed=["emptied"])
    published = publishing.publish_draft(scope, message="", consent=consent, who=ANN, now=NOON)
    assert (published.release.number, published.release.entries) == (2, {})


@pytest.mark.django_db
def test_another_guard_s_confirmation_does_not_count() -> None:
    scope = a_scope()
    a_release(scope, many(6))
    with pytest.raises(GuardTripped, match="emptied"):
        publishing.publish_changes(
            scope, set={}, unset=many(6), message="", who=ANN, now=NOON,
            consent=Consent(confirmed=["count_halved", "size_doubled"]),
        )  # fmt: skip
    assert nothing_new(scope, releases_=1)


@pytest.mark.django_db
def test_values_that_do_not_fit_are_refused_with_a_sentence_each() -> None:
    scope = a_scope()
    a_release(scope, {"HOST": "h", "NOTE": None, "POOL": 1})
    save(scope)
    releases.change_draft(scope, set={"POOL": 0}, unset=["HOST"], expected=None, who=ANN, now=NOON)
    with pytest.raises(DoesNotFit) as caught:
        publishing.publish_draft(scope, message="", who=ANN, now=NOON)
    assert (caught.value.code, caught.value.status) == ("schema.refused", 422)
    assert caught.value.fields == {
        "POOL": "POOL is 0; at least 1 is asked for.",
        "HOST": "HOST is missing; it is required.",
    }
    assert nothing_new(scope, releases_=1)


@pytest.mark.django_db
def test_no_consent_helps_against_the_removal_of_a_required_key() -> None:
    scope = a_scope()
    a_release(scope, {"HOST": "h", "NOTE": None})
    save(scope)
    with pytest.raises(DoesNotFit):
        publishing.publish_changes(
            scope, set={}, unset=["HOST"], message="", who=ANN, now=NOON,
            consent=Consent(confirmed=["required_removed", "schema"], emergency=True),
        )  # fmt: skip
    assert nothing_new(scope, releases_=1)


@pytest.mark.django_db
def test_a_release_says_which_schema_it_was_checked_against() -> None:
    scope = a_scope()
    assert a_release(scope, {"HOST": "h", "NOTE": None}).schema is None
    save(scope)
    assert a_release(scope, {"POOL": 5}).schema == 1


@pytest.mark.django_db
def test_a_rollback_to_what_does_not_fit_any_more_asks_instead() -> None:
    scope = a_scope()
    a_release(scope, {"HOST": "h", "NOTE": None, "POOL": 0})
    a_release(scope, {"POOL": 5})
    save(scope)
    with pytest.raises(GuardTripped) as caught:
        publishing.roll_back(scope, number=1, message="", who=ANN, now=NOON)
    assert caught.value.fields == {"POOL": "POOL is 0; at least 1 is asked for."}
    assert nothing_new(scope, releases_=2)
    consent = Consent(confirmed=["schema"])
    published = publishing.roll_back(
        scope, number=1, message="", consent=consent, who=ANN, now=NOON
    )
    assert published.release.entries["POOL"] == {"value": 0}


@pytest.mark.django_db
def test_a_rollback_may_not_leave_out_what_is_required() -> None:
    scope = a_scope()
    a_release(scope, {"NOTE": None})
    a_release(scope, {"HOST": "h"})
    save(scope)
    with pytest.raises(DoesNotFit, match="HOST is missing"):
        publishing.roll_back(
            scope, number=1, message="", consent=Consent(confirmed=["schema", "required_removed"]),
            who=ANN, now=NOON,
        )  # fmt: skip
    assert nothing_new(scope, releases_=2)


def save(scope: Any) -> None:
    schemas.save_schema(scope.service, SCHEMA, message="", expected_number=0, who=ANN, now=NOON)


def nothing_new(scope: Any, *, releases_: int) -> bool:
    scope.refresh_from_db()
    counts = Release.objects.filter(scope=scope).count(), Publication.objects.count(), scope.head
    return counts == (releases_, releases_, releases_)


@pytest.mark.django_db
def test_a_layer_is_not_published_past_a_schema() -> None:
    scope = a_scope()
    a_release(scope, {"HOST": "h", "NOTE": None})
    save(scope)
    layer = layer_for(ANN, "publish", "global")
    with pytest.raises(DoesNotFit, match="POOL is 0") as caught:
        publish_layer_changes(
            layer, set={"POOL": 0}, unset=[], message="m", targets="all", who=ANN, now=NOON
        )
    assert "No release was cut anywhere" in caught.value.detail
    assert nothing_new(scope, releases_=1)
    assert not LayerRelease.objects.exists()


@pytest.mark.django_db
def test_a_pattern_that_never_ends_stops_a_publish_but_only_asks_before_a_rollback() -> None:
    scope = a_scope()
    a_release(scope, {"A": "a" * 60 + "!", "HOST": "h", "NOTE": None})
    a_release(scope, {"A": "a"})
    document = {**SCHEMA, "properties": {"A": {"type": "string", "pattern": "^(a+)+$"}}}
    schemas.save_schema(scope.service, document, message="", expected_number=0, who=ANN, now=NOON)
    with pytest.raises(CannotValidate, match="Look at the pattern of A"):
        publishing.publish_changes(
            scope, set={"A": "a" * 60 + "?"}, unset=[], message="", who=ANN, now=NOON
        )
    with pytest.raises(GuardTripped, match="could not be checked"):
        publishing.roll_back(scope, number=1, message="", who=ANN, now=NOON)
    assert nothing_new(scope, releases_=2)
    consent = Consent(confirmed=["schema"])
    back = publishing.roll_back(scope, number=1, message="", consent=consent, who=ANN, now=NOON)
    assert back.release.number == 3
