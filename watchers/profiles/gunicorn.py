"""gunicorn: its own loader before, HUP to the arbiter, and afterwards a new generation of workers.

A bad file, a bad value, an application that cannot be imported, or an address that cannot be bound
ends the arbiter, and healthy old workers with it. `--check-config` sees neither the addresses nor the
certificates and ignores `pythonpath`, so the same loader is asked in a few lines of our own.
https://docs.gunicorn.org/en/stable/signals.html
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchers import processes
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import NotYet, Proven
from watchers.inside import TIMEOUT_S, CannotRun, Inhabitant
from watchers.profiles import python
from watchers.profiles.base import Profile
from watchers.profiles.python import Command, Refused
from watchers.reload.base import Vetoed
from watchers.wire.canonical import Json

SETTLE_S = 1.0  # a worker that cannot boot has ended by then
DRAIN_S = 15.0  # old workers may finish their requests beside the new ones after that
WAIT_S = 60.0
LOOK_S = 10.0

# Read when the arbiter begins, and never again (gunicorn 27's arbiter.py: setup, start, reload).
AT_START = (
    "backlog", "control_socket", "control_socket_disable", "control_socket_mode", "daemon",
    "dirty_apps", "dirty_graceful_timeout", "dirty_threads", "dirty_timeout", "dirty_workers",
    "enable_stdio_inheritance", "logger_class", "pythonpath", "reuse_port", "statsd_host",
)  # fmt: skip

SETTINGS = """
from gunicorn.app.wsgiapp import WSGIApplication
sys.argv[:] = ["gunicorn"] + words[1:]
app = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn")
cfg = app.cfg
def plain(value):
    if isinstance(value, type) or callable(value):
        return getattr(value, "__module__", "") + "." + getattr(value, "__qualname__", "")
    return repr(value)
def digest(value):
    import hashlib
    return hashlib.sha256(plain(value).encode()).hexdigest()[:12]
conf = str(cfg.settings["config"].get() or "")
names = words[0].split(",")
if conf.startswith("python:"):
    names = [name for name in cfg.settings if name not in ("check_config", "print_config")]
held = {
    "address": [list(one) if isinstance(one, tuple) else one for one in cfg.address],
    "preload": bool(cfg.preload_app),
    "conf": conf if conf.startswith("python:") else os.path.abspath(conf.split("file:", 1)[-1]),
    "settings": {name: digest(cfg.settings[name].get()) for name in names if name in cfg.settings},
}
"""
ANSWER = "answer(**held)\n"
TRY = """
import socket
from gunicorn import sock
for path in (cfg.pythonpath or "").split(","):
    if path and os.path.abspath(path) not in sys.path:
        sys.path.insert(0, os.path.abspath(path))
for name, value in cfg.env.items():
    os.environ[name] = value
cfg.worker_class
cfg.logger_class
if cfg.is_ssl and hasattr(sock, "ssl_context"):
    sock.ssl_context(cfg)
app.load()
held["busy"] = []
for one in cfg.address:
    if not isinstance(one, tuple):
        continue
    tried = socket.socket(socket.AF_INET6 if ":" in one[0] else socket.AF_INET)
    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        tried.bind(one)
    except OSError as error:
        held["busy"].append("%s:%s: %s" % (one[0], one[1], error.strerror or error))
    tried.close()
"""


@dataclass(frozen=True)
class Gunicorn:
    """What is known of its processes."""

    name = "gunicorn"
    by_hand = (
        "confhub.reload=signal:HUP with confhub.check=exec:gunicorn --check-config -c "
        "{dir}/gunicorn.conf.py MODULE:APP"
    )

    def is_it(self, argv: Sequence[str]) -> bool:
        titled = bool(argv) and argv[0].startswith("gunicorn: ")
        return titled or python.command_of(argv, "gunicorn") is not None

    def objection(self, master: Inhabitant, everyone: Sequence[Inhabitant]) -> str:
        return ""

    def unheard(self, master: Inhabitant) -> str:
        return (
            f"gunicorn's arbiter {master.process.pid} has no handler for HUP, so it was not told: it "
            "is still starting, or its application took the handler away."
        )


GUNICORN_SERVER = Gunicorn()


def _ask(
    command: Command,
    attempt: Attempt,
    *,
    tries: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Mapping[str, Json]:
    """Its settings as the running files have them, or `tries` the new ones and the application.

    {"address", "preload", "conf", "settings": {name: digest}, "busy" of a trial}.
    Raises Refused, CannotRun.
    """
    probe = SETTINGS + (TRY if tries else "") + ANSWER
    return python.ask(
        GUNICORN_SERVER, command, attempt, probe, [",".join(AT_START), *command.args],
        is_staged=tries, timeout_s=timeout_s,
    )  # fmt: skip


# ── before ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Loads:
    """gunicorn loads the settings and imports the application, and could bind a changed address."""

    timeout_s: float = TIMEOUT_S

    def run(self, attempt: Attempt) -> None:
        command = python.command_to_check(GUNICORN_SERVER, attempt, "gunicorn")
        if command is None:
            return
        try:
            held = _ask(command, attempt, tries=True, timeout_s=self.timeout_s)
            if held["busy"]:
                self._need_same_address(command, attempt, held)
        except Refused as error:
            raise CheckFailed(str(error)) from error

    def _need_same_address(
        self, command: Command, attempt: Attempt, held: Mapping[str, Json]
    ) -> None:
        """An address that stays is not bound again; else the arbiter closes all and binds all anew.

        Raises CheckFailed, Refused, CannotRun.
        """
        running = _ask(command, attempt, timeout_s=self.timeout_s)
        if running["address"] == held["address"]:
            return
        busy = held["busy"]
        raise CheckFailed(
            f"gunicorn would have to bind {'; '.join(map(str, busy if isinstance(busy, list) else []))}. "
            "It closes its addresses before it binds the new ones, while its old workers still hold "
            "them, and ends where it cannot. Choose an address that is free, or restart the "
            "container for it: confhub.reload=restart."
        )


# ── the proof ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class NewWorkers:
    """Workers that began after the reload, lived, and took the place of the old ones."""

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """{"address", "preload", "conf", "settings"} as they run; {} where nobody can say."""
        try:
            master = python.master_of(GUNICORN_SERVER, attempt, attempt.inside.processes())
            command = python.command_of(master.argv, "gunicorn") if master else None
            return _ask(command, attempt, timeout_s=LOOK_S) if command else {}
        except (Vetoed, Refused, CannotRun):
            return {}

    def look(self, attempt: Attempt) -> Proven:
        everyone = attempt.inside.processes()
        master = _master(attempt, everyone)
        workers = python.workers(GUNICORN_SERVER, everyone, master)
        new = python.began_since(attempt, workers)
        if not new:
            raise NotYet(
                "gunicorn has begun no worker since the reload; there are "
                f"{python.names(workers) or 'none'}."
            )
        young = [one for one in new if processes.uptime_s(one.process) < SETTLE_S]
        if young:
            raise NotYet(f"gunicorn's workers {python.names(young)} have only just begun.")
        old = [one for one in workers if one not in new]
        if old and python.told_ago_s(attempt) < DRAIN_S:
            raise NotYet(f"gunicorn's old workers {python.names(old)} finish their requests.")
        return Proven(_pending(master, attempt))


def _master(attempt: Attempt, everyone: Sequence[Inhabitant]) -> Inhabitant:
    try:
        master = python.master_of(GUNICORN_SERVER, attempt, everyone)
    except Vetoed as error:
        raise NotYet(str(error)) from error
    if master is None:
        raise NotYet("No process here is a gunicorn master.")
    return master


def _pending(master: Inhabitant, attempt: Attempt) -> tuple[str, ...]:
    """The settings and entries that the arbiter reads only when it begins anew. Raises NotYet."""
    command = python.command_of(master.argv, "gunicorn")
    if not attempt.told_at_ns or not attempt.noted or command is None:
        return ()
    try:
        held = _ask(command, attempt, timeout_s=LOOK_S)
    except (Refused, CannotRun) as error:
        raise NotYet(str(error)) from error
    return tuple(sorted({*_kept_settings(attempt.noted, held), *_kept_entries(attempt)}))


def _kept_settings(before: Mapping[str, Json], held: Mapping[str, Json]) -> set[str]:
    was, now = before.get("settings"), held.get("settings")
    if not isinstance(was, dict) or not isinstance(now, dict):
        return set()
    return {name for name in now if was.get(name) != now[name]}


def _kept_entries(attempt: Attempt) -> set[str]:
    """What changed beside gunicorn's own file, where the arbiter keeps the application in memory."""
    if not attempt.noted.get("preload"):
        return set()
    folder, name = posixpath.split(str(attempt.noted.get("conf", "")))
    is_ours = folder in (attempt.directory, f"{attempt.directory}/current")
    return set(attempt.changed) - ({name} if is_ours else set())


GUNICORN = Profile(
    name="gunicorn",
    check=Loads(),
    way=python.Hup(GUNICORN_SERVER),
    proof=NewWorkers(),
    tested="gunicorn 27.0.1",
    dies_on_bad=True,
)
