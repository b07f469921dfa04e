"""A draft as a text beside its form: one model, and neither loses what the other wrote."""

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confhub.access.layers import layer_for
from confhub.catalog.models import Scope
from confhub.publishing import actions as publishing
from confhub.publishing.layers import publish_layer
from confhub.releases import actions, raw, texts
from confhub.releases.actions import DraftIsStale
from confhub.releases.models import Draft, DraftChange, DraftEdit, DraftText
from confhub.releases.queries import draft_of, drafted_own, head_of
from confhub.releases.raw import TextIsStale, TextNotKept, TextView
from confhub.releases.texts import FORMATS, TextUnwritable
from confhub.releases.texts.masks import mask_of
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def scope() -> Scope:
    scope = a_scope()
    a_release(scope, {"POOL": 10, "HOST": "db", "LIMITS": {"low": 1}})
    return scope


def save(scope: Scope, text: str, seen: TextView, who: Any = ANN, **more: Any) -> TextView:
    asked: dict[str, Any] = {
        "format": seen.format, "text": text, "opened": seen.text, "expected": seen.version,
        "expected_draft": seen.draft_version, "who": who, "now": NOON,
    }  # fmt: skip
    return raw.save_text(scope, **{**asked, **more})


def form(scope: Scope, who: Any = BEN, unset: Any = (), **set_: Any) -> None:
    actions.change_draft(scope, set=set_, unset=unset, expected=None, who=who, now=NOON)


def rows() -> list[Any]:
    """All that a save writes."""
    return [
        *DraftText.objects.order_by("id").values(),
        *DraftChange.objects.order_by("id").values(),
        *DraftEdit.objects.order_by("id").values(),
        *Draft.objects.order_by("id").values(),
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_before_the_first_save_the_text_says_the_newest_release(scope: Scope, format: Any) -> None:
    view = raw.text_of(scope, format)
    assert "POOL" in view.text
    assert (view.version, view.problem) == (0, None)
    assert not DraftText.objects.exists()


@pytest.mark.parametrize("format", FORMATS)
def test_saving_a_text_as_it_was_opened_changes_no_key(scope: Scope, format: Any) -> None:
    view = raw.text_of(scope, format)
    saved = save(scope, view.text, view)
    assert saved.text == view.text
    assert draft_of(scope).changes == []


def test_only_keys_that_differ_become_changes(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    text = view.text.replace("POOL: 10", "POOL: 20 # more").replace("HOST: db\n", "") + "NEW: x\n"
    saved = save(scope, text, view)
    draft = draft_of(scope)
    assert draft.set == {"POOL": 20, "NEW": "x"}
    assert draft.unset == ["HOST"]
    assert {change.author for change in draft.changes} == {"ann"}
    assert saved.text == text
    assert saved.version == 1


def test_a_key_that_is_as_published_again_is_no_change(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    changed = save(scope, view.text.replace("10", "20"), view)
    save(scope, view.text, changed)
    assert draft_of(scope).changes == []


def test_edits_of_the_form_appear_in_the_text_and_comments_stay(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    save(scope, f"# the pool\n{view.text}", view)
    form(scope, POOL=30, unset=["HOST"])
    text = raw.text_of(scope, "yaml").text
    assert text.startswith("# the pool\n")
    assert "POOL: 30" in text
    assert "HOST" not in text


def test_comments_survive_a_publish(scope: Scope) -> None:
    view = raw.text_of(scope, "toml")
    save(scope, f"# why\n{view.text.replace('10', '11')}", view)
    publishing.publish_draft(scope, message="", who=ANN, now=NOON)
    after = raw.text_of(scope, "toml")
    assert after.text.startswith("# why\n")
    assert "POOL = 11" in after.text
    assert draft_of(scope).changes == []


def test_what_the_form_saved_meanwhile_stays(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    form(scope, HOST="other", ADDED=1)
    saved = save(scope, view.text.replace("10", "20"), view)
    assert draft_of(scope).set == {"POOL": 20, "HOST": "other", "ADDED": 1}
    assert "HOST: other" in saved.text
    assert "ADDED: 1" in saved.text


def test_the_same_key_in_form_and_text_is_refused_with_both_sides(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    form(scope, POOL=30)
    before = rows()
    with pytest.raises(DraftIsStale) as refused:
        save(scope, view.text.replace("10", "20"), view)
    assert refused.value.extra["conflicts"]["POOL"]["theirs"] == 30
    assert refused.value.extra["conflicts"]["POOL"]["yours"] == 20
    assert rows() == before


def test_a_conflict_is_decided_either_way(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    mine = view.text.replace("10", "20").replace("db", "mine")
    form(scope, POOL=30)
    theirs = save(scope, mine, view, give_up=["POOL"])
    assert draft_of(scope).set == {"POOL": 30, "HOST": "mine"}
    assert "POOL: 30" in theirs.text
    form(scope, POOL=40)
    with pytest.raises(DraftIsStale) as refused:
        save(scope, theirs.text.replace("30", "50"), theirs)
    save(scope, theirs.text.replace("30", "50"), theirs, expected_draft=refused.value.extra["version"])  # fmt: skip
    assert draft_of(scope).set["POOL"] == 50


def test_a_key_that_the_form_removed_is_not_brought_back_by_an_older_text(scope: Scope) -> None:
    view = raw.text_of(scope, "env")
    form(scope, unset=["HOST"])
    saved = save(scope, view.text.replace("10", "20"), view)
    assert draft_of(scope).unset == ["HOST"]
    assert "HOST" not in saved.text


@pytest.mark.parametrize("format", FORMATS)
def test_two_texts_of_one_format_merge_their_values(scope: Scope, format: Any) -> None:
    view = raw.text_of(scope, format)
    save(scope, view.text.replace("10", "20"), view, who=ANN)
    saved = save(scope, view.text.replace("db", "other"), view, who=BEN)
    assert draft_of(scope).set == {"POOL": 20, "HOST": "other"}
    assert "20" in saved.text
    assert "other" in saved.text


def test_comments_of_one_side_and_values_of_the_other_merge(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    noted = f"# ann\n{view.text}"
    save(scope, noted, view, who=ANN)
    saved = save(scope, view.text.replace("10", "20"), view, who=BEN)
    assert saved.text == noted.replace("10", "20")
    again = save(scope, f"{view.text}# ben\n", view, who=BEN, opened=noted.replace("10", "20"), expected=saved.version, expected_draft=saved.draft_version)  # fmt: skip
    assert again.text.endswith("# ben\n")


def test_comments_changed_on_both_sides_are_refused_with_theirs(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    noted = save(scope, f"# ann\n{view.text}", view)
    before = rows()
    with pytest.raises(TextIsStale) as refused:
        save(scope, f"# ben\n{view.text}", view, who=BEN)
    assert refused.value.extra["theirs"] == noted.text
    assert refused.value.extra["by"] == "ann"
    assert rows() == before


def test_a_text_that_does_not_read_is_kept_and_the_values_stay(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    first = save(scope, view.text.replace("10", "20"), view)
    broken = save(scope, first.text + "B: [1,\n", first)
    assert broken.problem is not None
    assert broken.problem.line == 6
    assert broken.text == first.text + "B: [1,\n"
    assert draft_of(scope).set == {"POOL": 20}
    assert raw.text_of(scope, "yaml") == broken
    assert raw.text_of(scope, "json").problem is None


def test_mending_a_text_does_not_take_back_what_the_form_did_meanwhile(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    save(scope, view.text.replace("10", "[20"), view)
    form(scope, HOST="other")
    later = raw.text_of(scope, "yaml")
    assert later.problem is not None
    assert later.draft_version == view.draft_version
    mended = save(scope, later.text.replace("[20", "20"), later)
    assert mended.problem is None
    assert draft_of(scope).set == {"POOL": 20, "HOST": "other"}
    assert "HOST: other" in mended.text


def test_mending_a_key_that_the_form_changed_meanwhile_is_a_conflict(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    save(scope, view.text.replace("10", "[20"), view)
    form(scope, POOL=30)
    later = raw.text_of(scope, "yaml")
    with pytest.raises(DraftIsStale):
        save(scope, later.text.replace("[20", "20"), later)
    assert draft_of(scope).set == {"POOL": 30}


def test_values_that_a_release_cannot_hold_are_a_problem_at_their_line(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    saved = save(scope, f"{view.text}pool: 1\n", view)
    assert saved.problem is not None
    assert saved.problem.line == 5
    assert "environment variable" in saved.problem.message
    assert draft_of(scope).changes == []


def test_a_text_is_written_anew_when_it_is_dropped(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    broken = save(scope, "A: [", view)
    fresh = raw.drop_text(scope, format="yaml", expected=broken.version, who=ANN, now=NOON)
    assert (fresh.text, fresh.problem) == (view.text, None)
    with pytest.raises(TextIsStale):
        raw.drop_text(scope, format="yaml", expected=broken.version, who=ANN, now=NOON)


def test_null_is_refused_as_toml_and_nothing_is_written(scope: Scope) -> None:
    form(scope, NOTHING=None)
    before = rows()
    with pytest.raises(TextUnwritable, match="NOTHING is null"):
        raw.text_of(scope, "toml")
    assert rows() == before


@pytest.fixture
def with_secret(scope: Scope) -> Scope:
    form(scope, PASSWORD={"$secret": "canary-1"})
    return scope


def mask(scope: Scope) -> str:
    return mask_of(password(scope)["fingerprint"])


def password(scope: Scope) -> dict[str, Any]:
    entry: dict[str, Any] = drafted_own(scope, head_of(scope))["PASSWORD"]
    return entry


@pytest.mark.parametrize("format", FORMATS)
def test_a_secret_stands_in_a_text_as_its_mask(with_secret: Scope, format: Any) -> None:
    view, before = raw.text_of(with_secret, format), password(with_secret)
    assert mask(with_secret) in view.text
    saved = save(with_secret, view.text.replace("10", "20"), view)
    assert mask(with_secret) in saved.text
    assert password(with_secret) == before


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_over_a_mask_is_the_new_value_and_stands_nowhere(
    with_secret: Scope, format: Any
) -> None:
    view, before = raw.text_of(with_secret, format), password(with_secret)
    saved = save(with_secret, view.text.replace(mask(with_secret), "canary-2"), view)
    assert password(with_secret)["fingerprint"] != before["fingerprint"]
    assert mask(with_secret) in saved.text
    assert "canary" not in repr(rows())


def test_typing_on_after_a_new_secret_leaves_it_nowhere(with_secret: Scope) -> None:
    """An editor goes on from what it sent, in which the secret still stands."""
    view = raw.text_of(with_secret, "yaml")
    typed = view.text.replace(mask(with_secret), "canary-2")
    saved = save(with_secret, typed, view)
    before = password(with_secret)
    save(with_secret, typed + "MORE: 1\n", saved, opened=typed)
    assert password(with_secret) == before
    assert "canary" not in repr(rows())
    kept = raw.text_of(with_secret, "yaml")
    broken = save(with_secret, kept.text + "X: [", kept, opened=typed)
    assert broken.problem is not None
    assert "canary" not in repr(rows())


def test_a_secret_of_a_layer_below_is_none_of_the_text_either(scope: Scope) -> None:
    layer = layer_for(ANN, "edit", "global")
    actions.change_draft(layer, set={"TOKEN": {"$secret": "canary-0"}}, expected=None, who=ANN, now=NOON)  # fmt: skip
    publish_layer(layer, message="", targets="all", who=ANN, now=NOON)
    scope.refresh_from_db()
    view = raw.text_of(scope, "yaml")
    assert "TOKEN" not in view.text
    saved = save(scope, f"{view.text}TOKEN: canary-3\n", view)
    assert 'TOKEN: "(secret ' in saved.text
    assert "canary" not in repr(rows())
    with pytest.raises(TextNotKept):
        save(scope, f"{view.text}TOKEN: canary-4\nX: [", saved)
    assert "canary" not in repr(rows())


def test_a_new_secret_is_written_as_in_rest(scope: Scope) -> None:
    view = raw.text_of(scope, "yaml")
    saved = save(scope, f"{view.text}PASSWORD: {{$secret: canary-5}}\n", view)
    assert mask(scope) in saved.text
    assert "canary" not in repr(rows())


def test_a_mask_at_another_key_is_a_problem_at_its_line(with_secret: Scope) -> None:
    view = raw.text_of(with_secret, "yaml")
    saved = save(with_secret, f"OTHER: {mask(with_secret)}\n{view.text}", view)
    assert saved.problem is not None
    assert saved.problem.line == 1
    assert "mask of one cannot be its value" in saved.problem.message


@pytest.mark.parametrize(
    "text", ["PASSWORD: canary-7\nB: [", "NEW: {$secret: canary-7}\nB: [", "PASSWORD: canary-7: x"]
)
def test_a_text_that_does_not_read_is_not_kept_with_a_new_secret_in_it(
    with_secret: Scope, text: str
) -> None:
    view = raw.text_of(with_secret, "yaml")
    before = rows()
    with pytest.raises(TextNotKept) as refused:
        save(with_secret, text, view)
    assert "canary" not in str(refused.value)
    assert rows() == before


# ── form against text, at random ──────────────────────────────────────────────────────────────────

KEYS = st.sampled_from([*string.ascii_uppercase[:4]])
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.integers(0, 3)), max_size=3)


@pytest.mark.parametrize("format", ["yaml", "json", "env", "properties"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, CHANGES)
def test_no_edit_of_form_or_text_is_lost(
    scope: Scope, format: Any, by_text: dict[str, Any], by_form: dict[str, Any]
) -> None:
    """What each changed is in the draft afterwards, or the second was refused and told."""
    start = {"A": 0, "B": 0, "C": 0}
    actions.discard_draft(scope, expected=None, who=ANN, now=NOON)
    actions.change_draft(scope, set=start, expected=None, who=ANN, now=NOON)
    published = {"POOL", "HOST", "LIMITS"}
    view = raw.text_of(scope, format)
    mine = {key: value for key, value in {**start, **by_text}.items() if value is not None}
    theirs = {key: value for key, value in {**start, **by_form}.items() if value is not None}
    read = texts.read(format, view.text, {**start, "POOL": 10, "LIMITS": {}})
    text = texts.patch(format, view.text, {**{key: read[key] for key in published}, **mine})
    gone = [key for key in start if key not in theirs]
    form(
        scope,
        unset=gone,
        **{key: value for key, value in theirs.items() if start.get(key) != value},
    )
    expected = dict(start)
    both = set()
    for key in {*start, *mine, *theirs}:
        is_mine, is_theirs = mine.get(key) != start.get(key), theirs.get(key) != start.get(key)
        if is_mine and is_theirs and mine.get(key) != theirs.get(key):
            both.add(key)
        wanted = mine.get(key) if is_mine else theirs.get(key)
        expected.pop(key, None)
        if wanted is not None:
            expected[key] = wanted
    try:
        save(scope, text, view)
        refused: set[str] = set()
    except DraftIsStale as error:
        refused = set(error.extra["conflicts"])
    assert refused == both
    if refused:
        assert draft_of(scope).set == theirs
        return
    after = draft_of(scope).set
    new = {key for key in mine if key not in start and format in ("env", "properties")}
    assert {key: str(value) if key in new else value for key, value in after.items()} == {
        key: str(value) if key in new else value for key, value in expected.items()
    }
