"""Redis and Valkey: no reload of the file exists, so each setting that differs is told by CONFIG SET.

Redis 7 takes all of them or none. What it cannot change while it runs waits for a restart, and so
does a setting that is no longer written, because nobody can ask for its default.
https://redis.io/docs/latest/commands/config-set/
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import TIMEOUT_S
from watchers.processes import Gone, Handle
from watchers.profiles import redis_server
from watchers.profiles.base import Profile
from watchers.profiles.family import await_family
from watchers.profiles.redis_file import SECRET, BadFile, File, same
from watchers.profiles.redis_server import PROGRAMS, Address, NoEntry, connected
from watchers.profiles.resp import Client, Refused
from watchers.profiles.started import delivered
from watchers.reload.base import Armed, NotTaken, Vetoed
from watchers.wire.canonical import Json

WAIT_S = 60.0  # it answers nobody while it loads its data
ALL_OR_NOTHING = 7  # the first version whose CONFIG SET takes several settings
MARK = "confhub-has-read-it-to-the-end"
NOT_THERE = "No process of the container runs Redis, so there is nothing to tell."
MISSING = (
    "No redis.conf is delivered: put `entry:redis.conf` into confhub.files and start the server with "
    "{directory}/redis.conf."
)


@dataclass(frozen=True)
class Reading:
    """The server's own program reads the file, and stops at a last line that no version knows.

    So it judges each line as a start would, and never becomes a server.
    """

    timeout_s: float = TIMEOUT_S

    def run(self, attempt: Attempt) -> None:
        name = redis_server.file_name(attempt)
        if not name:
            raise CheckFailed(MISSING.format(directory=attempt.directory))
        try:
            file = redis_server.new_file(attempt, name)
            program = Address.of(attempt).program
        except Gone:
            return  # nothing runs that could be told; that it starts with the files is its proof
        except (BadFile, OSError) as error:
            raise CheckFailed(f"{name}: {error}") from error
        shows = attempt.generation if attempt.inside.shows_generations else ""
        path = f"{attempt.directory if shows else attempt.staged}/{name}"
        outcome = attempt.inside.run(
            [program, path, f"--{MARK}", "yes"], timeout_s=self.timeout_s, shows=shows
        )
        if outcome.timed_out or f"'{MARK}" not in outcome.output:
            raise CheckFailed(f"{program}: {outcome.how}. {file.hide(outcome.output.strip())}")


# ── telling ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ConfigSet:
    """CONFIG SET, ACL SETUSER and ACL LOAD over the server's own port or socket."""

    restarts = False

    def __str__(self) -> str:
        return "profile:redis"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> Armed:
        await_family(attempt, PROGRAMS, patience_s=patience_s, otherwise=NOT_THERE)
        name = redis_server.file_name(attempt)
        if not name:
            raise Vetoed(MISSING.format(directory=attempt.directory))
        before, file = redis_server.old_file(attempt, name), File()
        with contextlib.suppress(BadFile, OSError):  # the check says so, with its words
            file = redis_server.new_file(attempt, name)
        try:
            with connected(attempt, before, file):
                pass
        except NoEntry as error:
            if error.lasting:
                raise Vetoed(str(error)) from error
        return _Armed(attempt, name, before)


class _Armed:
    """The settings of one file, about to be told. `before`: the file that the server was told of."""

    def __init__(self, attempt: Attempt, name: str, before: File) -> None:
        """Raises Gone."""
        assert attempt.process is not None  # noqa: S101  # arm looked
        self._attempt, self._name, self._before = attempt, name, before
        self._handle = Handle(attempt.process)

    def send(self) -> None:
        if self._handle.ended():
            raise Gone(f"process {self._handle.process.pid} has ended")
        file = self._before
        try:
            file = redis_server.new_file(self._attempt, self._name)
            with connected(self._attempt, self._before, file) as client:
                self._tell(client, file)
        except Refused as error:
            raise NotTaken(f"Redis: {file.hide(str(error))}") from error
        except (NoEntry, BadFile, OSError) as error:
            raise NotTaken(str(error)) from error

    def _tell(self, client: Client, file: File) -> None:
        """Raises Refused, OSError."""
        wanted = {**_taken_back(self._attempt.noted, file), **file.settings}
        runs = redis_server.settings_of(client, list(wanted))
        told = {
            name: text
            for name, text in wanted.items()
            if name in runs
            and (not same(text, runs[name]) or _is_new_key(self._attempt, name, text))
        }
        if redis_server.major(client) >= ALL_OR_NOTHING:
            _set_all(client, told)
        else:
            _set_each(client, told, runs)
        for user, rules in file.users.items():
            client.call("ACL", "SETUSER", user, "reset", *rules)
        gone = {*self._before.users, *_added_users(client, self._attempt.noted)} - {*file.users}
        if gone := gone - {"default"}:
            client.call("ACL", "DELUSER", *sorted(gone))
        if delivered(self._attempt, file.settings.get("aclfile", "")):
            client.call("ACL", "LOAD")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._handle.close()


def _set_all(client: Client, told: dict[str, str]) -> None:
    """All at once, without those that need a restart. Raises Refused for any other reason."""
    left = dict(told)
    while left:
        try:
            client.call("CONFIG", "SET", *(word for pair in left.items() for word in pair))
        except Refused as error:
            name = redis_server.needs_restart(error, list(left))
            if not name:
                raise
            del left[name]
        else:
            return


def _set_each(client: Client, told: dict[str, str], runs: dict[str, str]) -> None:
    """One after the other, and those before it back when one is refused. Raises Refused."""
    done: list[str] = []
    for name, text in told.items():
        try:
            client.call("CONFIG", "SET", name, text)
        except Refused as error:
            if redis_server.needs_restart(error, [name]):
                continue
            for earlier in done:
                with contextlib.suppress(Refused):  # what ran before was taken once
                    client.call("CONFIG", "SET", earlier, runs[earlier])
            raise
        done.append(name)


def _taken_back(noted: Mapping[str, Json], file: File) -> dict[str, str]:
    """What a release that did not hold has changed and `file` does not mention: as it was before."""
    before = noted.get("before")
    if not isinstance(before, dict):
        return {}
    return {name: str(text) for name, text in before.items() if name not in file.settings}


def _added_users(client: Client, noted: Mapping[str, Json]) -> set[str]:
    """Users that have come since the release that did not hold."""
    before = noted.get("users")
    return _users(client) - {str(user) for user in before} if isinstance(before, list) else set()


def _users(client: Client) -> set[str]:
    answer = client.call("ACL", "USERS")
    return {str(user) for user in answer} if isinstance(answer, list) else set()


def _is_new_key(attempt: Attempt, name: str, text: str) -> bool:
    """True for a delivered certificate or key: its name stays while what it holds may be another."""
    return name.startswith("tls-") and bool(delivered(attempt, text))


# ── the proof ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Runs:
    """CONFIG GET has each setting of the file.

    Redis writes some values in another way than the file does (`Exg` as `gxE`). Such a setting holds
    if telling it once more changes nothing.
    """

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """What the file is about to change, without secrets, and what it no longer mentions."""
        name = redis_server.file_name(attempt)
        old = redis_server.old_file(attempt, name)
        try:
            new = redis_server.new_file(attempt, name)
            with connected(attempt, old, new) as client:
                names = [word for word in new.settings if word not in SECRET]
                before = redis_server.settings_of(client, names)
                users = sorted(_users(client))
        except (NoEntry, Refused, BadFile, OSError, Gone, KeyError):
            return {}
        dropped = {*old.settings} - {*new.settings}
        renamed = ["rename-command"] if {*old.renames} - {*new.renames} else []
        return {
            "before": dict(before),
            "users": [*users],
            "dropped": [*sorted(dropped), *renamed],
        }

    def look(self, attempt: Attempt) -> Proven:
        name = redis_server.file_name(attempt)
        file = File()
        try:
            file = redis_server.new_file(attempt, name)
            with connected(attempt, file) as client:
                pending = _need_settings(client, file)
                _need_users(client, file)
                pending |= _other_pending(client, file)
        except Refused as error:
            if str(error).startswith("LOADING"):
                raise NotYet(f"Redis: {error}") from error
            raise Disproved(f"Redis: {file.hide(str(error))}") from error
        except NoEntry as error:
            raise (Disproved if error.lasting else NotYet)(str(error)) from error
        except (OSError, Gone) as error:
            raise NotYet(str(error)) from error
        except (BadFile, KeyError) as error:
            raise Disproved(f"{name}: {error}") from error
        dropped = attempt.noted.get("dropped")
        if isinstance(dropped, list) and attempt.told_at_ns:
            pending |= {str(word) for word in dropped}
        return Proven(tuple(sorted(pending)))


def _need_settings(client: Client, file: File) -> set[str]:
    """The settings that wait for a restart. Raises Disproved, Refused, OSError."""
    pending: set[str] = set()
    runs = redis_server.settings_of(client, list(file.settings))
    for name, text in file.settings.items():
        if name not in runs:
            pending.add(name)
        elif not same(text, runs[name]):
            try:
                client.call("CONFIG", "SET", name, text)
            except Refused as error:
                if not redis_server.needs_restart(error, [name]):
                    raise
                pending.add(name)
                continue
            _need_equal(name, runs, redis_server.settings_of(client, [name]))
    return pending


def _need_equal(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    if before[name] == after.get(name):
        return
    held = "another value" if name in SECRET else repr(before[name])
    raise Disproved(
        f"Redis ran with {name} as {held}, which is not what the file says: somebody else sets it, "
        "with CONFIG SET or on the server's command line."
    )


def _need_users(client: Client, file: File) -> None:
    """Raises Disproved, Refused, OSError."""
    for user, rules in file.users.items():
        before = client.call("ACL", "GETUSER", user)
        client.call("ACL", "SETUSER", user, "reset", *rules)
        if before != client.call("ACL", "GETUSER", user):
            raise Disproved(
                f"Redis had other rules for the user {user} than the file: somebody else sets them, "
                "with ACL SETUSER."
            )


def _other_pending(client: Client, file: File) -> set[str]:
    """Modules and renamed commands, which are read at a start only."""
    pending: set[str] = set()
    if file.modules:
        loaded = redis_server.modules_of(client)
        if loaded is not None and not {*file.modules} <= loaded:
            pending.add("loadmodule")
    for command, other in file.renames.items():
        if redis_server.knows(client, command) or (other and not redis_server.knows(client, other)):
            pending.add("rename-command")
    return pending


REDIS = Profile(
    name="redis",
    check=Reading(),
    way=ConfigSet(),
    proof=Runs(),
    tested="redis 7.0.15",
)
