"""Servers written in Python that have a master: finding it, telling it, and asking its own code.

What a server would make of new files only its own code can say, in its own interpreter with its own
modules. So a few lines run there, with the arguments that the server was begun with.
"""

import json
import posixpath
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from signal import SIGHUP
from typing import Protocol, cast

from watchers import moments, processes
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.inside import TIMEOUT_S, CannotRun, Inhabitant
from watchers.processes import Gone, ProcessId
from watchers.reload.base import Armed, Vetoed
from watchers.reload.signals import YOUNG_S, Signal
from watchers.wire.canonical import Json

PYTHON = re.compile(r"(python|pypy)[\d.]*t?")
WITH_VALUE = ("-W", "-X")  # options of the interpreter that take the next word
MARK = "confhub-answer: "
WORDS = 3000  # characters; a traceback's last lines say what is wrong
LOOK_S = 0.05

# For Python 3.8 and later, as it runs in the workload's interpreter. `answer` ends at once, because
# an application may have begun threads as it was imported.
OPENING = f"""
import json, os, re, sys
old, new = sys.argv[1:3]
def staged(text):
    return re.sub(re.escape(old) + r"(/current)?(?![^/:;,'\\"\\s])", lambda _: new, text)
def answer(**held):
    sys.stderr.flush()
    print("\\n{MARK}" + json.dumps(held))
    sys.stdout.flush()
    os._exit(0)
words = sys.argv[3:]
if old:
    words = [staged(word) for word in words]
    for name, value in list(os.environ.items()):
        os.environ[name] = staged(value)
"""


class Refused(Exception):
    """The server's own code says no; the text is its own words."""


@dataclass(frozen=True)
class Command:
    """How a Python program was begun: `python3 -m gunicorn -c conf.py app:app`."""

    python: tuple[str, ...]  # ("/venv/bin/python3", "-O")
    args: tuple[str, ...]  # ("-c", "conf.py", "app:app")
    by_module: bool  # python -m gunicorn, and not /venv/bin/gunicorn


def command_of(argv: Sequence[str], program: str) -> Command | None:
    """How `program` was begun by `argv`; None where that begins something else.

    >>> command_of(["/venv/bin/python3", "/venv/bin/gunicorn", "app:app"], "gunicorn")
    Command(python=('/venv/bin/python3',), args=('app:app',), by_module=False)
    >>> command_of(["python3", "-X", "dev", "-m", "celery", "worker"], "celery")
    Command(python=('python3', '-X', 'dev'), args=('worker',), by_module=True)
    """
    if not runs_python(argv):
        return None
    at = 1
    while at < len(argv) and argv[at].startswith("-") and argv[at] not in ("-", "-c", "-m"):
        at += 2 if argv[at] in WITH_VALUE else 1
    python, rest = tuple(argv[:at]), tuple(argv[at:])
    if rest[:1] == ("-m",):
        is_it = rest[1:2] == (program,) or "".join(rest[1:2]).startswith(f"{program}.")
        return Command(python, rest[2:], by_module=True) if is_it else None
    script = rest[0] if rest else ""
    if script.endswith(f"/{program}/__main__.py"):  # what `-m` becomes when it is begun again
        return Command(python, rest[1:], by_module=True)
    is_it = posixpath.basename(script) == program
    return Command(python, rest[1:], by_module=False) if is_it else None


def runs_python(argv: Sequence[str]) -> bool:
    return bool(argv) and PYTHON.fullmatch(posixpath.basename(argv[0])) is not None


# ── which process ─────────────────────────────────────────────────────────────────────────────────


class Server(Protocol):
    """What is known of one such program."""

    @property
    def name(self) -> str: ...

    @property
    def by_hand(self) -> str:
        """What to write where the profile cannot look; for sentences."""

    def is_it(self, argv: Sequence[str]) -> bool:
        """True for the master and its workers, also under a title written over their arguments."""

    def objection(self, master: Inhabitant, everyone: Sequence[Inhabitant]) -> str:
        """Why HUP would end the master, which is true until it is ready too; "" where it would not."""

    def unheard(self, master: Inhabitant) -> str:
        """Why it has no handler for HUP, with the way out."""


def master_of(
    server: Server, attempt: Attempt, everyone: Sequence[Inhabitant]
) -> Inhabitant | None:
    """The one that was not begun by another such process. Raises Vetoed when there are several."""
    ours = {one.process.pid: one for one in everyone if server.is_it(one.argv)}
    top = [one for one in ours.values() if one.parent not in ours]
    for one in top:
        if one.process == attempt.process:
            return one
    if len(top) > 1:
        pids = ", ".join(str(one.process.pid) for one in top)
        raise Vetoed(
            f"{len(top)} {server.name} masters run side by side here ({pids}), so it is not clear "
            f"which to tell. Run one to a container, or write {server.by_hand}."
        )
    return top[0] if top else None


def children(everyone: Iterable[Inhabitant], master: Inhabitant) -> list[Inhabitant]:
    """All that it is the parent of; as a container's first process also of orphans that it took in."""
    return [one for one in everyone if one.parent == master.process.pid]


def workers(server: Server, everyone: Iterable[Inhabitant], master: Inhabitant) -> list[Inhabitant]:
    """Its children that are the same program, as those are that were forked."""
    return [one for one in children(everyone, master) if server.is_it(one.argv)]


def began_since(attempt: Attempt, those: Iterable[Inhabitant]) -> list[Inhabitant]:
    """Those that began after the reload; all where the process began with the release."""
    return [one for one in those if one.process.started_after(attempt.told_at_ns)]


def told_ago_s(attempt: Attempt) -> float:
    return (moments.boot_ns() - attempt.told_at_ns) / 1e9


def names(those: Iterable[Inhabitant]) -> str:
    return ", ".join(str(one.process.pid) for one in those)


# ── asking its code ───────────────────────────────────────────────────────────────────────────────


def ask(
    server: Server,
    command: Command,
    attempt: Attempt,
    probe: str,
    words: Sequence[str],
    *,
    is_staged: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Mapping[str, Json]:
    """What `probe` answers in the workload's own Python, given `words`.

    `is_staged`: it finds the new generation, which nothing points at yet. Raises Refused, CannotRun.
    """
    is_first = is_staged and not _has_files(attempt)
    shows = attempt.generation if is_staged and attempt.inside.shows_generations else ""
    shows = (
        "" if is_first else shows
    )  # another generation is shown in the place of one that is there
    paths = (attempt.directory, attempt.staged) if is_staged and not shows else ("", "")
    # -B, because bytecode of a file that was only tried would lie beside the delivered ones.
    argv = [*command.python, "-B", "-c", OPENING + probe, *paths, *words]
    outcome = attempt.inside.run(argv, timeout_s=timeout_s, shows=shows)
    said, found, answer = outcome.output.rpartition(MARK)
    if not outcome.passed or not found:
        text = f"{server.name}: {outcome.how}. {_last(outcome.output)}".strip()
        _need_fair_trial(server, attempt, text, is_first=is_first)
        raise Refused(text)
    try:
        return cast("Mapping[str, Json]", json.loads(answer.splitlines()[0]))
    except (ValueError, IndexError) as error:
        raise Refused(f"{server.name} gave no whole answer. {_last(said)}") from error


def _has_files(attempt: Attempt) -> bool:
    """True once a release was swapped in, as the workload sees it."""
    try:
        attempt.inside.read(f"{attempt.directory}/release")
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _need_fair_trial(server: Server, attempt: Attempt, text: str, *, is_first: bool) -> None:
    """Raises CannotRun, so that it is tried again, where a refusal says nothing of the files."""
    process = attempt.process
    if process is not None and processes.identify(process.pid) != process:
        # With a container's first process all others end.
        raise CannotRun(
            f"{server.name} ended while it was asked, so the files could not be tried. They are "
            "once it runs again."
        )
    if is_first:
        raise CannotRun(
            f"{text} No release was delivered here before, so an application that reads "
            f"{attempt.directory} could not be shown this one while {server.name} runs. It is "
            f"delivered once {server.name} is not running; until then its entrypoint should wait "
            f"for {attempt.directory}/release."
        )


def _last(text: str) -> str:
    text = text.strip()
    return text if len(text) <= WORDS else text[-WORDS:].partition("\n")[2]


def command_to_check(server: Server, attempt: Attempt, program: str) -> Command | None:
    """How the running master was begun; None where no Python runs yet, so that nothing can die.

    Raises CheckFailed where it cannot be known.
    """
    everyone = attempt.inside.processes()
    try:
        master = master_of(server, attempt, everyone)
    except Vetoed as error:
        raise CheckFailed(str(error)) from error
    if master is not None:
        return _shown(server, master, program)
    if any(runs_python(one.argv) for one in everyone):
        raise CheckFailed(
            f"No process here is {server.name} as its command line says, so the release cannot be "
            f"checked. Start it with the command {program}, or write {server.by_hand}."
        )
    return None


def _shown(server: Server, master: Inhabitant, program: str) -> Command:
    command = command_of(master.argv, program)
    if command is None:
        raise CheckFailed(
            f"{server.name} has written a title over its command line (the package setproctitle "
            "does that), so how it was begun cannot be seen and the release cannot be checked. "
            f"Take the package out of the image, or write {server.by_hand}."
        )
    return command


# ── the reload ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Hup:
    """HUP to the master alone: its workers would end on it."""

    server: Server

    restarts = False

    def __str__(self) -> str:
        return f"profile:{self.server.name}"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> Armed:
        """Wait `patience_s` for a ready master, and at least until the process is no longer young."""
        if attempt.process is None:
            raise Gone("nothing runs")
        until = time.monotonic() + patience_s
        while True:
            master, objection = self._look(attempt)
            if master is not None and not objection:
                return self._signal(master, attempt)
            self._may_wait_on(attempt.process, objection, until)
            time.sleep(LOOK_S)

    def _look(self, attempt: Attempt) -> tuple[Inhabitant | None, str]:
        """(the master, what speaks against telling it). Raises Vetoed."""
        everyone = attempt.inside.processes()
        master = master_of(self.server, attempt, everyone)
        if master is not None:
            return master, self.server.objection(master, everyone)
        return None, (
            f"No process here is a {self.server.name} master as its command line says, so nobody "
            f"was told. Start it with the command {self.server.name}, or write "
            f"{self.server.by_hand}."
        )

    def _may_wait_on(self, process: ProcessId, objection: str, until: float) -> None:
        """Raises Gone, Vetoed."""
        if processes.identify(process.pid) != process:
            raise Gone(f"process {process.pid} has ended")
        if processes.uptime_s(process) > YOUNG_S and time.monotonic() >= until:
            raise Vetoed(objection)

    def _signal(self, master: Inhabitant, attempt: Attempt) -> Armed:
        # Patience, because a program that begins anew in the same process has no handler meanwhile.
        try:
            return Signal(SIGHUP).arm(attempt.but(process=master.process), patience_s=YOUNG_S)
        except Vetoed as error:
            raise Vetoed(self.server.unheard(master)) from error
