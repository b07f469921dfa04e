"""May this actor do that? The one place that answers.

Everybody who is signed in may do everything for now except where staff is asked; roles per service
and environment take this function's place without changing its callers.
"""

from typing import ClassVar, Literal

from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError

Verb = Literal["see", "edit", "publish", "administer"]
VERBS: tuple[Verb, ...] = ("see", "edit", "publish", "administer")


class NotFound(ConfHubError):
    """There is no such thing, or the actor may not see it; the two look the same from outside."""

    code: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404


class NotSignedIn(ConfHubError):
    """Nobody is known behind the request."""

    code: ClassVar[str] = "not_signed_in"
    status: ClassVar[int] = 401


class NotAllowed(ConfHubError):
    """The actor may see the thing, but not do this to it."""

    code: ClassVar[str] = "not_allowed"
    status: ClassVar[int] = 403


def require(who: Actor, verb: Verb, target: object) -> None:
    """Return when `who` may `verb` the `target`; raise NotAllowed or ValueError (no such verb)."""
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is not a verb: {', '.join(VERBS)}")
    if not who.active:
        raise NotAllowed(
            f"The account {who.name!r} is switched off, so it may not {verb} {target}. "
            "Ask an administrator to switch it on."
        )
