"""Proofs that a label names: an answer over HTTP, a command, the runtime's own health check."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException

from watchers.attempt import Attempt
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import CannotRun
from watchers.reload.asked import ask
from watchers.wire.canonical import Json

WAIT_S = 30.0  # a container's health check is due every 30 s by Docker's defaults
LOOK_S = 5.0  # one look may take this long


@dataclass(frozen=True)
class HttpProof:
    """`http:GET :8080/config-version contains {release}`."""

    method: str
    port: int
    path: str
    contains: str = ""
    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {}

    def look(self, attempt: Attempt) -> Proven:
        what = f"{self.method} :{self.port}{attempt.words(self.path)}"
        try:
            status, body = ask(
                attempt.inside, self.method, self.port, attempt.words(self.path), timeout_s=LOOK_S
            )
        except (OSError, HTTPException) as error:
            raise NotYet(f"{what} got no answer: {error}") from error
        wanted = attempt.words(self.contains)
        if not 200 <= status < 300:
            raise NotYet(f"{what} answered {status}: {body[:500].strip()}")
        if wanted not in body:
            raise NotYet(f"{what} does not contain {wanted!r} but says: {body[:500].strip()}")
        return Proven()


@dataclass(frozen=True)
class CommandProof:
    """`exec:PROGRAM ARGUMENT…`: exit code 0 says that the release runs."""

    argv: tuple[str, ...]
    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {}

    def look(self, attempt: Attempt) -> Proven:
        argv = [attempt.words(word) for word in self.argv]
        try:
            outcome = attempt.inside.run(argv, timeout_s=LOOK_S)
        except CannotRun as error:
            raise Disproved(str(error)) from error
        if not outcome.passed:
            raise NotYet(f"{argv[0]}: {outcome.how}. {outcome.output.strip()}".strip())
        return Proven()


@dataclass(frozen=True)
class HealthProof:
    """`health`: the container's own health check says healthy."""

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return {}

    def look(self, attempt: Attempt) -> Proven:
        word = attempt.inside.health()
        if not word:
            raise Disproved(
                "confhub.confirm=health, but the container declares no health check. Add one, or "
                "write confhub.confirm=pid."
            )
        if word != "healthy":
            raise NotYet(f"the container's health check says {word}")
        return Proven()
