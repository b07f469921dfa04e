"""Prometheus: promtool before, HUP or `/-/reload`, and afterwards the moment of its last good load.

The answer to a reload and the moment of the load would be the same for a file that Prometheus does
not read, so the file is looked at as Prometheus finds it, and the jobs that it says it scrapes are
compared with those of the file.
https://prometheus.io/docs/prometheus/latest/management_api/
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from signal import SIGHUP
from types import TracebackType
from typing import Self

from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import TIMEOUT_S
from watchers.processes import Gone
from watchers.profiles.base import Profile
from watchers.profiles.family import arm as signal_parent
from watchers.profiles.family import await_family
from watchers.profiles.started import arguments, delivered, must_see, options, staged
from watchers.reload.asked import Http, ask
from watchers.reload.base import Armed, Vetoed
from watchers.wire.canonical import Json

PROGRAMS = ("prometheus",)
PORT = 9090
NOT_THERE = "No process of the container runs prometheus, so there is nothing to reload."
LOOK_S = 5.0
WAIT_S = 60.0  # a load of many rules takes its time, and a start replays the write-ahead log first
ANSWER_BYTES = 8 * 1024 * 1024  # its metrics are some 100 KiB, its configuration what was written
LOADED = "prometheus_config_last_reload_success_timestamp_seconds"
SUCCEEDED = "prometheus_config_last_reload_successful"
JOB = re.compile(r"""\bjob_name["']?\s*:\s*("[^"]*"|'[^']*'|[^\s,}#][^,}#\n]*)""")


@dataclass(frozen=True)
class Server:
    """A running Prometheus, as its arguments say."""

    file: str = "prometheus.yml"
    port: int = PORT
    prefix: str = ""  # of every path; "" or "/one"
    reloads_by_http: bool = False

    @classmethod
    def of(cls, argv: Sequence[str]) -> Self:
        addresses = options(argv, "web.listen-address") or [f":{PORT}"]
        external = options(argv, "web.external-url")[-1:]
        prefixes = options(argv, "web.route-prefix")[-1:] or [_path(url) for url in external]
        lifecycle = options(argv, "web.enable-lifecycle", "no-web.enable-lifecycle")
        return cls(
            file=(options(argv, "config.file") or [cls.file])[-1],
            port=_port(addresses),
            prefix="".join(f"/{prefix.strip('/')}" for prefix in prefixes if prefix.strip("/")),
            reloads_by_http=bool(lifecycle) and "--no-web.enable-lifecycle" not in argv,
        )

    def get(self, attempt: Attempt, path: str) -> tuple[int, str]:
        """Raises OSError, HTTPException."""
        return ask(
            attempt.inside, "GET", self.port, f"{self.prefix}{path}",
            timeout_s=LOOK_S, max_bytes=ANSWER_BYTES,
        )  # fmt: skip


def _path(url: str) -> str:
    """The path of `http://host/path` or of a bare `/path`."""
    return "/" + re.sub(r"^[a-z]+://[^/]*", "", url).strip("/")


def _port(addresses: Sequence[str]) -> int:
    """The port of the first address that its own loopback reaches."""
    reached = [
        one for one in addresses if re.match(r"(0\.0\.0\.0|127\.|\[::1?\]|localhost)?.*:", one)
    ]
    digits = (reached or addresses)[0].rpartition(":")[2]
    return int(digits) if digits.isdigit() else PORT


# ── before ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Promtool:
    """`promtool check config`, which reads the rules too."""

    timeout_s: float = TIMEOUT_S

    def run(self, attempt: Attempt) -> None:
        try:
            file = Server.of(arguments(attempt, PROGRAMS)).file
        except Gone:
            return  # nothing runs that could be told; that it starts with the files is its proof
        shows = attempt.generation if attempt.inside.shows_generations else ""
        if not shows and not delivered(attempt, file):
            raise CheckFailed(
                f"Prometheus reads {file}, which is not among the delivered files, and here a check "
                "cannot be shown the new ones. Start it with "
                f"--config.file={attempt.directory}/prometheus.yml."
            )
        argv = ["promtool", "check", "config", file if shows else staged(attempt, file)]
        outcome = attempt.inside.run(argv, timeout_s=self.timeout_s, shows=shows)
        if not outcome.passed:
            raise CheckFailed(f"promtool: {outcome.how}. {outcome.output.strip()}".strip())


# ── the reload ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Reload:
    """POST `/-/reload` where --web.enable-lifecycle allows it, because it answers; else HUP."""

    restarts = False

    def __str__(self) -> str:
        return "profile:prometheus"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> Armed:
        found = await_family(attempt, PROGRAMS, patience_s=patience_s, otherwise=NOT_THERE)
        server = Server.of(found.parent.argv)
        _need_open_api(server, attempt)
        if server.reloads_by_http:
            armed: Armed = Http("POST", server.port, f"{server.prefix}/-/reload").arm(attempt)
        else:
            armed = signal_parent(attempt, found, SIGHUP, patience_s=patience_s)
        return _Armed(armed, attempt, server.file)


class _Armed:
    """Sent only where Prometheus finds the new file."""

    def __init__(self, armed: Armed, attempt: Attempt, file: str) -> None:
        self._armed, self._attempt, self._file = armed, attempt, file

    def send(self) -> None:
        must_see(self._attempt, self._file)
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


def _need_open_api(server: Server, attempt: Attempt) -> None:
    """Raises Vetoed where nobody could see afterwards whether it took the file."""
    try:
        status, _ = server.get(attempt, "/metrics")
    except (OSError, HTTPException):
        return  # it is starting; the proof waits for it
    if status in (400, 401, 403):  # 400: it speaks TLS
        raise Vetoed(
            f"Prometheus answers {status} at :{server.port}{server.prefix}/metrics, so nobody could "
            "see whether it took the file. Take TLS and users out of --web.config.file, or write "
            "confhub.reload=signal:HUP with confhub.check=exec:promtool check config "
            "{dir}/prometheus.yml."
        )


# ── the proof ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Loaded:
    """Its last load is later than the one before, succeeded, and has the jobs of the file."""

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """{"loaded": seconds of the epoch, "succeeded": bool}; {} while it does not answer."""
        try:
            loaded, succeeded = _last_load(Server.of(arguments(attempt, PROGRAMS)), attempt)
        except (NotYet, Gone):
            return {}
        return {"loaded": loaded, "succeeded": succeeded}

    def look(self, attempt: Attempt) -> Proven:
        server = _server(attempt)
        loaded, succeeded = _last_load(server, attempt)
        before = attempt.noted.get("loaded", 0)
        was_good = attempt.noted.get("succeeded", True)
        if not succeeded and was_good:
            raise Disproved(f"Prometheus could not load {server.file}.")
        if not succeeded or (isinstance(before, float) and loaded <= before):
            raise NotYet(f"Prometheus has not loaded {server.file} again.")
        _need_jobs(server, attempt)
        return Proven()


def _server(attempt: Attempt) -> Server:
    """Raises NotYet once it has ended, because whoever waits for its end says so better."""
    try:
        return Server.of(arguments(attempt, PROGRAMS))
    except Gone as error:
        raise NotYet(str(error)) from error


def _last_load(server: Server, attempt: Attempt) -> tuple[float, bool]:
    """(moment of the last load that succeeded, whether the last one did). Raises NotYet.

    From the metrics, because `/api/v1/status/runtimeinfo` rounds that moment to a second.
    """
    body = _answer(server, attempt, "/metrics")
    found = dict(
        line.split(" ", 1) for line in body.splitlines() if line.startswith((LOADED, SUCCEEDED))
    )
    if not {LOADED, SUCCEEDED} <= found.keys():
        raise NotYet(f"Port {server.port} shows no {LOADED}, so it is not Prometheus.")
    return float(found[LOADED]), float(found[SUCCEEDED]) == 1


def _answer(server: Server, attempt: Attempt, path: str) -> str:
    try:
        status, body = server.get(attempt, path)
    except (OSError, HTTPException) as error:
        raise NotYet(f"Prometheus gives no answer at :{server.port}{path}: {error}") from error
    if status != 200:
        raise NotYet(f"Prometheus answers {status} at :{server.port}{path}: {body[:200].strip()}")
    return body


def _need_jobs(server: Server, attempt: Attempt) -> None:
    """Raises Disproved where it scrapes other jobs than the delivered file has, or reads none of ours."""
    body = _answer(server, attempt, "/api/v1/status/config")
    try:
        served = json.loads(body)["data"]["yaml"]
    except (ValueError, LookupError, TypeError) as error:
        raise NotYet("Prometheus does not say what its configuration is.") from error
    name = delivered(attempt, server.file)
    if not name and f"{attempt.directory}/" not in served:
        raise Disproved(
            f"Prometheus reads {server.file}, which names nothing in {attempt.directory}. Start it "
            f"with --config.file={attempt.directory}/prometheus.yml."
        )
    wanted, runs = _jobs(attempt.files.get(name, b"").decode(errors="replace")), _jobs(served)
    if name and wanted != runs:
        raise Disproved(
            f"Prometheus scrapes {', '.join(sorted(runs)) or 'nothing'}, while {name} of release "
            f"{attempt.release} says {', '.join(sorted(wanted)) or 'nothing'}: it reads another file."
        )


def _jobs(text: str) -> set[str]:
    """The names of a configuration's scrape jobs, by its lines that are no comments.

    >>> sorted(_jobs("scrape_configs:\\n# - job_name: x\\n- job_name: 'a b'\\n- {job_name: c, x: 1}"))
    ['a b', 'c']
    """
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {found.strip().strip("\"'") for line in lines for found in JOB.findall(line)}


PROMETHEUS = Profile(
    name="prometheus",
    check=Promtool(),
    way=Reload(),
    proof=Loaded(),
    tested="prometheus 2.42.0",
)
