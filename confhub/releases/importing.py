"""Bring what `imports` read into a draft: first a plan that shows everything, then the change.

A plan is made against the draft as it is. A key that has the value already stays as it is, also
where the value comes from a layer, so that an export that is imported again changes nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from confhub.access.policies import require
from confhub.catalog.models import Scope
from confhub.catalog.schemas import KeyFacts
from confhub.core.actors import Actor
from confhub.events import actions as events
from confhub.releases import actions, secret_forms, secrets
from confhub.releases.actions import DraftIsStale
from confhub.releases.diff import Change, diff, same
from confhub.releases.entries import Entries, changed, check_whole, masked
from confhub.releases.imports import Imported
from confhub.releases.imports.base import key_of
from confhub.releases.layering import Ground
from confhub.releases.places import Place
from confhub.releases.queries import DraftView, draft_of, drafted_own, head_of
from confhub.releases.secrets import CannotOpenSecret
from confhub.releases.texts.base import parsed_json
from confhub.releases.texts.lines import typed
from confhub.releases.texts.masks import MASK
from confhub.releases.writing import Writing, facts_of
from watchers.wire.canonical import Json
from watchers.wire.names import BadName, colliding, env_name

# What a text of a type is compared with, where the schema knows the key and the draft does not.
_LIKE: Mapping[str, Json] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
MAX_NAMED = 100  # keys of one act that the audit repeats


@dataclass(frozen=True)
class ImportPlan:
    """What an import would do to a draft. Everything but `set` is masked."""

    place: Place
    source: str
    version: int  # of the draft that it was made against
    head: int
    set: dict[str, Json] = field(repr=False)  # as `change_draft` takes it, with secrets in clear
    unset: list[str]  # only where it replaces
    same: list[str]  # in the text, and so in the draft already
    left: list[str]  # in the draft, not in the text, and staying
    skipped: list[tuple[str, str]]  # (name in the text, why)
    renamed: list[tuple[str, str]]  # (name in the text, key)
    notes: list[str]
    problems: dict[str, str]  # references that would have no target, by key
    before: Entries
    after: Entries

    @property
    def changes(self) -> list[Change]:
        return diff(self.before, self.after)

    @property
    def is_empty(self) -> bool:
        return not self.set and not self.unset


def plan(place: Place, imported: Imported, *, replace: bool, now: datetime) -> ImportPlan:
    """What `apply` would do. With `replace` the draft loses its own keys that the text has not.

    Nothing is written. Whoever sees it can tell whether a secret has a guessed value, as whoever
    may edit can anyway: ask for that right first. Raises BadEntries (too many keys, too large),
    NoMasterKey, KeyIsSealed.
    """
    with transaction.atomic():
        made = _Planning(place, imported, replace=replace, now=now).plan()
        # Comparing secrets may make the first keys; none of them may outlive what it sealed.
        transaction.set_rollback(True)
    return made


@transaction.atomic
def apply(plan: ImportPlan, *, expected: int | None = None, who: Actor, now: datetime) -> DraftView:
    """Make the draft what the plan says, all of it or nothing.

    `expected` is the draft version of the preview that somebody looked at, where the plan was made
    anew since; None compares with the plan's alone. Raises DraftIsStale where the draft or the
    newest release moved, and what `change_draft` raises.
    """
    require(who, "edit", plan.place)
    place = actions.lock(plan.place)
    view = draft_of(place)
    seen = plan.version if expected is None else expected
    if (view.version, view.head) != (seen, plan.head) or seen != plan.version:
        raise DraftIsStale(
            f"The draft of {place} was changed after this preview was made (it was version {seen}, "
            f"it is version {view.version} on r{view.head}). Nothing was imported. Look at the new "
            "preview.",
            extra={"version": view.version, "expected": seen},
        )
    if plan.is_empty:
        return view
    view = actions.change_draft(
        place, set=plan.set, unset=plan.unset, expected=plan.version, who=who, now=now
    )
    events.audit(
        "draft.imported", who=who, target=str(place), now=now,
        data={
            "source": plan.source, "set": len(plan.set), "unset": sorted(plan.unset)[:MAX_NAMED],
            "skipped": len(plan.skipped),
        },
    )  # fmt: skip
    return view


class _Planning:
    """One plan on its way."""

    def __init__(self, place: Place, imported: Imported, *, replace: bool, now: datetime) -> None:
        self.place, self.imported, self.replace = place, imported, replace
        self.view = draft_of(place)
        self.head = head_of(place)
        self.own = drafted_own(place, self.head)
        self.written, self.effective, _ = self.laid(self.own)
        self.writing = Writing(place, self.head, self.own, now)
        self.facts: Mapping[str, KeyFacts] = facts_of(place)
        self.by_variable: dict[str, list[str]] = {}
        for key in self.written:
            self.by_variable.setdefault(env_name(key), []).append(key)
        self.skipped = list(imported.skipped)
        self.renamed = list(imported.renamed)
        self.same: list[str] = []
        self.set: dict[str, Json] = {}
        self.entries: Entries = {}

    def plan(self) -> ImportPlan:
        for name, value in self.imported.set.items():
            self.take(name, value)
        unset = self.missing() if self.replace else []
        self.skip_colliding(unset)
        own = changed(self.own, set_=self.entries, unset=unset)
        check_whole(own, max_bytes=settings.CONFHUB_MAX_RELEASE_BYTES)
        after, _, problems = self.laid(own)
        touched = {*self.set, *self.same, *unset}
        return ImportPlan(
            place=self.place,
            source=self.imported.source,
            version=self.view.version,
            head=self.view.head,
            set=self.set,
            unset=unset,
            same=sorted(self.same),
            left=sorted(self.written.keys() - touched),
            skipped=self.skipped,
            renamed=self.renamed,
            notes=list(self.imported.notes),
            problems={key: problems[key] for key in sorted(self.set) if key in problems},
            before=masked(self.written),
            after=masked(after),
        )

    def laid(self, own: Entries) -> tuple[Entries, Entries, dict[str, str]]:
        """`own` over the layers: (as people wrote it, with references put in, what is wrong)."""
        if not isinstance(self.place, Scope):
            return own, own, {}
        ground = Ground.of([self.place])
        found = ground.resolve(self.place, own, ground.numbers(self.place))
        return found.written, found.entries, found.problems

    def take(self, name: str, value: Json) -> None:
        try:
            key = self.key_for(name)
            if key != name:
                self.renamed.append((name, key))
            asked = self.asked(name, key, value)
            if self.is_same(key, asked):
                self.same.append(key)
                return
            entry = self.writing.entry_for(key, asked)
        except BadName as error:
            self.skipped.append((name, str(error)))
            return
        if not entry or same(entry, self.written.get(key, {})):
            self.same.append(key)
        else:
            self.set[key], self.entries[key] = asked, entry

    def key_for(self, name: str) -> str:
        """`name`, or the key whose environment variable it is. Raises BadName where that is taken."""
        if name in self.written or env_name(name) != name:
            return name
        meant = self.by_variable.get(name, [])
        if len(meant) != 1:
            return name
        if meant[0] in self.imported.set:
            raise BadName(f"It is the variable of {meant[0]}, which the text has as well.")
        return meant[0]

    def asked(self, name: str, key: str, value: Json) -> Json:
        """The value as `change_draft` takes it. Raises BadName for what stands for a secret only."""
        if name in self.imported.secrets and secret_forms.read(key, value) is None:
            if secret_forms.holds_mask(value):
                raise BadName("It is the mask of a secret and not its value. Set it by hand.")
            return self.opened(key, value) or {secret_forms.SECRET: value}
        opened = self.opened(key, value)
        if opened is not None:
            return opened
        if isinstance(value, str) and MASK.search(value) and not MASK.fullmatch(value):
            raise BadName("It holds the mask of a secret, which is no value. Set it by hand.")
        if isinstance(value, str) and self.imported.texts_only:
            return self.typed(key, value)
        return value

    def opened(self, key: str, value: Json) -> Json:
        """A secret that an export sealed; None for anything else. Raises BadName where its key is
        not here: it was sealed for another place."""
        sealed = _as_sealed(value, self.imported.texts_only)
        if sealed is None:
            return None
        try:
            return {secret_forms.SECRET: secrets.open_entry(self.place, key, sealed)}
        except CannotOpenSecret:
            raise BadName(
                f"It is sealed, and not for {key} of {self.place}. Set it by hand."
            ) from None

    def typed(self, key: str, text: str) -> Json:
        """A text of a source that knows no numbers, as a value of the type that the key has."""
        if key in self.effective:
            if self.effective[key].get("secret"):
                return text
            found = typed(text, self.effective[key].get("value"))
            return found if self.is_same(key, found) else typed(text, self.written[key]["value"])
        types = self.facts[key].type if key in self.facts else ()
        likes = [] if "string" in types else [_LIKE[each] for each in types if each in _LIKE]
        found = [typed(text, like) for like in likes]
        return next((each for each in found if not isinstance(each, str)), text)

    def is_same(self, key: str, value: Json) -> bool:
        """Has the key this plain value, once layers and references are put in?"""
        entry = self.effective.get(key)
        return entry is not None and not entry.get("secret") and same(entry, {"value": value})

    def missing(self) -> list[str]:
        """The draft's own keys that the text has not. What was skipped is there, if unreadable."""
        named = {*self.set, *self.same}
        for name, _ in self.skipped:
            named.add(name)
            try:
                named.add(self.key_for(key_of(name)))
            except BadName:
                continue  # it names no key of ours
        return sorted(self.own.keys() - named)

    def skip_colliding(self, unset: Collection[str]) -> None:
        """Skip what would be one environment variable with a key that is there, or came first."""
        there = self.written.keys() - set(unset)
        for group in colliding({*there, *self.set}):
            fresh = [key for key in group if key in self.set and key not in there]
            keeps = [key for key in group if key not in fresh] or fresh[:1]
            for key in fresh:
                if key in keeps:
                    continue
                del self.set[key], self.entries[key]
                why = f"It would be the variable {env_name(key)}, which {keeps[0]} is. Rename one."
                self.skipped.append((key, why))


def _as_sealed(value: Json, texts_only: bool) -> dict[str, Any] | None:
    """The entry {"secret": true, "ciphertext": …} that `value` is, also as JSON in a text."""
    if texts_only and isinstance(value, str) and value.startswith("{") and '"ciphertext"' in value:
        try:
            value = parsed_json(value)
        except (ValueError, RecursionError):
            return None
    if (
        isinstance(value, dict)
        and value.get("secret") is True
        and set(value) == {"secret", "ciphertext"}
    ):
        return value
    return None
