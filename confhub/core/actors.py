"""Who asks: a person, a program with a token, or ConfHub itself."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["viewer", "editor", "publisher", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Granted:
    """A role, everywhere or only for the service and environment that are named."""

    role: Role
    service: str | None = None  # a slug; None: every service
    environment: str | None = None


@dataclass(frozen=True)
class Reach:
    """Some verbs, everywhere or only for the service and environment that are named. What a token
    may do is what its person may do, and within one of its reaches."""

    verbs: frozenset[str]  # of access.policies.VERBS
    service: str | None = None  # a slug; None: every service
    environment: str | None = None


@dataclass(frozen=True)
class Actor:
    """Passed as `who=` from the edge to whatever checks rights or writes the audit."""

    name: str  # "admin", "token:admin", "confhub"
    user_id: int | None
    active: bool
    request_id: str = ""
    grants: tuple[Granted, ...] = ()  # none: may do nothing
    reach: tuple[Reach, ...] | None = None  # None: as far as the grants go; (): nowhere


EVERYTHING = (Granted("admin"),)
SYSTEM = Actor(
    name="confhub", user_id=None, active=True, grants=EVERYTHING
)  # sweeps and set-up commands
