"""A check that a label names: a command, run inside against the new files."""

from dataclasses import dataclass

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.inside import TIMEOUT_S


@dataclass(frozen=True)
class CommandCheck:
    """`exec:nginx -t -c {dir}/nginx.conf`. No shell reads it."""

    argv: tuple[str, ...]
    timeout_s: float = TIMEOUT_S

    def __str__(self) -> str:
        return f"exec:{' '.join(self.argv)}"

    def run(self, attempt: Attempt) -> None:
        argv = [attempt.words(word) for word in self.argv]
        shows = attempt.generation if attempt.inside.shows_generations else ""
        outcome = attempt.inside.run(argv, timeout_s=self.timeout_s, shows=shows)
        if not outcome.passed:
            raise CheckFailed(f"{argv[0]}: {outcome.how}. {outcome.output.strip()}".strip())
