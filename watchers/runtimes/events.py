"""What an engine's events say: docker's and podman's words as one.

podman has `remove` for `destroy`, sends `kill` without saying which signal, tells each health probe
and not only changes, and says nothing at all before it stops a container.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDING = {signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT}
ENDS = ("die", "died")
# What a container leaves behind that was stopped: by its own will once told, by TERM, by KILL after
# the time to do so. A crash has other codes.
STOPPED_CODES = {0, 128 + signal.SIGTERM, 128 + signal.SIGKILL}


@dataclass(frozen=True)
class Seen:
    """One event of one container."""

    full_id: str
    action: str  # "start", without what may stand behind it ("health_status: healthy")
    signal: int | None = None
    exit_code: int | None = None
    health: str = ""  # what a probe found; "" where the event is none or does not say

    @property
    def asks_to_end(self) -> bool:
        """Somebody told the engine to end it, and it has not ended yet."""
        return self.action == "kill" and self.signal in ENDING

    @property
    def is_end(self) -> bool:
        return self.action in ENDS

    @property
    def looks_asked(self) -> bool:
        """Whether its process ended as one does that was told to: all there is to go by with podman."""
        return self.exit_code in STOPPED_CODES


def read(event: Mapping[str, Any]) -> Seen | None:
    """What concerns us of an event; None for the noise of exec and for what cannot be read."""
    actor = event.get("Actor")
    actor = actor if isinstance(actor, Mapping) else {}
    full_id = event.get("id") or actor.get("ID")
    action, _, rest = str(event.get("Action") or "").partition(":")
    if not full_id or not action or action.startswith("exec"):
        return None
    more = actor.get("Attributes")
    more = more if isinstance(more, Mapping) else {}
    return Seen(
        full_id=str(full_id),
        action=action,
        signal=_number(more.get("signal")),
        exit_code=_number(more.get("exitCode", more.get("containerExitCode"))),
        health=_health(action, rest, more),
    )


def _health(action: str, rest: str, more: Mapping[str, Any]) -> str:
    if action != "health_status":
        return ""
    return rest.strip() or str(more.get("health_status") or "")


def _number(word: object) -> int | None:
    return int(str(word)) if str(word).isdigit() else None
