"""What a profile holds."""

from dataclasses import dataclass

from watchers.check.base import Check
from watchers.confirm.base import Proof
from watchers.reload.base import Way


@dataclass(frozen=True)
class Profile:
    """What is known about one program, exercised against the version named in `tested`."""

    name: str  # as in confhub.reload=profile:NAME
    check: Check
    way: Way
    proof: Proof
    tested: str  # "nginx 1.22.1"
    exe: str | None = None  # the program to tell, where it may not be the container's first process
    dies_on_bad: bool = False  # a bad file ends it, so no reload goes out without a passed check
