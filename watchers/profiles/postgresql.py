"""PostgreSQL: its own check of a candidate, HUP to the postmaster, and what pg_settings says of it.

An invalid value in the file does not keep the others from being applied, so nothing is told that
`postgres -C` has not read to its end, and both files are parsed once more by the server, which its
views do without applying them, between the swap and the HUP.
https://www.postgresql.org/docs/15/view-pg-file-settings.html
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from signal import SIGHUP
from types import TracebackType
from typing import Any, Self

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import TIMEOUT_S, CannotRun
from watchers.processes import Gone, Handle, uptime_s
from watchers.profiles.base import Profile
from watchers.profiles.psql import NoAnswer, Server, arguments, postmaster
from watchers.profiles.started import delivered, must_see, staged
from watchers.reload.base import Armed, NotTaken, Vetoed
from watchers.reload.signals import YOUNG_S, Signal
from watchers.wire.canonical import Json

NOT_THERE = "No process of the container runs postgres, so there is nothing to reload."
LOOK_S = 0.1
WAIT_S = 60.0  # a server that replays its log lets nobody in

# First of all, because reading pg_file_settings raises the flag pending_restart in this session.
LOADED = "SELECT json_build_object('loaded', extract(epoch FROM pg_conf_load_time()));\n"
PENDING = "SELECT json_build_object('pending', name) FROM pg_settings WHERE pending_restart;\n"

# What is wrong with the files as they stand now, whether or not the server has loaded them. That a
# setting of the context `postmaster` cannot be applied is no error: it waits for a restart.
ERRORS = """
SELECT json_build_object('error', concat(f.sourcefile, ' line ', f.sourceline, ': ', f.name, ' ', error))
  FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name)
 WHERE error IS NOT NULL AND s.context IS DISTINCT FROM 'postmaster' ORDER BY seqno LIMIT 12;
SELECT json_build_object('error', concat(current_setting('hba_file'), ' line ', line_number, ': ', error))
  FROM pg_hba_file_rules
 WHERE error IS NOT NULL AND starts_with(current_setting('hba_file'), :'dir') LIMIT 12;
"""

# For each setting of the delivered files its last line there: is it the last one of all files, and
# is it the line that the running value comes from? One statement, which writes nothing, because a
# standby has to answer it too.
STANDS = """
WITH line AS MATERIALIZED (
  SELECT lower(name) AS key, seqno, sourcefile, sourceline, setting, error,
         starts_with(sourcefile, :'dir') AS ours FROM pg_file_settings WHERE name IS NOT NULL),
final AS (SELECT DISTINCT ON (key) * FROM line ORDER BY key, seqno DESC),
mine AS (SELECT DISTINCT ON (key) * FROM line WHERE ours ORDER BY key, seqno DESC),
elsewhere AS (SELECT final.* FROM final JOIN pg_settings s ON lower(s.name) = key
               WHERE NOT ours AND s.pending_restart),
covered AS (SELECT mine.key, final.sourcefile AS by, final.sourceline AS at
              FROM mine JOIN final USING (key) WHERE NOT final.ours
            UNION ALL
            SELECT mine.key, s.source, s.sourceline
              FROM mine JOIN final USING (key, seqno) JOIN pg_settings s ON lower(s.name) = mine.key
             WHERE mine.error IS NULL AND mine.setting <> '-1'
               AND (s.source = 'configuration file'
                    AND (s.sourcefile, s.sourceline) IS DISTINCT FROM (mine.sourcefile, mine.sourceline)
                 OR s.source IN ('default', 'command line', 'environment variable')
                    AND lower(mine.setting) NOT IN (lower(s.setting), lower(current_setting(s.name)))))
SELECT json_build_object('ours', (SELECT count(*) FROM mine),
                         'hba', starts_with(current_setting('hba_file'), :'dir')) UNION ALL
SELECT json_build_object('elsewhere', key) FROM elsewhere UNION ALL
(SELECT json_build_object('over', concat(key, ' (', by, ' line ' || at, ')')) FROM covered LIMIT 12);
"""


@dataclass(frozen=True)
class Candidate:
    """`postgres … -C port`, which reads the whole file and refuses a name or value that is none."""

    timeout_s: float = TIMEOUT_S

    def run(self, attempt: Attempt) -> None:
        try:
            argv = arguments(attempt)
        except Gone:
            return  # nothing runs that could be told; that it starts with the files is its proof
        shows = attempt.generation if attempt.inside.shows_generations else ""
        if not shows:
            argv = _with_staged(argv, attempt)
        outcome = attempt.inside.run([*argv, "-C", "port"], timeout_s=self.timeout_s, shows=shows)
        if not outcome.passed:
            raise CheckFailed(f"postgres: {outcome.how}. {outcome.output.strip()}".strip())


def _with_staged(argv: tuple[str, ...], attempt: Attempt) -> tuple[str, ...]:
    """The same arguments for the files that are not swapped in yet. Raises CheckFailed."""
    words = [word.partition("=") for word in argv]
    if not any(delivered(attempt, value) for _, _, value in words):
        raise CheckFailed(
            "PostgreSQL was started with a config_file that is not among the delivered files, and "
            "here a check cannot be shown the new ones. Start it with "
            f"-c config_file={attempt.directory}/postgresql.conf."
        )
    return tuple(f"{name}{equals}{staged(attempt, value)}" for name, equals, value in words)


@dataclass(frozen=True)
class Reload:
    """HUP, once the server itself finds no error in the files that it would read."""

    restarts = False

    def __str__(self) -> str:
        return "profile:postgresql"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> Armed:
        """Waits for the server to let somebody in, as long as it may be starting."""
        if attempt.process is None:
            raise Gone("nothing runs")
        until = time.monotonic() + patience_s
        with Handle(attempt.process) as watched:
            while (waits_for := _why_not_yet(attempt)) is not None:
                if watched.ended():
                    raise Gone(f"process {attempt.process.pid} has ended")
                if uptime_s(attempt.process) > YOUNG_S and time.monotonic() >= until:
                    raise waits_for
                time.sleep(LOOK_S)
            found = postmaster(attempt)
            try:
                if found is None:
                    raise Gone("the server has ended")
                armed = Signal(SIGHUP).arm(attempt.but(process=found.process))
            except Gone as error:
                if watched.ended():
                    raise
                raise CannotRun(f"PostgreSQL is starting anew: {error}.") from error
        return _Armed(armed, attempt)


def _why_not_yet(attempt: Attempt) -> Vetoed | CannotRun | None:
    """What is to be raised if the server does not answer in time. Raises Vetoed if it never will."""
    if postmaster(attempt) is None:
        return Vetoed(NOT_THERE)
    try:
        Server.of(attempt).ask(attempt, LOADED)
    except NoAnswer as error:
        if _shut_out(attempt, error):
            return None
        if error.refused:
            raise Vetoed(f"Nobody could see whether PostgreSQL took the file. {error}") from error
        return CannotRun(str(error))
    except Gone:
        return Vetoed(NOT_THERE)
    return None


class _Armed:
    """A HUP that is sent only where the server reads the new files and finds nothing wrong."""

    def __init__(self, armed: Armed, attempt: Attempt) -> None:
        self._armed, self._attempt = armed, attempt

    def send(self) -> None:
        attempt = self._attempt
        for word in arguments(attempt):
            must_see(attempt, word.rpartition("=")[2])
        rows: list[dict[str, Any]] = []
        try:
            rows = Server.of(attempt).ask(attempt, ERRORS, dir=f"{attempt.directory}/")
        except NoAnswer as error:
            if not _shut_out(attempt, error):
                raise NotTaken(f"PostgreSQL was not told: {error}") from error
        if errors := _words(rows, "error"):
            raise NotTaken(f"PostgreSQL was not told, because it finds errors. {'; '.join(errors)}")
        self._armed.send()

    def __enter__(self) -> Self:
        self._armed.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._armed.__exit__(kind, error, at)


def _shut_out(attempt: Attempt, error: NoAnswer) -> bool:
    """True when the release that it was told of lets nobody in, and the one before shall come back."""
    return error.refused and attempt.told_at_ns > 0


@dataclass(frozen=True)
class Loaded:
    """Every setting of the delivered files runs, or waits for a restart.

    `pg_conf_load_time()` alone would prove nothing: it moves on for a file that was refused, too.
    """

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """{"loaded": seconds of the epoch}; {} while it does not answer."""
        try:
            rows = Server.of(attempt).ask(attempt, LOADED)
        except (NoAnswer, Gone, CannotRun):
            return {}
        return {"loaded": _one(rows, "loaded")}

    def look(self, attempt: Attempt) -> Proven:
        rows = self._ask(attempt)
        before, loaded = attempt.noted.get("loaded"), _one(rows, "loaded")
        if isinstance(before, float) and loaded <= before:
            raise NotYet("PostgreSQL has not read its files again.")
        if errors := _words(rows, "error"):
            raise Disproved(f"PostgreSQL finds errors. {'; '.join(errors)}")
        if over := _words(rows, "over"):
            raise Disproved(
                f"These settings of release {attempt.release} are not in force, because another place "
                f"goes before the delivered file: {', '.join(over)}. ALTER SYSTEM RESET them, or "
                "take them from the command line."
            )
        if not _one(rows, "ours") and not _one(rows, "hba"):
            raise Disproved(
                f"PostgreSQL reads no file in {attempt.directory}. Start it with -c config_file="
                f"{attempt.directory}/postgresql.conf, or include that directory in its own file."
            )
        pending = set(_words(rows, "pending")) - set(_words(rows, "elsewhere"))
        return Proven(tuple(sorted(pending)))

    def _ask(self, attempt: Attempt) -> list[dict[str, Any]]:
        try:
            sql = LOADED + PENDING + ERRORS + STANDS
            return Server.of(attempt).ask(attempt, sql, dir=f"{attempt.directory}/")
        except CannotRun as error:
            raise Disproved(str(error)) from error
        except Gone as error:
            raise NotYet(str(error)) from error
        except NoAnswer as error:
            if error.refused:
                raise Disproved(str(error)) from error
            raise NotYet(str(error)) from error


def _words(rows: list[dict[str, Any]], kind: str) -> list[str]:
    return [str(row[kind]) for row in rows if kind in row]


def _one(rows: list[dict[str, Any]], kind: str) -> float:
    """The number of the one row that has it."""
    return float(next(row[kind] for row in rows if kind in row))


POSTGRESQL = Profile(
    name="postgresql",
    check=Candidate(),
    way=Reload(),
    proof=Loaded(),
    tested="postgresql 15.18",
)
