"""Undo: one's own newest act, whole, and only where nobody else was at those keys since."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confhub.catalog.models import Layer
from confhub.events.models import Event
from confhub.publishing import actions as publishing
from confhub.releases import actions
from confhub.releases.actions import DraftIsStale
from confhub.releases.draft_rows import MAX_EDITS, PRUNE_EVERY
from confhub.releases.models import Draft, DraftChange, DraftEdit
from confhub.releases.queries import draft_of, resolved_draft
from confhub.releases.renaming import rename_key
from confhub.releases.undo import NothingToUndo, Stacks, edits_of, redo, stacks, stacks_of, undo
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later

pytestmark = pytest.mark.django_db


def edit(place, *, who=ANN, **values):
    return actions.change_draft(place, set=values, expected=None, who=who, now=NOON)


def remove(place, *keys, who=ANN):
    return actions.change_draft(place, set={}, unset=keys, expected=None, who=who, now=NOON)


def take_back(place, *, who=ANN, **options):
    return undo(place, who=who, now=later(9), **options)


def do_again(place, *, who=ANN, **options):
    return redo(place, who=who, now=later(9), **options)


def values(place) -> dict:
    return {key: entry.get("value") for key, entry in resolved_draft(place).items()}


def rows() -> list:
    return [
        list(Draft.objects.values()),
        list(DraftChange.objects.order_by("id").values()),
        list(DraftEdit.objects.order_by("id").values()),
        Event.objects.count(),
    ]


@pytest.fixture(params=["scope", "layer"])
def place(request: pytest.FixtureRequest):
    return a_scope() if request.param == "scope" else Layer.objects.get(kind="global")


def test_undo_and_redo_walk_along_ones_own_acts(place) -> None:
    edit(place, A=1)
    edit(place, A=2, B=2)
    remove(place, "B")

    assert values(place) == {"A": 2}
    take_back(place)
    assert values(place) == {"A": 2, "B": 2}
    take_back(place)
    assert values(place) == {"A": 1}
    take_back(place)
    assert values(place) == {}
    do_again(place)
    do_again(place)
    assert values(place) == {"A": 2, "B": 2}
    do_again(place)
    assert values(place) == {"A": 2}


def test_an_undone_change_is_no_change_and_the_draft_moves_on() -> None:
    scope = a_scope()
    a_release(scope, {"A": 1})
    seen = edit(scope, A=2).version

    view = take_back(scope, expected=seen)

    assert (view.changes, view.version) == ([], seen + 1)
    assert values(scope) == {"A": 1}


def test_nothing_to_undo_is_said_and_writes_nothing(place) -> None:
    edit(place, who=BEN, A=1)
    before = rows()

    with pytest.raises(NothingToUndo, match="rollback"):
        take_back(place)
    with pytest.raises(NothingToUndo):
        do_again(place, who=BEN)

    assert rows() == before


def test_anothers_edits_at_other_keys_stay(place) -> None:
    edit(place, A=1)
    edit(place, who=BEN, B=2)

    take_back(place)

    assert values(place) == {"B": 2}


def test_a_key_that_another_changed_since_is_answered_with_both_sides(place) -> None:
    edit(place, A=1, B=1)
    edit(place, A=2, B=2)
    edit(place, who=BEN, A=3)
    before = rows()

    with pytest.raises(DraftIsStale) as caught:
        take_back(place)

    held = caught.value.extra["conflicts"]
    assert list(held) == ["A"]
    assert (held["A"]["yours"], held["A"]["theirs"], held["A"]["by"]) == (1, 3, "ben")
    assert rows() == before

    take_back(place, keep=["A"])
    assert values(place) == {"A": 3, "B": 1}


def test_the_same_value_set_by_another_is_theirs_too(place) -> None:
    edit(place, A=1)
    edit(place, who=BEN, A=1)
    before = rows()

    with pytest.raises(DraftIsStale, match="ben changed A"):
        take_back(place)

    assert rows() == before


def test_keeping_every_key_only_takes_the_act_off_the_stack(place) -> None:
    edit(place, B=1)
    edit(place, A=1)
    edit(place, who=BEN, A=2)

    take_back(place, keep=["A"])
    assert values(place) == {"A": 2, "B": 1}
    take_back(place)
    assert values(place) == {"A": 2}


def test_a_discard_comes_back_whole_and_its_edits_stay_undoable() -> None:
    scope = a_scope()
    a_release(scope, {"A": 1, "GONE": 1})
    edit(scope, A=2, NEW="x")
    remove(scope, "GONE")
    edit(scope, who=BEN, B=5)
    before = draft_of(scope)
    actions.discard_draft(scope, expected=None, who=ANN, now=NOON)
    assert draft_of(scope).changes == []

    view = take_back(scope)

    assert (view.set, view.unset) == (before.set, before.unset)
    take_back(scope)
    assert "GONE" in values(scope)


def test_redo_ends_with_an_act_of_ones_own(place) -> None:
    edit(place, A=1)
    take_back(place)
    edit(place, B=1)
    before = rows()

    with pytest.raises(NothingToUndo):
        do_again(place)

    assert rows() == before


def test_redo_is_refused_where_another_came_in_between(place) -> None:
    edit(place, A=1)
    take_back(place)
    edit(place, who=BEN, A=7)
    before = rows()

    with pytest.raises(DraftIsStale):
        do_again(place)

    assert rows() == before


def test_undo_from_a_page_that_did_not_see_ones_own_newest_act_is_refused(place) -> None:
    seen = edit(place, A=1).version
    edit(place, A=2)
    before = rows()

    with pytest.raises(DraftIsStale):
        take_back(place, expected=seen)

    assert rows() == before


def test_a_publish_ends_every_stack_and_stands_in_the_list() -> None:
    scope = a_scope()
    edit(scope, A=1)
    edit(scope, who=BEN, B=1)
    publishing.publish_draft(scope, message="", who=ANN, now=NOON)
    before = rows()

    for who in (ANN, BEN):
        with pytest.raises(NothingToUndo):
            take_back(scope, who=who)

    assert rows() == before
    newest = edits_of(scope)[0]
    assert (newest.act, newest.author, newest.release, newest.keys) == ("publish", "ann", 1, [])


def test_a_deploy_hooks_release_leaves_the_stacks() -> None:
    scope = a_scope()
    a_release(scope, {"A": 1, "B": 1})
    edit(scope, A=2)
    publishing.publish_changes(scope, set={"B": 9}, unset=[], message="", who=BEN, now=NOON)

    take_back(scope)

    assert values(scope) == {"A": 1, "B": 9}


def test_a_rename_is_undone_at_both_keys(place) -> None:
    edit(place, OLD=1)
    rename_key(place, "OLD", "NEW", expected=None, who=ANN, now=NOON)
    assert values(place) == {"NEW": 1}

    take_back(place)

    assert values(place) == {"OLD": 1}


def test_secrets_come_back_as_they_were_sealed_and_are_masked_in_the_list(place) -> None:
    edit(place, PASSWORD={"$secret": "one-canary"})
    first = DraftChange.objects.get(key="PASSWORD").entry
    edit(place, PASSWORD={"$secret": "two-canary"})

    take_back(place)

    assert DraftChange.objects.get(key="PASSWORD").entry == first
    said = repr(edits_of(place))
    assert "fingerprint" in said
    assert "canary" not in said
    assert "ciphertext" not in said


def test_a_plain_value_that_became_a_secret_is_hidden_in_the_list(place) -> None:
    edit(place, PASSWORD="canary")
    edit(place, PASSWORD={"$secret": "canary"})

    newest = edits_of(place)[0]

    assert newest.keys[0].before == {"removed": False, "entry": {"secret": True}}


def test_the_list_names_acts_newest_first_and_pages(place) -> None:
    edit(place, A=1)
    edit(place, who=BEN, A=2, B=3)
    take_back(place, who=BEN)

    listed = edits_of(place)

    assert [(each.act, each.author, each.undone, each.count) for each in listed] == [
        ("undo", "ben", False, 2),
        ("edit", "ben", True, 2),
        ("edit", "ann", False, 1),
    ]
    assert listed[1].keys[0].before["entry"] == {"value": 1}
    assert listed[1].keys[0].after["entry"] == {"value": 2}
    assert [each.version for each in edits_of(place, limit=1)] == [3]
    assert [each.version for each in edits_of(place, before=3)] == [2, 1]


def test_saving_the_same_value_again_is_no_edit(place) -> None:
    edit(place, A=1)
    edit(place, A=1)

    assert len(edits_of(place)) == 1


def test_old_edits_are_forgotten_and_a_large_discard_is_kept_whole() -> None:
    scope = a_scope()
    many = {f"K{n}": n for n in range(MAX_EDITS + 100)}
    edit(scope, **many)
    actions.discard_draft(scope, expected=None, who=BEN, now=NOON)
    for turn in range(PRUNE_EVERY):
        edit(scope, A=turn)

    assert {each.act for each in edits_of(scope, limit=100)} == {"edit", "discard"}
    assert DraftEdit.objects.filter(act="discard").count() == len(many)
    assert not DraftEdit.objects.filter(version=1).exists()

    take_back(scope, who=BEN)
    assert len(values(scope)) == len(many) + 1


def test_who_did_nothing_has_empty_stacks(place) -> None:
    assert stacks_of(place, ANN) == Stacks([], [])


@given(st.lists(st.sampled_from(["edit", "discard", "undo", "redo", "publish"]), max_size=40))
def test_the_stacks_are_what_an_editor_would_have(acts: list[str]) -> None:
    """Against a model that keeps values: the document after each act."""
    held, past, future = 0, [], []
    for number, act in enumerate(acts, 1):
        match act:
            case "publish":
                past, future = [], []
            case "undo":
                if past:
                    future.append(held)
                    held = past.pop()
            case "redo":
                if future:
                    past.append(held)
                    held = future.pop()
            case _:
                past, future, held = [*past, held], [], number

    found = stacks(enumerate(acts, 1))

    assert len(found.undoable) == len(past)
    assert len(found.redoable) == len(future)
    if found.redoable:
        assert found.redoable[-1] == future[-1]
    if found.undoable:
        assert found.undoable[-1] == held
