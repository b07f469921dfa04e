"""nginx: a master that begins new workers on HUP, and keeps the old ones where it cannot."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from signal import SIGHUP

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import CannotRun, Inhabitant
from watchers.profiles import family
from watchers.profiles.base import Profile
from watchers.profiles.family import Family
from watchers.reload.base import Vetoed
from watchers.reload.signals import ArmedSignal
from watchers.wire.canonical import Json

NAME = "nginx"
MASTER, WORKER = "nginx: master process", "nginx: worker process"
LEAVES = "is shutting down"  # in the title of a worker that only finishes its connections
MAX_DRAINING = 8  # generations of workers that still finish theirs
LOG_BYTES = 8 * 1024 * 1024
CONFIG = "/etc/nginx/nginx.conf"  # where nobody says -c
# As in: limit_req "visitors" uses the "$uri" key while previously it used the "$host" key
KEEPS_USE = re.compile(r'"([^"]+)" (?:uses|had) .*previously')
NO_MASTER = (
    "No nginx master process runs here, so nobody was told: nginx reloads with `master_process on` "
    "(its default) only."
)


class Draining(CannotRun):
    """Too many old workers still finish their connections; it is tried again."""


@dataclass(frozen=True)
class Started:
    """How the master was started."""

    program: str
    options: tuple[
        str, ...
    ]  # as for a command: ("-c", "/run/confhub/nginx.conf", "-g", "daemon off;")

    @property
    def config(self) -> str:
        return self.options[self.options.index("-c") + 1] if "-c" in self.options else CONFIG


def read_title(title: str) -> Started:
    """The command line that the master shows behind its title, without the quotes it once had."""
    words = title.removeprefix(MASTER).split()
    program, options = (words[0] if words else NAME), list[str]()
    for word in words[1:]:
        if word in ("-c", "-p", "-g", "-e"):
            options += [word, ""]
        elif options:
            options[-1] = f"{options[-1]} {word}".strip()
    return Started(program, tuple(options))


def master_of(attempt: Attempt) -> Family | None:
    found = family.find(attempt.inside, (NAME,))
    return found if found and found.title.startswith(MASTER) else None


def workers(found: Family) -> list[Inhabitant]:
    return [one for one in found.children if family.title(one).startswith(WORKER)]


def _leaves(worker: Inhabitant) -> bool:
    return LEAVES in family.title(worker)


class NginxCheck:
    """`nginx -t` with the options of the running master, against the new files."""

    def run(self, attempt: Attempt) -> None:
        found = master_of(attempt)
        if found is None:
            return  # nothing runs that could be told; that it starts with the files is its proof
        started = read_title(found.title)
        command = [started.program, "-t", *started.options]
        argv, shows = family.as_staged(attempt, command)
        outcome = attempt.inside.run(argv, shows=shows)
        if not outcome.passed:
            raise CheckFailed(f"nginx -t: {outcome.how}. {outcome.output.strip()}")


class NginxWay:
    """HUP to the master."""

    restarts = False

    def __str__(self) -> str:
        return "profile:nginx"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> ArmedSignal:
        """Raises Draining, a CannotRun, as long as too many old workers are left."""
        found = family.await_family(attempt, (NAME,), patience_s=patience_s, otherwise=NO_MASTER)
        armed = family.arm(attempt, found, SIGHUP, patience_s=patience_s)
        try:
            _need_master(attempt)
        except BaseException:
            armed.__exit__(None, None, None)
            raise
        return armed


def _need_master(attempt: Attempt) -> None:
    """Looked at once HUP has its handler: the title is written at the same time."""
    found = master_of(attempt)
    if found is None:
        raise Vetoed(NO_MASTER)
    leaving = sum(map(_leaves, workers(found)))
    generations = math.ceil(leaving / max(1, len(workers(found)) - leaving))
    if generations > MAX_DRAINING:
        raise Draining(
            f"{generations} generations of nginx's old workers ({leaving} processes) still finish "
            "their connections, so it is not reloaded once more yet. Limit how long they may with "
            "worker_shutdown_timeout."
        )


class NginxProof:
    """New workers under the same master, none of the old ones taking connections, no [emerg]."""

    wait_s = 15.0  # it tries for 2.5 s to listen on a port that is taken

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        found = master_of(attempt)
        if found is None:
            return {}
        path = _error_log(attempt, read_title(found.title).config)
        return {
            **family.names(found),
            "error_log": path,
            "emergencies": len(_in_file(attempt, path)),
        }

    def look(self, attempt: Attempt) -> Proven:
        found = master_of(attempt)
        if found is None:
            if family.find(attempt.inside, (NAME,)) and not attempt.told_at_ns:
                return Proven()  # it began with the release, without a master
            raise NotYet("No nginx master process runs.")
        serving = [one for one in workers(found) if not _leaves(one)]
        new = [one for one in serving if family.is_new(attempt, found, one)]
        if new and len(new) == len(serving):
            return Proven()
        emergencies = _emergencies(attempt)
        if emergencies and not all("bind() to" in line for line in emergencies):
            zones = [zone for line in emergencies for zone in KEEPS_USE.findall(line)]
            if zones:
                return Proven(tuple(f"the use of zone {zone}" for zone in dict.fromkeys(zones)))
            raise Disproved(f"nginx kept its old workers: {family.quoted(emergencies)}")
        if new:
            raise NotYet("nginx's old workers still take connections beside the new ones.")
        raise NotYet(f"nginx has begun no new workers. {family.quoted(emergencies)}".strip())


# ── its error log ─────────────────────────────────────────────────────────────────────────────────


def _emergencies(attempt: Attempt) -> list[str]:
    """The [emerg] lines since it was told, from its standard streams or its log file."""
    path, before = attempt.noted.get("error_log"), attempt.noted.get("emergencies")
    if isinstance(path, str) and isinstance(before, int):
        new = _in_file(attempt, path)[before:]
        if new:
            return new
    return family.said(attempt, lambda line: "[emerg]" in line)


def _error_log(attempt: Attempt, config: str) -> str:
    """The file that the running configuration names in its main part; "" for streams and syslog."""
    try:
        text = attempt.inside.read(config).decode(errors="replace")
    except OSError:
        return ""
    main = re.split(r"\bhttp\s*\{", re.sub(r"#[^\n]*", "", text), maxsplit=1)[0]
    found = re.search(r"(?<![^\s;{}])error_log\s+([^\s;]+)", main)
    path = found[1] if found else "/var/log/nginx/error.log"
    return path if path.startswith("/") and not path.startswith("/dev/") else ""


def _in_file(attempt: Attempt, path: str) -> list[str]:
    if not path:
        return []
    try:
        raw = attempt.inside.read(path, max_bytes=LOG_BYTES)
    except OSError:
        return []  # a link to a stream, rotated away, or too long: its streams may say it
    lines = raw.decode(errors="replace").splitlines()
    return [line.strip() for line in lines if "[emerg]" in line]


NGINX = Profile(
    name=NAME, check=NginxCheck(), way=NginxWay(), proof=NginxProof(), tested="nginx 1.22.1"
)
