"""One key in several environments of a service at once, each with its own value.

Each environment's draft is saved by itself: what one of them refuses stays with the caller, who sees
which, and the others are saved.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from confhub.access.policies import require
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import actions
from watchers.wire.canonical import Json


@dataclass(frozen=True)
class Wish:
    """What a key shall be in one scope's draft, which was seen at `version`."""

    scope: Scope
    act: Literal["set", "unset"]
    value: Json  # None where unset
    version: int | None  # None does not compare


@dataclass(frozen=True)
class Outcome:
    """What became of a wish: the draft's new version, or the refusal."""

    scope: Scope
    version: int | None
    error: ConfHubError | None

    @property
    def is_saved(self) -> bool:
        return self.error is None


def set_in_each(
    key: str, wishes: Collection[Wish], *, who: Actor, now: datetime
) -> dict[int, Outcome]:
    """{scope row id: what became of it}. Raises nothing that a caller can do something about."""
    return {wish.scope.pk: _outcome(key, wish, who, now) for wish in wishes}


def _outcome(key: str, wish: Wish, who: Actor, now: datetime) -> Outcome:
    values: Mapping[str, Json] = {key: wish.value} if wish.act == "set" else {}
    unset = [key] if wish.act == "unset" else []
    try:
        require(who, "edit", wish.scope)
        view = actions.change_draft(
            wish.scope, set=values, unset=unset, expected=wish.version, who=who, now=now
        )
    except ConfHubError as error:
        return Outcome(wish.scope, None, error)
    return Outcome(wish.scope, view.version, None)
