"""The draft: saved key by key, and nobody's edit is lost."""

import pytest

from confhub.catalog.models import Scope
from confhub.events.models import AuditEntry, Event
from confhub.publishing import actions as publishing
from confhub.releases import actions
from confhub.releases.actions import DraftIsStale, ScopeIsGone
from confhub.releases.entries import BadEntries
from confhub.releases.models import Draft, DraftChange
from confhub.releases.queries import draft_of, resolved_draft
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later
from watchers.wire.canonical import checksum

pytestmark = pytest.mark.django_db


def edit(scope, *, who=ANN, expected=None, **values):
    return actions.change_draft(scope, set=values, expected=expected, who=who, now=NOON)


def rows() -> tuple[list, list, int]:
    return (
        list(Draft.objects.values_list("version", "base", "updated_by")),
        list(DraftChange.objects.order_by("key").values_list("key", "version", "author", "entry")),
        Event.objects.count(),
    )


def test_a_draft_that_nobody_began_is_empty_at_version_0() -> None:
    draft = draft_of(a_scope())

    assert (draft.version, draft.base, draft.head, draft.changes) == (0, 0, 0, [])


def test_set_and_unset_show_at_their_keys() -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10, "HOST": "db"})

    draft = actions.change_draft(
        scope, set={"POOL": 20, "NEW": [1]}, unset=["HOST"], expected=None, who=BEN, now=later(5)
    )

    assert [
        (change.key, change.removed, change.value, change.author) for change in draft.changes
    ] == [
        ("HOST", True, None, "ben"),
        ("NEW", False, [1], "ben"),
        ("POOL", False, 20, "ben"),
    ]
    assert {key: entry["value"] for key, entry in resolved_draft(scope).items()} == {
        "POOL": 20,
        "NEW": [1],
    }


def test_two_people_at_different_keys_never_meet() -> None:
    scope = a_scope()
    seen = edit(scope, A=1).version
    edit(scope, who=BEN, expected=seen, B=2)

    draft = edit(scope, who=ANN, expected=seen, C=3)

    assert [change.key for change in draft.changes] == ["A", "B", "C"]


def test_the_later_of_two_at_one_key_gets_both_sides_and_changes_nothing() -> None:
    scope = a_scope()
    seen = edit(scope, A=1).version
    edit(scope, who=BEN, expected=seen, A=2)
    before = rows()

    with pytest.raises(DraftIsStale) as caught:
        edit(scope, who=ANN, expected=seen, A=3, B=4)

    assert caught.value.status == 412
    assert caught.value.extra["conflicts"]["A"]["theirs"] == 2
    assert caught.value.extra["conflicts"]["A"]["yours"] == 3
    assert caught.value.extra["conflicts"]["A"]["by"] == "ben"
    assert caught.value.extra["version"] == seen + 1
    assert rows() == before


def test_the_same_value_from_both_is_no_conflict() -> None:
    scope = a_scope()
    seen = edit(scope, A=1).version
    edit(scope, who=BEN, expected=seen, A=2)

    assert edit(scope, who=ANN, expected=seen, A=2).changes[0].value == 2


def test_an_edit_from_a_page_older_than_an_undo_is_a_conflict() -> None:
    scope = a_scope()
    a_release(scope, {"A": 0})
    seen = edit(scope, A=1).version
    actions.change_draft(scope, set={}, revert=["A"], expected=seen, who=BEN, now=NOON)

    with pytest.raises(DraftIsStale) as caught:
        edit(scope, expected=seen, A=5)

    assert caught.value.extra["conflicts"]["A"]["theirs"] == 0


def test_an_edit_from_a_page_older_than_a_publish_of_another_value_is_a_conflict() -> None:
    scope = a_scope()
    seen = edit(scope, A=1).version
    edit(scope, who=BEN, expected=seen, A=2)
    publishing.publish_draft(scope, message="", who=BEN, now=NOON)

    with pytest.raises(DraftIsStale):
        edit(scope, expected=seen, A=3)


def test_an_edit_from_a_page_that_saw_what_was_published_is_taken() -> None:
    scope = a_scope()
    seen = edit(scope, A=1).version
    publishing.publish_draft(scope, message="", who=BEN, now=NOON)

    assert edit(scope, expected=seen, A=3).changes[0].value == 3


def test_an_edit_from_a_page_older_than_a_deploy_hooks_release_is_a_conflict() -> None:
    scope = a_scope()
    a_release(scope, {"A": 1})
    seen = draft_of(scope).version
    publishing.publish_changes(scope, set={"A": 2}, unset=[], message="", who=BEN, now=NOON)

    with pytest.raises(DraftIsStale) as caught:
        edit(scope, expected=seen, A=3)

    assert caught.value.extra["conflicts"]["A"]["theirs"] == 2


def test_undo_makes_a_key_as_it_is_in_the_release() -> None:
    scope = a_scope()
    a_release(scope, {"A": 1})
    actions.change_draft(scope, set={"A": 2, "B": 3}, expected=None, who=ANN, now=NOON)

    draft = actions.change_draft(scope, set={}, revert=["A", "B"], expected=None, who=ANN, now=NOON)

    assert draft.changes == []
    assert resolved_draft(scope) == {"A": {"value": 1}}


def test_removing_a_key_that_only_the_draft_has_leaves_no_trace() -> None:
    scope = a_scope()
    edit(scope, NEW=1)

    assert (
        actions.change_draft(scope, set={}, unset=["NEW"], expected=None, who=ANN, now=NOON).changes
        == []
    )


@pytest.mark.parametrize(
    "changes",
    [{"set": {"1": 1}}, {"set": {}, "unset": ["MISSING"]}, {"set": {}, "revert": ["MISSING"]},
     {"set": {"a.b": 1, "A_B": 2}}, {"set": {"BIG": "x" * 300_000}}],
)  # fmt: skip
def test_what_cannot_be_kept_changes_nothing(changes: dict) -> None:
    scope = a_scope()
    edit(scope, KEPT=1)
    before = rows()

    with pytest.raises(BadEntries):
        actions.change_draft(scope, **changes, expected=None, who=ANN, now=NOON)

    assert rows() == before


def test_a_draft_that_could_never_be_published_is_refused_while_its_author_looks(settings) -> None:
    settings.CONFHUB_MAX_RELEASE_BYTES = 1000
    scope = a_scope()

    with pytest.raises(BadEntries, match="CONFHUB_MAX_RELEASE_BYTES"):
        edit(scope, A="x" * 600, B="y" * 600)

    assert draft_of(scope).changes == []


def test_discard_puts_every_key_back_and_is_audited() -> None:
    scope = a_scope()
    a_release(scope, {"A": 1})
    seen = edit(scope, A=2, B=3).version

    draft = actions.discard_draft(scope, expected=seen, who=ANN, now=NOON)

    assert draft.changes == []
    assert AuditEntry.objects.get(action="draft.discarded").data == {"keys": ["A", "B"]}


def test_discard_spares_what_somebody_wrote_meanwhile() -> None:
    scope = a_scope()
    seen = edit(scope, A=2).version
    edit(scope, who=BEN, B=3)

    with pytest.raises(DraftIsStale):
        actions.discard_draft(scope, expected=seen, who=ANN, now=NOON)

    assert [change.key for change in draft_of(scope).changes] == ["A", "B"]


@pytest.mark.parametrize(
    "value", [1e16, 1e22, 0.1, -0.0, 10**30, 1.0, 2**63, "ü\u2028\t", {"b": 1, "a": [None]}]
)
def test_a_value_comes_back_as_the_same_bytes(value: object) -> None:
    scope = a_scope()

    release = a_release(scope, {"A": value})
    release.refresh_from_db()

    assert repr(release.entries["A"]["value"]) == repr(
        value if not isinstance(value, dict) else {"a": [None], "b": 1}
    )
    assert checksum(release.entries) == release.checksum


def test_a_version_that_was_never_reached_is_stale_because_the_database_was_set_back() -> None:
    scope = a_scope()
    before = rows()

    with pytest.raises(DraftIsStale, match="version 7"):
        edit(scope, expected=7, A=1)

    assert rows() == before


def test_an_edit_under_which_the_service_was_removed_says_so() -> None:
    scope = a_scope()
    Scope.objects.filter(pk=scope.pk).delete()

    with pytest.raises(ScopeIsGone, match="was removed while you worked on it"):
        edit(scope, POOL=1)

    assert rows() == ([], [], Event.objects.count())
