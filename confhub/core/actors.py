"""Who asks: a person, a program with a token, or ConfHub itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Passed as `who=` from the edge to whatever checks rights or writes the audit."""

    name: str  # "admin", "token:admin", "confhub"
    user_id: int | None
    active: bool
    request_id: str = ""


SYSTEM = Actor(name="confhub", user_id=None, active=True)  # sweeps and set-up commands
