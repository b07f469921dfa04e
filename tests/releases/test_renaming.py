"""Renaming a key: one act, both keys compared, the value as it was."""

import pytest

from confhub.catalog.models import Layer
from confhub.events.models import Event
from confhub.publishing.layers import publish_layer
from confhub.releases import actions, secrets
from confhub.releases.actions import DraftIsStale
from confhub.releases.entries import BadEntries
from confhub.releases.models import Draft, DraftChange, DraftEdit
from confhub.releases.queries import draft_of, resolved_draft
from confhub.releases.renaming import rename_key
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db


def rename(place, old, new, *, who=ANN, expected=None):
    return rename_key(place, old, new, expected=expected, who=who, now=NOON)


def edit(place, *, who=ANN, **values):
    return actions.change_draft(place, set=values, expected=None, who=who, now=NOON)


def rows() -> list:
    models = (Draft, DraftChange, DraftEdit)
    return [list(model.objects.order_by("id").values()) for model in models] + [
        Event.objects.count()
    ]


def test_a_published_key_is_set_under_the_new_name_and_removed_under_the_old() -> None:
    scope = a_scope()
    a_release(scope, {"OLD": [1, 2], "OTHER": 1})

    view = rename(scope, "OLD", "NEW")

    assert (view.set, view.unset) == ({"NEW": [1, 2]}, ["OLD"])
    assert DraftEdit.objects.filter(act="rename").count() == 2


def test_a_key_of_the_draft_alone_leaves_nothing_behind() -> None:
    scope = a_scope()
    edit(scope, OLD=1)

    view = rename(scope, "OLD", "NEW")

    assert (view.set, view.unset) == ({"NEW": 1}, [])


def test_a_renamed_key_can_be_renamed_back() -> None:
    scope = a_scope()
    a_release(scope, {"OLD": 1})
    rename(scope, "OLD", "NEW")

    assert rename(scope, "NEW", "OLD").changes == []


def test_the_drafted_value_goes_along_and_a_removed_name_is_free() -> None:
    layer = Layer.objects.get(kind="global")
    edit(layer, OLD=1, TAKEN=5)
    publish_layer(layer, message="", targets="all", who=ANN, now=NOON)
    edit(layer, OLD=2)
    actions.change_draft(layer, set={}, unset=["TAKEN"], expected=None, who=ANN, now=NOON)

    rename(layer, "OLD", "TAKEN")

    assert resolved_draft(layer) == {"TAKEN": {"value": 2}}


def test_a_secret_keeps_its_fingerprint_and_opens_under_its_new_name() -> None:
    scope = a_scope()
    edit(scope, OLD={"$secret": "s3cret"})
    before = DraftChange.objects.get(key="OLD").entry

    rename(scope, "OLD", "NEW")

    after = DraftChange.objects.get(key="NEW").entry
    assert after["fingerprint"] == before["fingerprint"]
    assert after["ciphertext"] != before["ciphertext"]
    assert secrets.open_entry(scope, "NEW", after) == "s3cret"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("MISSING", "NEW", "from"), ("OLD", "TAKEN", "to"), ("OLD", "1 bad", "to"), ("OLD", "OLD", "to"),
     ("SHARED", "NEW", "from"), ("REMOVED", "NEW", "from")],
)  # fmt: skip
def test_what_cannot_be_renamed_says_why_and_changes_nothing(old, new, field) -> None:
    layer = Layer.objects.get(kind="global")
    edit(layer, SHARED=1)
    publish_layer(layer, message="", targets="all", who=ANN, now=NOON)
    scope = a_scope()
    a_release(scope, {"OLD": 1, "TAKEN": 2, "REMOVED": 3})
    actions.change_draft(scope, set={}, unset=["REMOVED"], expected=None, who=ANN, now=NOON)
    before = rows()

    with pytest.raises(BadEntries) as caught:
        rename(scope, old, new)

    assert field in caught.value.fields
    assert rows() == before


def test_a_name_that_would_be_the_same_variable_is_refused() -> None:
    scope = a_scope()
    edit(scope, OLD=1, A_B=2)
    before = rows()

    with pytest.raises(BadEntries, match="environment variable"):
        rename(scope, "OLD", "a.b")

    assert rows() == before


@pytest.mark.parametrize("touched", ["OLD", "NEW"])
def test_a_change_at_either_key_since_is_a_conflict(touched) -> None:
    scope = a_scope()
    seen = edit(scope, OLD=1).version
    edit(scope, who=BEN, **{touched: 2})
    before = rows()

    with pytest.raises(DraftIsStale) as caught:
        rename(scope, "OLD", "NEW", expected=seen)

    assert caught.value.extra["conflicts"][touched]["by"] == "ben"
    assert rows() == before
    assert draft_of(scope).set[touched] == 2
