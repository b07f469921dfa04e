"""Publishing: release, outbox, audit and events in one transaction; refused means untouched."""

import pytest
from django.db import DatabaseError, transaction

from confhub.access.policies import NotFound
from confhub.catalog.models import Scope
from confhub.core.listen import rings_by_itself
from confhub.events.models import AuditEntry, Event
from confhub.publishing import actions
from confhub.publishing.actions import NothingToPublish
from confhub.publishing.models import Publication
from confhub.releases.actions import DraftIsStale, ReleaseIsStale, change_draft, rebase_draft
from confhub.releases.entries import BadEntries
from confhub.releases.models import Release
from confhub.releases.queries import draft_of, entries_of, head_of
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later
from watchers.wire.canonical import checksum

pytestmark = pytest.mark.django_db


def everything() -> tuple:
    return (
        list(Release.objects.values_list("scope_id", "number", "checksum")),
        list(Publication.objects.values_list("release_id", "state")),
        AuditEntry.objects.count(),
        Event.objects.count(),
        list(Scope.objects.values_list("head", flat=True)),
    )


def values(scope: Scope) -> dict:
    return {key: entry["value"] for key, entry in entries_of(scope).items()}


def test_the_draft_becomes_release_1_and_waits_in_the_outbox() -> None:
    scope = a_scope()
    change_draft(scope, set={"POOL": 10}, expected=None, who=ANN, now=NOON)

    published = actions.publish_draft(scope, message="first", who=BEN, now=later(1))

    release = published.release
    assert published.created
    assert (release.number, release.author, release.message, release.parent) == (
        1,
        "ben",
        "first",
        None,
    )
    assert release.checksum == checksum({"POOL": {"value": 10}})
    assert release.publication.state == Publication.State.WAITING
    assert draft_of(scope).changes == []
    assert draft_of(scope).base == 1
    audit = AuditEntry.objects.get(action="release.published")
    assert (audit.actor, audit.target) == ("ben", "billing@prod r1")
    assert Event.objects.filter(kind="release.published", stream=scope.stream).count() == 1


def test_an_unchanged_draft_answers_with_the_current_release_and_writes_nothing() -> None:
    scope = a_scope()
    release = a_release(scope, {"POOL": 10})
    change_draft(scope, set={"POOL": 10}, expected=None, who=ANN, now=NOON)
    before = everything()

    published = actions.publish_draft(scope, message="", who=ANN, now=NOON)

    assert (published.created, published.release.pk) == (False, release.pk)
    assert everything() == before


def test_a_scope_without_keys_has_nothing_to_publish() -> None:
    with pytest.raises(NothingToPublish):
        actions.publish_draft(a_scope(), message="", who=ANN, now=NOON)

    assert Release.objects.count() == Publication.objects.count() == 0


def test_changes_are_published_without_what_is_drafted() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10, "IMAGE": "v1"})
    change_draft(scope, set={"POOL": 99}, expected=None, who=BEN, now=NOON)

    published = actions.publish_changes(
        scope, set={"IMAGE": "v2"}, unset=[], message="deploy", who=ANN, now=NOON
    )

    assert published.release.number == 2
    assert values(scope) == {"POOL": 10, "IMAGE": "v2"}
    draft = draft_of(scope)
    assert [(change.key, change.value, change.overlaps) for change in draft.changes] == [
        ("POOL", 99, False)
    ]
    assert actions.publish_draft(scope, message="", who=BEN, now=NOON).release.number == 3
    assert values(scope) == {"POOL": 99, "IMAGE": "v2"}


def test_a_key_published_under_a_draft_must_be_decided_first() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10, "HOST": "db"})
    change_draft(scope, set={"POOL": 99, "HOST": "db2"}, expected=None, who=BEN, now=NOON)
    actions.publish_changes(scope, set={"POOL": 20}, unset=[], message="", who=ANN, now=NOON)
    before = everything()

    with pytest.raises(DraftIsStale) as caught:
        actions.publish_draft(scope, message="", who=BEN, now=NOON)

    assert caught.value.extra["overlapping"] == ["POOL"]
    assert everything() == before

    rebase_draft(scope, take_theirs=["POOL"], expected_release=2, who=BEN, now=NOON)
    audit = AuditEntry.objects.get(action="draft.rebased")
    assert (audit.actor, audit.data) == ("ben", {"release": 2, "given_up": ["POOL"]})
    actions.publish_draft(scope, message="", who=BEN, now=NOON)
    assert values(scope) == {"POOL": 20, "HOST": "db2"}


def test_theirs_is_not_taken_over_a_value_that_was_drafted_after_the_decision() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10})
    change_draft(scope, set={"POOL": 99}, expected=None, who=BEN, now=NOON)
    actions.publish_changes(scope, set={"POOL": 20}, unset=[], message="", who=ANN, now=NOON)
    seen = draft_of(scope).version
    change_draft(scope, set={"POOL": 77}, expected=None, who=BEN, now=NOON)
    before = everything()

    with pytest.raises(DraftIsStale) as caught:
        rebase_draft(
            scope, take_theirs=["POOL"], expected_release=2, expected=seen, who=ANN, now=NOON
        )

    assert caught.value.extra["conflicts"]["POOL"]["theirs"] == 77
    assert everything() == before


def test_mine_stays_when_nothing_of_theirs_is_taken() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10})
    change_draft(scope, set={"POOL": 99}, expected=None, who=BEN, now=NOON)
    actions.publish_changes(scope, set={"POOL": 20}, unset=[], message="", who=ANN, now=NOON)

    rebase_draft(scope, take_theirs=[], expected_release=2, who=BEN, now=NOON)
    actions.publish_draft(scope, message="", who=BEN, now=NOON)

    assert values(scope) == {"POOL": 99}


def test_a_draft_that_changed_after_its_review_is_not_published() -> None:
    scope = a_scope()
    reviewed = change_draft(scope, set={"POOL": 1}, expected=None, who=ANN, now=NOON).version
    change_draft(scope, set={"POOL": 2}, expected=None, who=BEN, now=NOON)
    before = everything()

    with pytest.raises(DraftIsStale, match="ben"):
        actions.publish_draft(scope, message="", expected_draft=reviewed, who=ANN, now=NOON)

    assert everything() == before


def test_another_newest_release_than_expected_is_refused() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 1})
    before = everything()

    for attempt in (
        lambda: actions.publish_changes(
            scope, set={"POOL": 2}, unset=[], message="", expected_release=0, who=ANN, now=NOON
        ),
        lambda: actions.roll_back(
            scope, number=1, message="", expected_release=7, who=ANN, now=NOON
        ),
    ):
        with pytest.raises(ReleaseIsStale) as caught:
            attempt()
        assert caught.value.extra["release"] == 1

    assert everything() == before


def test_a_rollback_is_a_new_number_with_the_old_content() -> None:
    scope = a_scope()
    first = a_release(scope, {"POOL": 10})
    a_release(scope, {"POOL": 20})
    change_draft(scope, set={"HOST": "x"}, expected=None, who=BEN, now=NOON)

    release = actions.roll_back(scope, number=1, message="", who=ANN, now=NOON).release

    assert (release.number, release.restores, release.parent) == (3, 1, 2)
    assert release.checksum == first.checksum
    assert [change.key for change in draft_of(scope).changes] == ["HOST"]
    assert AuditEntry.objects.order_by("id").last().data["restores"] == 1


def test_a_rollback_to_a_number_that_does_not_exist_changes_nothing() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10})
    before = everything()

    for number in (0, 2, 99, 2**40):
        with pytest.raises(NotFound):
            actions.roll_back(scope, number=number, message="", who=ANN, now=NOON)

    assert everything() == before


def test_an_oversized_release_changes_nothing(settings) -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10})
    settings.CONFHUB_MAX_RELEASE_BYTES = 500
    before = everything()

    with pytest.raises(BadEntries):
        actions.publish_changes(
            scope, set={"BIG": "x" * 600}, unset=[], message="", who=ANN, now=NOON
        )
    with pytest.raises(BadEntries):
        actions.publish_changes(
            scope, set={"A": 1}, unset=[], message="x" * 2001, who=ANN, now=NOON
        )

    assert everything() == before


def test_the_database_itself_refuses_to_change_a_release() -> None:
    release = a_release(a_scope(), {"POOL": 10})

    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Release.objects.filter(pk=release.pk).update(message="rewritten")

    assert head_of(release.scope).message == ""


def test_a_broker_that_is_away_does_not_hold_a_publish(
    settings, django_capture_on_commit_callbacks
) -> None:
    scope = a_scope()
    change_draft(scope, set={"POOL": 10}, expected=None, who=ANN, now=NOON)

    with django_capture_on_commit_callbacks(execute=True) as rung:
        actions.publish_draft(scope, message="", who=ANN, now=NOON)

    # PostgreSQL tells its listeners of the commit itself, so there no broker is asked at all.
    rings = [each for each in rung if "ring" in str(getattr(each, "func", ""))]
    assert bool(rings) is not rings_by_itself()
    assert Publication.objects.get().state == Publication.State.WAITING
