"""Ways that ask: nothing at all, a request to the workload's own port, a command inside, a restart."""

import contextlib
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self

from watchers.attempt import Attempt
from watchers.inside import CannotRun, Inside
from watchers.processes import Gone, Handle
from watchers.reload.base import NotTaken, Vetoed

HTTP_S = 30.0  # Prometheus answers a reload once it is done
BODY_BYTES = 4000


@dataclass(frozen=True)
class Quiet:
    """`none`: the process watches its files itself."""

    restarts = False

    def __str__(self) -> str:
        return "none"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "Asked":
        return Asked(self, attempt)

    def tell(self, attempt: Attempt) -> None:
        """Nothing is said; that the process still lives is looked at by Asked."""


@dataclass(frozen=True)
class Http:
    """`http:POST :9090/-/reload`, to the workload's own loopback."""

    method: str
    port: int
    path: str

    restarts = False

    def __str__(self) -> str:
        return f"http:{self.method} :{self.port}{self.path}"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "Asked":
        return Asked(self, attempt)

    def tell(self, attempt: Attempt) -> None:
        try:
            status, body = ask(attempt.inside, self.method, self.port, attempt.words(self.path))
        except (OSError, HTTPException) as error:
            raise NotTaken(f"{self} got no answer: {error}") from error
        if not 200 <= status < 300:
            raise NotTaken(f"{self} answered {status}: {body.strip()}")


@dataclass(frozen=True)
class Exec:
    """`exec:PROGRAM ARGUMENT…`, run inside. No shell reads it."""

    argv: tuple[str, ...]

    restarts = False

    def __str__(self) -> str:
        return f"exec:{' '.join(self.argv)}"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "Asked":
        return Asked(self, attempt)

    def tell(self, attempt: Attempt) -> None:
        outcome = attempt.inside.run([attempt.words(word) for word in self.argv])
        if not outcome.passed:
            raise NotTaken(f"{self.argv[0]}: {outcome.how}. {outcome.output.strip()}")


@dataclass(frozen=True)
class Restart:
    """`restart`: the process ends as it asks to be ended, and begins anew with the release."""

    restarts = True

    def __str__(self) -> str:
        return "restart"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "Asked":
        if why_not := attempt.inside.no_restart():
            raise Vetoed(why_not)
        return Asked(self, attempt)

    def tell(self, attempt: Attempt) -> None:
        attempt.inside.restart()


class Asked:
    """A reload that needs nothing held but the knowledge of whom it is for."""

    def __init__(self, way: "Quiet | Http | Exec | Restart", attempt: Attempt) -> None:
        """Raises Gone when the workload's process has ended."""
        if attempt.process is None:
            raise Gone("nothing runs")
        self._way, self._attempt = way, attempt
        self._handle = Handle(attempt.process)

    def send(self) -> None:
        if self._handle.ended():
            raise Gone(f"process {self._handle.process.pid} has ended")
        self._way.tell(self._attempt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._handle.close()


def ask(
    inside: Inside,
    method: str,
    port: int,
    path: str,
    *,
    timeout_s: float = HTTP_S,
    max_bytes: int = BODY_BYTES,
) -> tuple[int, str]:
    """(status, the first of the body) of one HTTP request inside. Raises OSError, HTTPException.

    A redirect is not followed: what answers on that port is asked, and nobody else.
    """
    connection = HTTPConnection("localhost", port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.sock = inside.connect(port, timeout_s=timeout_s)
        connection.request(method, path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(max_bytes).decode(errors="replace")


__all__ = ["Asked", "CannotRun", "Exec", "Http", "Quiet", "Restart", "ask"]
