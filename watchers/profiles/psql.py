"""Questions to a running PostgreSQL, asked with its own psql, inside, as the server's own user."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from watchers.attempt import Attempt
from watchers.inside import CannotRun, Inhabitant
from watchers.processes import Gone

PROGRAMS = ("postgres", "postmaster")
ALONE = {"--boot", "--single", "--check", "--describe-config", "-C"}  # it serves nobody
LOOK_S = 10.0
# What psql says where asking again will not help, in the words of its English messages.
REFUSALS = (
    "no pg_hba.conf entry", "authentication failed", "does not exist", "rejects connection",
    "permission denied", "no password supplied", "is not permitted to log in",
)  # fmt: skip


class NoAnswer(Exception):
    """The server did not answer. `refused`: because it does not let us in."""

    def __init__(self, text: str, *, refused: bool) -> None:
        super().__init__(text)
        self.refused = refused


def postmaster(attempt: Attempt) -> Inhabitant | None:
    """The server's first process; None while none runs, such as while its data is being set up."""
    found = [
        one
        for one in attempt.inside.processes()
        if one.exe in PROGRAMS and not ALONE.intersection(one.argv)
    ]
    pids = {one.process.pid for one in found}
    return next((one for one in found if one.parent not in pids), None)


def arguments(attempt: Attempt) -> tuple[str, ...]:
    """Its argv, which it leaves as it was. Raises Gone."""
    found = postmaster(attempt)
    if found is None:
        raise Gone("postgres does not run")
    return found.argv


@dataclass(frozen=True)
class Server:
    """A running postmaster, as its own files say."""

    psql: str
    port: str
    socket_directory: str  # "" where it listens on TCP alone

    @classmethod
    def of(cls, attempt: Attempt) -> "Server":
        """Raises Gone when nothing runs, NoAnswer, CannotRun."""
        argv = arguments(attempt)
        lines = _pid_file(argv, attempt)
        program = PurePosixPath(argv[0])
        return cls(
            psql=str(program.with_name("psql")) if program.is_absolute() else "psql",
            port=lines[3].strip(),
            socket_directory=lines[4].strip(),
        )

    def ask(self, attempt: Attempt, sql: str, **variables: str) -> list[dict[str, Any]]:
        """Rows of one JSON object each. Raises NoAnswer, CannotRun.

        An answer holds some kilobytes at most, so `sql` has to choose.
        """
        argv = [
            self.psql, "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--no-password",
            "--set=ON_ERROR_STOP=1", "--dbname=postgres", f"--port={self.port}",
            f"--host={self.socket_directory or 'localhost'}",
            *(f"--set={name}={value}" for name, value in variables.items()), "--file=-",
        ]  # fmt: skip
        said = ""
        for role in self._roles(attempt):
            outcome = attempt.inside.run([*argv, *role], timeout_s=LOOK_S, stdin=sql.encode())
            if outcome.passed:
                return _objects(outcome.output)
            said = said or f"{outcome.how}. {outcome.output.strip()}"
            if not any(words in outcome.output for words in REFUSALS):
                raise NoAnswer(f"psql: {outcome.how}. {outcome.output.strip()}", refused=False)
        raise NoAnswer(
            f"psql: {said} The agent asks as the server's own user over its unix socket: let that "
            "user in with `local all postgres peer` (or `trust`) as the first line of pg_hba.conf, "
            "and set PGUSER in the container's environment where the superuser has another name.",
            refused=True,
        )

    def _roles(self, attempt: Attempt) -> list[list[str]]:
        """Whom to log in as: PGUSER or the user's own name, the image's POSTGRES_USER, postgres."""
        try:
            named = attempt.inside.run(["printenv", "POSTGRES_USER"], timeout_s=LOOK_S)
        except CannotRun:
            named = None
        role = named.output.strip() if named and named.passed else ""
        others = dict.fromkeys(name for name in (role, "postgres") if name)
        return [[], *([f"--username={name}"] for name in others)]


def _pid_file(argv: Sequence[str], attempt: Attempt) -> list[str]:
    """The lines of postmaster.pid: its port is the fourth, the directory of its socket the fifth."""
    outcome = attempt.inside.run([*argv, "-C", "data_directory"], timeout_s=LOOK_S)
    if not outcome.passed:
        raise NoAnswer(f"{argv[0]}: {outcome.how}. {outcome.output.strip()}", refused=False)
    path = f"{outcome.output.strip().splitlines()[-1]}/postmaster.pid"
    try:
        lines = attempt.inside.read(path).decode(errors="replace").splitlines()
    except OSError as error:
        raise NoAnswer(
            f"{path} cannot be read: {error.strerror or error}", refused=False
        ) from error
    if len(lines) < 6:  # the server writes the rest while it starts
        raise NoAnswer("PostgreSQL is starting.", refused=False)
    return lines


def _objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
