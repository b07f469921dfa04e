"""Several drafts changed in one act: all of them, or none."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import transaction

from confhub.access.places import name_of
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import actions
from confhub.releases.places import Place
from confhub.releases.queries import DraftView
from watchers.wire.canonical import Json

MAX_EDITS = 200  # in one act; each locks a row and tells pages


class BadBulk(ConfHubError):
    """Too many edits in one act, or two for one place."""

    code: ClassVar[str] = "edits.bad"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Edit:
    """What one draft shall become, which was seen at `version`; None does not compare."""

    place: Place
    set: Mapping[str, Json]
    unset: Collection[str] = ()
    revert: Collection[str] = ()
    version: int | None = None


@transaction.atomic
def edit_all(edits: Sequence[Edit], *, who: Actor, now: datetime) -> list[DraftView]:
    """Each draft after its change, in the order of `edits`.

    Raises what `change_draft` raises, with the place's name before the detail and before each
    field; then nothing is changed anywhere. Raises BadBulk.
    """
    _check(edits)
    # In one order, so that two who edit the same places wait for each other instead of for ever.
    ordered = sorted(range(len(edits)), key=lambda at: _order(edits[at].place))
    done: dict[int, DraftView] = {}
    for at in ordered:
        edit = edits[at]
        try:
            done[at] = actions.change_draft(
                edit.place, set=edit.set, unset=edit.unset, revert=edit.revert,
                expected=edit.version, who=who, now=now,
            )  # fmt: skip
        except ConfHubError as error:
            raise _named(error, name_of(edit.place)) from error
    return [done[at] for at in range(len(edits))]


def _check(edits: Sequence[Edit]) -> None:
    if not 0 < len(edits) <= MAX_EDITS:
        sentence = f"Send 1 to {MAX_EDITS} edits; there are {len(edits)}."
        raise BadBulk(f"Nothing was changed. {sentence}", fields={"edits": sentence})
    names = [name_of(edit.place) for edit in edits]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        sentence = f"{twice} is there twice. Put its keys into one edit."
        raise BadBulk(f"Nothing was changed. {sentence}", fields={"edits": sentence})


def _order(place: Place) -> tuple[str, int]:
    return type(place).__name__, place.pk


def _named(error: ConfHubError, name: str) -> ConfHubError:
    error.detail = f"{name}: {error.detail} No other draft was changed either."
    error.args = (error.detail,)
    error.fields = {f"{name}.{field}": text for field, text in error.fields.items()}
    error.extra = {**error.extra, "place": name}
    return error
