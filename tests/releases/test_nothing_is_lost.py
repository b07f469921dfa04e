"""Two writers and a deploy hook do anything in any order: no accepted edit is lost.

What "lost" means: a state that somebody gave a key is gone from the draft, no release has it, and no
act in the draft's history ended it; or an act ended it whose author had not seen it. Hypothesis
plays the writers, each of whom knows the draft as it was when they looked last.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from confhub.catalog import sets
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import actions as publishing
from confhub.publishing import layers as layer_publishing
from confhub.releases import actions, raw
from confhub.releases.actions import DraftIsStale
from confhub.releases.draft_rows import AS_PUBLISHED, MARK, State, state_of
from confhub.releases.models import DraftChange, DraftEdit
from confhub.releases.overlapping import overlaps_of
from confhub.releases.places import Place, frozen, of_draft
from confhub.releases.queries import draft_of, head_of
from confhub.releases.renaming import rename_key
from confhub.releases.undo import redo, stacks_of, undo
from tests.parts.factories import ANN, BEN, NOON, a_scope

pytestmark = pytest.mark.django_db

WRITERS = st.sampled_from([ANN, BEN])
KEYS = st.sampled_from(["A", "B", "C"])
VALUES = st.sampled_from([1, 2, "one", "a\nb\nc\n", "a\nb\nX\n", "Y\nb\nc\n", {"x": 1}, {"x": 1, "y": 2}])  # fmt: skip


class Writers(RuleBasedStateMachine):
    """`place` is made anew for each run; everything is rolled back at its end."""

    place: Place

    def made(self) -> Place:
        raise NotImplementedError

    def publish_draft(self, who: Actor) -> Any:
        raise NotImplementedError

    def publish_changes(self, key: str, value: Any) -> Any:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.place = self.made()
        self.seen: dict[str, int] = {"ann": 0, "ben": 0}
        for key, value in {"A": "a\nb\nc\n", "B": 1, "C": {"x": 1}}.items():
            self.publish_changes(key, value)
        self.texts: dict[str, raw.TextView] = {}

    def teardown(self) -> None:
        if hasattr(self, "transaction"):
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    # --- what writers do -------------------------------------------------------------------

    @rule(who=WRITERS)
    def look(self, who: Actor) -> None:
        self.seen[who.name] = draft_of(self.place).version

    @rule()
    def both_look(self) -> None:
        self.look(ANN)
        self.look(BEN)

    @rule(who=WRITERS, key=KEYS, value=VALUES)
    def set_one(self, who: Actor, key: str, value: Any) -> None:
        self.change(who, set={key: value})

    @rule(who=WRITERS, values=st.dictionaries(KEYS, VALUES, min_size=2))
    def set_several(self, who: Actor, values: dict[str, Any]) -> None:
        self.change(who, set=values)

    @rule(who=WRITERS, key=KEYS)
    def remove(self, who: Actor, key: str) -> None:
        self.change(who, set={}, unset=[key])

    @rule(who=WRITERS, key=KEYS)
    def revert(self, who: Actor, key: str) -> None:
        self.change(who, set={}, revert=[key])

    @rule(who=WRITERS, old=KEYS, new=st.sampled_from(["A", "D", "E"]))
    def rename_one(self, who: Actor, old: str, new: str) -> None:
        seen = self.seen[who.name]
        self.act(who, lambda: rename_key(self.place, old, new, expected=seen, who=who, now=NOON))

    @precondition(lambda self: any(stacks_of(self.place, who).undoable for who in (ANN, BEN)))
    @rule(who=WRITERS, keep=st.sets(KEYS, max_size=1))
    def take_back(self, who: Actor, keep: set[str]) -> None:
        seen = self.seen[who.name]
        self.act(
            who,
            lambda: undo(self.place, keep=keep, expected=seen, who=who, now=NOON),
            only_own=True,
        )

    @precondition(lambda self: any(stacks_of(self.place, who).redoable for who in (ANN, BEN)))
    @rule(who=WRITERS)
    def do_again(self, who: Actor) -> None:
        seen = self.seen[who.name]
        self.act(who, lambda: redo(self.place, expected=seen, who=who, now=NOON), only_own=True)

    @rule(who=WRITERS, how=st.sampled_from(["discard", "publish", "hook", "hook"]), data=st.data())
    def end(self, who: Actor, how: str, data: Any) -> None:
        """One rule for what empties the draft, so that there is mostly something in it."""
        if how == "discard":
            self.discard(who)
        elif how == "publish":
            self.act(who, lambda: self.publish_draft(who), is_publish=True)
        else:
            drafted = [change.key for change in draft_of(self.place).changes]
            key = data.draw(st.sampled_from(drafted) if drafted else KEYS)
            value = data.draw(VALUES)
            self.act(BEN, lambda: self.publish_changes(key, value), is_publish=True)

    def discard(self, who: Actor) -> None:
        seen = self.seen[who.name]
        self.act(who, lambda: actions.discard_draft(self.place, expected=seen, who=who, now=NOON))

    @rule(who=WRITERS)
    def open_text(self, who: Actor) -> None:
        self.texts[who.name] = raw.text_of(self.place, "json")

    @rule(who=WRITERS, key=KEYS, value=VALUES | st.none())
    def save_text(self, who: Actor, key: str, value: Any) -> None:
        """Change, add or (None) remove one key in the text as it was opened."""
        opened = self.texts.pop(who.name, None) or raw.text_of(self.place, "json")
        held = json.loads(opened.text)
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value
        self.act(
            who,
            lambda: raw.save_text(
                self.place, format="json", text=json.dumps(held, indent=2) + "\n",
                opened=opened.text, expected=opened.version, expected_draft=opened.draft_version,
                who=who, now=NOON,
            ),
            expected=opened.draft_version,
        )  # fmt: skip

    @precondition(lambda self: bool(draft_of(self.place).overlapping))
    @rule(who=WRITERS, data=st.data())
    def decide(self, who: Actor, data: Any) -> None:
        """Rebase, with any choice at each key that a release changed as well."""
        draft = draft_of(self.place)
        overlaps = overlaps_of(self.place, draft)
        sides = {
            each.key: data.draw(st.sampled_from(["mine", "theirs", "merged"])) for each in overlaps
        }
        chosen = {side: [key for key in sides if sides[key] == side] for side in sides.values()}
        seen = self.seen[who.name]
        self.act(
            who,
            lambda: actions.rebase_draft(
                self.place, take_theirs=chosen.get("theirs", []), merge=chosen.get("merged", []),
                expected_release=draft.head, expected=seen, who=who, now=NOON,
            ),
        )  # fmt: skip

    # --- what must hold --------------------------------------------------------------------

    def change(self, who: Actor, **asked: Any) -> None:
        seen = self.seen[who.name]
        self.act(
            who,
            lambda: actions.change_draft(self.place, **asked, expected=seen, who=who, now=NOON),
        )

    def act(
        self, who: Actor, call: Callable[[], Any], *, expected: int | None = None,
        is_publish: bool = False, only_own: bool = False,
    ) -> None:  # fmt: skip
        """Refused: nothing is changed. Accepted: it ended no state that its author had not seen
        (setting the very value that is there ends none), and with `only_own` none that another one made."""
        before, edits = self.rows(), DraftEdit.objects.filter(of_draft(self.place)).count()
        expected = self.seen[who.name] if expected is None else expected
        try:
            with transaction.atomic():
                call()
        except ConfHubError as error:
            assert self.rows() == before
            assert DraftEdit.objects.filter(of_draft(self.place)).count() == edits
            if isinstance(error, DraftIsStale) and "conflicts" in error.extra:
                self.check_conflicts(error.extra["conflicts"], before)
            return
        if not is_publish:
            self.check_nobody_was_overwritten(before, expected, who if only_own else None)
            self.look(who)  # the answer holds the whole draft

    def check_conflicts(self, conflicts: dict[str, Any], before: dict[str, Any]) -> None:
        """Both sides are answered: theirs is what stands in the draft."""
        assert conflicts
        for key, held in conflicts.items():
            row = before[key]
            assert held["by"] == row.author
            if row.entry:
                assert held["theirs"] == row.entry["value"]

    def check_nobody_was_overwritten(
        self, before: dict[str, Any], expected: int, only: Actor | None
    ) -> None:
        after, head = self.rows(), head_of(self.place)
        published = head.own_entries if head is not None else {}
        for key, row in before.items():
            was = {} if row.removed else row.entry or published.get(key, {})
            if state_of(after[key]) != state_of(row) and after[key].entry != (was or None):
                assert row.version <= expected, f"{key} by {row.author} was overwritten unseen"
                assert only is None or row.author == only.name, f"{key} is not {only}'s to undo"

    @invariant()
    def no_state_ends_without_an_act(self) -> None:
        """The history of each key has no gap, and its last line is what stands in the draft."""
        if not hasattr(self, "place"):
            return
        states: dict[str, State] = {}
        for edit in DraftEdit.objects.filter(of_draft(self.place)).order_by("id"):
            if edit.key != MARK:
                assert edit.before == states.get(edit.key, AS_PUBLISHED)
                assert edit.author in ("ann", "ben")
                states[edit.key] = edit.after
            elif edit.act == "publish":
                self.check_published(states, edit.after["release"])
                states = {}
        rows = {key: state_of(row) for key, row in self.rows().items()}
        for key in {*states, *rows}:
            assert states.get(key, AS_PUBLISHED) == rows.get(key, AS_PUBLISHED)

    def check_published(self, states: dict[str, State], number: int) -> None:
        release = frozen(self.place, number)
        assert release is not None
        for key, state in states.items():
            if state["removed"]:
                assert key not in release.own_entries
            elif state["entry"]:
                assert release.own_entries[key] == state["entry"]

    def rows(self) -> dict[str, DraftChange]:
        return {row.key: row for row in DraftChange.objects.filter(of_draft(self.place))}


class InAScope(Writers):
    def made(self) -> Place:
        return a_scope()

    def publish_draft(self, who: Actor) -> Any:
        return publishing.publish_draft(
            self.place, message="", expected_draft=self.seen[who.name], who=who, now=NOON
        )

    def publish_changes(self, key: str, value: Any) -> Any:
        return publishing.publish_changes(
            self.place, set={key: value}, unset=[], message="", who=BEN, now=NOON
        )


class InALayer(Writers):
    def made(self) -> Place:
        a_scope()
        return sets.create_set(slug="shared", description="", who=ANN, now=NOON)

    def publish_draft(self, who: Actor) -> Any:
        return layer_publishing.publish_layer(
            self.place, message="", targets="all", expected_draft=self.seen[who.name], who=who,
            now=NOON,
        )  # fmt: skip

    def publish_changes(self, key: str, value: Any) -> Any:
        return layer_publishing.publish_layer_changes(
            self.place, set={key: value}, unset=[], message="", targets="all", who=BEN, now=NOON
        )


@pytest.mark.parametrize("machine", [InAScope, InALayer])
def test_whatever_two_writers_do_no_accepted_edit_is_lost(machine: type[Writers]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis' own
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
