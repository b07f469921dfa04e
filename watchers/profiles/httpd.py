"""Apache httpd: its parent reads everything again on USR1, and ends where it cannot.

What its own check passes ends it as well: another MPM, and a port that somebody else has. Both are
looked for here, and the check is made once more right before the signal, with the files it will read.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from signal import SIGUSR1
from types import TracebackType
from typing import Self

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import NotYet, Proven
from watchers.inside import Outcome
from watchers.profiles import family
from watchers.profiles.base import Profile
from watchers.profiles.family import Family
from watchers.reload.base import NotTaken, Vetoed
from watchers.reload.signals import ArmedSignal
from watchers.wire.canonical import Json

NAME = "httpd"
PROGRAMS = ("httpd", "apache2")  # Debian calls it apache2
LONG_S = 5.0  # idle children have ended by then; one with a long request stays
KNOCK_S = 1.0
NONE = "No httpd runs here, so nobody was told."
MPM = re.compile(r"^\s*LoadModule\s+mpm_(\w+)_module\s", re.MULTILINE | re.IGNORECASE)
MAPPED_MPM = re.compile(r"/mod_mpm_(\w+)\.so$", re.MULTILINE)
LISTEN = re.compile(
    r"^\s*Listen\s+(?:(?P<host>\[[^\]]+\]|[^\s:\[\]]+):)?(?P<port>\d+)\b",
    re.MULTILINE | re.IGNORECASE,
)


def check_argv(argv: Sequence[str]) -> list[str]:
    """`httpd -t` with the options of a running parent: -f, -d, -D, -C, -c."""
    kept, words = [argv[0], "-t"], list(argv[1:])
    while words:
        word = words.pop(0)
        if word == "-k" and words:
            words.pop(0)
        elif word != "-X" and not word.startswith("-k"):
            kept.append(word)
    return kept


def ports(files: Iterable[bytes]) -> set[int]:
    """The ports that delivered files listen at on the loopback too."""
    found = set()
    for raw in files:
        for one in LISTEN.finditer(raw.decode(errors="replace")):
            if one["host"] in (None, "*", "0.0.0.0", "[::]", "127.0.0.1", "localhost", "[::1]"):  # noqa: S104  # as written there
                found.add(int(one["port"]))
    return found


class HttpdCheck:
    """`httpd -t` with the options of the running parent, and no new port that is taken."""

    def run(self, attempt: Attempt) -> None:
        found = family.find(attempt.inside, PROGRAMS)
        if found is None:
            return  # nothing runs that a bad file could end; that it starts with them is its proof
        argv, shows = family.as_staged(attempt, check_argv(found.parent.argv))
        _need(argv, attempt.inside.run(argv, shows=shows))
        _need_free(attempt, ports(attempt.files.values()) - ports(_running(attempt)))


def _need(argv: Sequence[str], outcome: Outcome) -> None:
    if not outcome.passed:
        raise CheckFailed(f"{argv[0]} -t: {outcome.how}. {outcome.output.strip()}")


def _running(attempt: Attempt) -> list[bytes]:
    """The delivered files that it runs with, as far as they are there."""
    held = []
    for name in attempt.files:
        try:
            held.append(attempt.inside.read(f"{attempt.directory}/current/{name}"))
        except OSError:
            continue  # a file that this release brings
    return held


def _need_free(attempt: Attempt, wanted: set[int]) -> None:
    for port in sorted(wanted):
        try:
            attempt.inside.connect(port, timeout_s=KNOCK_S).close()
        except OSError:
            continue
        raise CheckFailed(
            f"Listen {port}: another program listens at port {port} already. httpd would end "
            "instead of reloading."
        )


class HttpdWay:
    """USR1 to the parent, in one step with a last check."""

    restarts = False

    def __str__(self) -> str:
        return "profile:httpd"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> "ArmedHttpd":
        found = family.await_family(attempt, PROGRAMS, patience_s=patience_s, otherwise=NONE)
        _need_same_mpm(attempt, found)
        armed = family.arm(attempt, found, SIGUSR1, patience_s=patience_s)
        return ArmedHttpd(attempt, found, armed)


class ArmedHttpd:
    """The signal, and the check that comes right before it."""

    def __init__(self, attempt: Attempt, found: Family, armed: ArmedSignal) -> None:
        self._attempt, self._found, self._armed = attempt, found, armed

    def send(self) -> None:
        """Raises NotTaken where the files, as they stand now, would end it."""
        argv = check_argv(self._found.parent.argv)
        try:
            _need(argv, self._attempt.inside.run(argv))
        except CheckFailed as error:
            raise NotTaken(f"{error} Nothing was sent, because httpd would have ended.") from error
        self._armed.send()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._armed.__exit__(kind, error, at)


def _need_same_mpm(attempt: Attempt, found: Family) -> None:
    """Raises Vetoed for another MPM than the one that runs, as far as both can be told."""
    wanted = {
        name for raw in attempt.files.values() for name in MPM.findall(raw.decode(errors="replace"))
    }
    running = _running_mpm(found)
    if running and wanted and running not in wanted:
        raise Vetoed(
            f"The release loads mpm_{'/'.join(sorted(wanted))}, and httpd runs mpm_{running}: it cannot "
            "change its MPM without a restart, and ends when it is told to. Write "
            "confhub.reload=profile:httpd ; restart to have it restarted then."
        )


def _running_mpm(found: Family) -> str:
    """The MPM that is mapped into the parent; "" where it is built in, or may not be looked at."""
    try:
        held = Path(f"/proc/{found.parent.process.pid}/maps").read_text(errors="replace")
    except OSError:
        return ""
    mapped = MAPPED_MPM.search(held)
    return mapped[1] if mapped else ""


class HttpdProof:
    """New children under the same parent, and the old ones gone or long at their last request."""

    wait_s = 20.0

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        return family.names(family.find(attempt.inside, PROGRAMS))

    def look(self, attempt: Attempt) -> Proven:
        found = family.find(attempt.inside, PROGRAMS)
        if found is None:
            raise NotYet("No httpd runs.")
        new = [one for one in found.children if family.is_new(attempt, found, one)]
        if not new:
            raise NotYet("httpd has begun no new children.")
        if len(new) == len(found.children) or self._resumed(attempt) or _is_long_ago(attempt):
            return Proven()
        raise NotYet("httpd's old children still answer beside the new ones.")

    @staticmethod
    def _resumed(attempt: Attempt) -> bool:
        return bool(family.said(attempt, lambda line: "resuming normal operations" in line))


def _is_long_ago(attempt: Attempt) -> bool:
    return time.time() - family.told_at_s(attempt) > LONG_S


HTTPD = Profile(
    name=NAME,
    check=HttpdCheck(),
    way=HttpdWay(),
    proof=HttpdProof(),
    tested="Apache httpd 2.4.68",
    dies_on_bad=True,
)
