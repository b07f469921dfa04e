"""One key with a field for each environment: what the form shows, and what somebody sent with it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confhub.access.policies import may
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases.entries import answered
from confhub.releases.setting import Outcome, Wish
from confhub.releases.side_by_side import Column, KeyLine
from dashboard import values

EMPTY = "empty"  # a kind of its own, because a field left empty means "not here"
KINDS: dict[str, str] = {
    **{str(kind): word for kind, word in values.KINDS.items()},
    EMPTY: "Empty text",
}


@dataclass
class EnvironmentField:
    """One environment's part of the form. `problem` says why it was not saved."""

    scope: Any
    version: int  # the draft's, that the field was drawn from
    kind: str = "string"
    text: str = ""
    was: str = ""  # a digest of the value it was drawn with; "": the key is not there
    fingerprint: str = ""  # of a secret, which is set on its own page
    layer: str = ""
    may_edit: bool = True
    may_remove: bool = False
    removing: bool = False
    problem: str = ""
    theirs: values.Shown | None = None  # what somebody saved meanwhile
    theirs_removed: bool = False
    saved: bool = False

    @property
    def name(self) -> str:
        return str(self.scope.environment.slug)

    @property
    def is_open(self) -> bool:
        """True where it takes a value here."""
        return self.may_edit and not self.fingerprint


@dataclass
class Sent:
    """What to save, and the fields as they were sent."""

    fields: list[EnvironmentField]
    wishes: list[Wish] = field(default_factory=list)

    @property
    def has_problem(self) -> bool:
        return any(each.problem for each in self.fields)


def fields(who: Actor, columns: Sequence[Column], line: KeyLine | None) -> list[EnvironmentField]:
    """The form as the drafts are now; `line` is None for a new key."""
    return [
        _drawn(who, column, line.cells[at] if line else None) for at, column in enumerate(columns)
    ]


def _drawn(who: Actor, column: Column, cell: Any) -> EnvironmentField:
    held = EnvironmentField(column.scope, column.version, may_edit=may(who, "edit", column.scope))
    if cell is None or cell.entry is None:
        return held
    held.layer = cell.layer
    held.may_remove = not cell.layer
    if cell.entry.get("secret"):
        held.fingerprint = str(cell.entry.get("fingerprint", "")) or "sealed"
        return held
    shown = values.shown(answered(cell.entry))
    is_empty = shown.kind == "string" and not shown.text
    held.kind, held.text = EMPTY if is_empty else shown.kind, shown.text
    held.was = _digest(read(held.kind, held.text))
    return held


def read(kind: str, text: str) -> Any:
    """The value that somebody typed. Raises NotAValue."""
    return "" if kind == EMPTY and not text.strip() else values.read(_kind(kind), text)


def sent(fresh: Sequence[EnvironmentField], data: Mapping[str, str]) -> Sent:
    """What the form's `data` asks for; environments whose field was left as it was drawn are left
    alone, also where somebody else changed them meanwhile."""
    found = Sent([])
    for held in fresh:
        name = held.name
        found.fields.append(held)
        if f"value.{name}" not in data or not held.is_open:
            continue
        typed = data[f"value.{name}"].replace("\r\n", "\n")
        kind, was = data.get(f"kind.{name}", "string"), data.get(f"was.{name}", "")
        removing = bool(data.get(f"remove.{name}"))
        wish = _wish(held, kind, typed, was, removing, data.get(f"version.{name}", ""))
        if wish is not None:
            found.wishes.append(wish)
        if wish is not None or held.problem:
            held.kind, held.text, held.removing = kind, typed, removing
    return found


def _wish(
    held: EnvironmentField, kind: str, typed: str, was: str, removing: bool, version: str
) -> Wish | None:
    if removing:
        act, value = "unset", None
    else:
        if not was and not typed and kind not in (EMPTY, "null"):
            return None  # it was not there, and nothing was typed
        try:
            value = read(kind, typed)
        except values.NotAValue as error:
            held.problem = str(error)
            return None
        if _digest(value) == was:
            return None
        act = "set"
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        held.problem = "The page was incomplete, so nothing was saved here. Look again and save."
        return None
    return Wish(held.scope, act, value, int(version))  # type: ignore[arg-type]  # one of the two words


def settled(fresh: Sequence[EnvironmentField], asked: Sent, outcomes: Mapping[int, Outcome], key: str) -> list[EnvironmentField]:  # fmt: skip
    """The form after saving: what was saved as it is now, what was refused as it was typed."""
    now = {each.scope.pk: each for each in fresh}
    return [
        _settled(now.get(each.scope.pk, each), each, outcomes.get(each.scope.pk), key)
        for each in asked.fields
    ]


def _settled(
    now: EnvironmentField, typed: EnvironmentField, outcome: Outcome | None, key: str
) -> EnvironmentField:
    if outcome is None and not typed.problem:
        return now
    if outcome is not None and outcome.is_saved:
        now.saved = True
        return now
    # Drawn with the newest version, because the next save is made with both sides in view.
    typed.version, typed.was = now.version, now.was
    if outcome is not None and outcome.error is not None:
        _refused(typed, outcome.error, key)
    return typed


def _refused(typed: EnvironmentField, error: ConfHubError, key: str) -> None:
    typed.problem = error.fields.get(key, error.detail)
    conflict = error.extra.get("conflicts", {}).get(key)
    if conflict:
        typed.problem = (
            f"{conflict['by']} changed it here after you looked. Nothing was saved here."
        )
        typed.theirs_removed = bool(conflict["removed"])
        typed.theirs = None if typed.theirs_removed else values.shown(conflict["theirs"])


def _kind(kind: str) -> str:
    return "string" if kind == EMPTY else kind


def _digest(value: Any) -> str:
    return hashlib.sha256(values.raw(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]
