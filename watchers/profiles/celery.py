"""Celery workers: a worker is built before, HUP to the main process, and afterwards it answers anew.

On HUP a worker finishes its tasks and executes itself again: same pid, same start time, same
environment. Where that fails the container ends, so it is tried before: the application and its tasks
are imported, and a worker is put together from its settings, as far as it comes without a broker.
https://docs.celeryq.dev/en/stable/userguide/workers.html#restarting-the-worker
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP

from watchers import processes
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import TIMEOUT_S, CannotRun, Inhabitant
from watchers.processes import ProcessId
from watchers.profiles import python
from watchers.profiles.base import Profile
from watchers.profiles.family import name_of
from watchers.profiles.python import Command, Refused
from watchers.reload.base import Vetoed
from watchers.wire.canonical import Json

SETTLE_S = 1.0
WAIT_S = 300.0  # a worker finishes its running tasks before it begins anew
READY_S = 60.0  # its pool has begun; the broker should have answered by then
ASK_S = 15.0  # an import of the application, and one answer through the broker
ANSWER_S = 2.0
GLOBAL_WITH_VALUE = ("-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config",
                     "--workdir")  # fmt: skip

# A command of our own beside `worker`, so that celery itself reads the options before and after it.
OPENING = """
import click
import celery.bin.celery as cli
@cli.celery.command("confhub", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def look(ctx, rest, **_):
    app = ctx.obj.app
    options = cli.worker.make_context("worker", list(rest), parent=ctx.parent).params
    with_app(app, options)
"""
CLOSING = """
at = int(words.pop(0))
cli.celery.main(words[:at] + ["confhub"] + words[at + 1:], prog_name="celery")
"""
BUILD = (
    OPENING
    + """
def with_app(app, options):
    from celery.worker import WorkController
    taken = ("hostname", "concurrency", "queues", "exclude_queues", "include", "prefetch_multiplier",
             "time_limit", "soft_time_limit", "max_tasks_per_child", "max_memory_per_child")
    given = {name: options[name] for name in taken if options.get(name) is not None}
    WorkController(app=app, pool_cls=options.get("pool"), **given)
    app.backend.as_uri()
    app.timezone.utcoffset(app.now())
    answer()
"""
    + CLOSING
)
STATS = (
    OPENING
    + f"""
def with_app(app, options):
    name = options["hostname"]
    if not app.conf.worker_enable_remote_control:
        answer(name=name, is_silent=True)
    found = app.control.inspect(destination=[name], timeout={ANSWER_S}).stats() or {{}}
    held = found.get(name) or {{}}
    answer(name=name, pid=held.get("pid"), uptime_s=held.get("uptime"))
"""
    + CLOSING
)


@dataclass(frozen=True)
class Celery:
    """What is known of its processes."""

    name = "celery worker"
    by_hand = "confhub.reload=signal:HUP with confhub.check=exec:celery -A MODULE report"

    def is_it(self, argv: Sequence[str]) -> bool:
        command = python.command_of(argv, "celery")
        titled = bool(argv) and argv[0].startswith("[celeryd: ")
        return titled or (command is not None and worker_word(command.args) is not None)

    def objection(self, master: Inhabitant, everyone: Sequence[Inhabitant]) -> str:
        command = python.command_of(master.argv, "celery")
        if command is None or not command.by_module:
            return ""
        return (
            f"Celery worker {master.process.pid} was begun with `python -m celery`, which it cannot "
            "execute again: HUP would end it, so it was not sent. Start it with the command celery, "
            "or write confhub.reload=restart."
        )

    def unheard(self, master: Inhabitant) -> str:
        pid = master.process.pid
        if _is_terminal(pid):
            return (
                f"Celery worker {pid} writes to a terminal, and so has no handler for HUP; it was not "
                "told. Take `tty: true` out of the Compose file, or write confhub.reload=restart."
            )
        return (
            f"Celery worker {pid} has no handler for HUP (celery installs none where its standard "
            "output is a terminal), so it was not told. Or it is still starting."
        )


CELERY_SERVER = Celery()


def worker_word(args: Sequence[str]) -> int | None:
    """Where `worker` stands in the arguments of celery; None where another command does.

    >>> worker_word(["-A", "worker", "worker", "-l", "INFO"])
    2
    >>> worker_word(["-A", "shop", "beat"])
    """
    at = 0
    while at < len(args):
        if not args[at].startswith("-"):
            return at if args[at] == "worker" else None
        at += 2 if args[at] in GLOBAL_WITH_VALUE else 1
    return None


def _is_terminal(pid: int) -> bool:
    try:
        target = str(Path(f"/proc/{pid}/fd/1").readlink())
    except OSError:
        return False
    return target.startswith(("/dev/pts/", "/dev/tty", "/dev/console"))


def _ask(
    command: Command,
    attempt: Attempt,
    probe: str,
    *,
    is_staged: bool = False,
    timeout_s: float,
) -> Mapping[str, Json]:
    """Raises Refused, CannotRun."""
    words = [str(worker_word(command.args) or 0), *command.args]
    return python.ask(
        CELERY_SERVER, command, attempt, probe, words, is_staged=is_staged, timeout_s=timeout_s
    )


# ── before ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Builds:
    """The application is imported, and celery puts a worker together from what it says."""

    timeout_s: float = TIMEOUT_S

    def run(self, attempt: Attempt) -> None:
        command = python.command_to_check(CELERY_SERVER, attempt, "celery")
        if command is None:
            return
        try:
            _ask(command, attempt, BUILD, is_staged=True, timeout_s=self.timeout_s)
        except Refused as error:
            raise CheckFailed(str(error)) from error


# ── the proof ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class AnswersAnew:
    """It answers through its broker, and has done so for less time than has passed since the reload."""

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """{"pool": its children}."""
        everyone = attempt.inside.processes()
        try:
            master = python.master_of(CELERY_SERVER, attempt, everyone)
        except Vetoed:
            master = None
        return (
            {"pool": [name_of(one) for one in python.workers(CELERY_SERVER, everyone, master)]}
            if master
            else {}
        )

    def look(self, attempt: Attempt) -> Proven:
        everyone = attempt.inside.processes()
        master = _master(attempt, everyone)
        pool = python.workers(CELERY_SERVER, everyone, master)
        _need_beginning(master, pool, attempt)
        command = python.command_of(master.argv, "celery")
        held: Mapping[str, Json] = {"is_silent": True}
        if command is not None:
            try:
                held = _ask(command, attempt, STATS, timeout_s=ASK_S)
            except (Refused, CannotRun) as error:
                raise _no_answer(str(error), pool) from error
        if held.get("is_silent"):
            _need_pool(pool, attempt)
        else:
            _need_new_answer(held, master, pool, attempt)
        return Proven()


def _master(attempt: Attempt, everyone: Sequence[Inhabitant]) -> Inhabitant:
    try:
        master = python.master_of(CELERY_SERVER, attempt, everyone)
    except Vetoed as error:
        raise NotYet(str(error)) from error
    if master is None:
        raise NotYet("No process here is a celery worker.")
    return master


def _need_beginning(master: Inhabitant, pool: Sequence[Inhabitant], attempt: Attempt) -> None:
    """Raises NotYet while the old pool still works, or the new one has not come up.

    Only then is the worker asked, because each question imports the application.
    """
    noted = attempt.noted.get("pool")
    old = [one for one in pool if isinstance(noted, list) and name_of(one) in noted]
    if old:
        raise NotYet(f"The celery worker finishes its tasks in {python.names(old)}.")
    if attempt.told_at_ns and processes.catches(master.process.pid, SIGHUP) is False:
        raise NotYet("The celery worker is beginning anew.")
    if noted and not pool:
        raise NotYet("The celery worker has no pool yet.")
    young = [one for one in pool if processes.uptime_s(one.process) < SETTLE_S]
    if young:
        raise NotYet(f"The celery worker's pool {python.names(young)} has only just begun.")


def _need_pool(pool: Sequence[Inhabitant], attempt: Attempt) -> None:
    """For a worker that nobody can ask: its pool is a new one. Raises NotYet."""
    if not python.began_since(attempt, pool):
        raise NotYet(
            "The celery worker takes no questions (worker_enable_remote_control, or a title over its "
            "command line) and has no pool whose age would show that it began anew. Write "
            "confhub.confirm=exec: and a command that asks it."
        )


def _need_new_answer(
    held: Mapping[str, Json], master: Inhabitant, pool: Sequence[Inhabitant], attempt: Attempt
) -> None:
    """Raises NotYet, Disproved."""
    uptime_s, name = held.get("uptime_s"), held.get("name")
    if not isinstance(uptime_s, int | float):
        raise _no_answer(f"{name} does not answer through its broker.", pool)
    if held.get("pid") not in (_pid_inside(master.process), None):
        raise NotYet(
            f"Another worker answers as {name}; give each one its own name with -n, such as "
            "-n NAME@%h."
        )
    if attempt.told_at_ns and uptime_s >= python.told_ago_s(attempt):
        raise NotYet(f"{name} has not begun anew: it has run for {uptime_s:g} s.")


def _no_answer(text: str, pool: Sequence[Inhabitant]) -> NotYet | Disproved:
    oldest_s = max((processes.uptime_s(one.process) for one in pool), default=0.0)
    return Disproved(text) if oldest_s > READY_S else NotYet(text)


def _pid_inside(process: ProcessId) -> int | None:
    """Its pid as the container counts; None where the kernel does not say.

    https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    """
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[-1] for line in lines if line.startswith("NSpid:")]
    return int(found[0]) if found else None


CELERY = Profile(
    name="celery",
    check=Builds(),
    way=python.Hup(CELERY_SERVER),
    proof=AnswersAnew(),
    tested="celery 5.7.0",
    dies_on_bad=True,
)
