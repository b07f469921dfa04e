"""uvicorn with workers: its own loader before, HUP to the supervisor, and afterwards all workers new.

The supervisor brings each new worker up before it ends an old one, and gives up at the first that does
not come. A single process has no supervisor, and HUP would end it.
https://www.uvicorn.org/deployment/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchers import processes
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import TIMEOUT_S, Inhabitant
from watchers.profiles import python
from watchers.profiles.base import Profile
from watchers.profiles.family import quoted, said
from watchers.profiles.python import Refused
from watchers.profiles.started import options
from watchers.reload.base import Vetoed
from watchers.wire.canonical import Json

SETTLE_S = 1.0
WAIT_S = 120.0  # workers are replaced one after the other, each within 5 s and its requests' time
GIVEN_UP = "aborting the restart"  # as its supervisor says it

LOADS = """
import inspect, uvicorn, uvicorn.config
def load(app, **given):
    folder = given.pop("app_dir", None)
    if folder is not None:
        sys.path.insert(0, folder)
    known = inspect.signature(uvicorn.Config).parameters
    uvicorn.Config(app, **{name: held for name, held in given.items() if name in known}).load()
    answer()
sys.modules["uvicorn.main"].run = load
uvicorn.main.main(words, prog_name="uvicorn")
"""


@dataclass(frozen=True)
class Uvicorn:
    """What is known of its processes."""

    name = "uvicorn"
    by_hand = "confhub.reload=signal:HUP with a confhub.check of your own"

    def is_it(self, argv: Sequence[str]) -> bool:
        return python.command_of(argv, "uvicorn") is not None

    def objection(self, master: Inhabitant, everyone: Sequence[Inhabitant]) -> str:
        if _workers(everyone, master):
            return ""
        return (
            f"uvicorn {master.process.pid} runs without a supervisor, so HUP would end it, or be "
            "lost if it is the first process of its container; it was not sent. Start it with "
            "--workers 2 or more and without --reload, or write confhub.reload=restart."
        )

    def unheard(self, master: Inhabitant) -> str:
        return (
            f"uvicorn {master.process.pid} has no handler for HUP, so it was not told. Start it with "
            "--workers 2 or more and without --reload, or write confhub.reload=restart."
        )


UVICORN_SERVER = Uvicorn()


def _workers(everyone: Sequence[Inhabitant], master: Inhabitant) -> list[Inhabitant]:
    """Its children, without the one that multiprocessing keeps for its own accounts."""
    begun = python.children(everyone, master)
    return [one for one in begun if "--multiprocessing-fork" in one.argv]


@dataclass(frozen=True)
class Loads:
    """uvicorn loads the application, the certificates and the logging as a worker would."""

    timeout_s: float = TIMEOUT_S

    def run(self, attempt: Attempt) -> None:
        command = python.command_to_check(UVICORN_SERVER, attempt, "uvicorn")
        if command is None:
            return
        try:
            python.ask(
                UVICORN_SERVER, command, attempt, LOADS, command.args,
                is_staged=True, timeout_s=self.timeout_s,
            )  # fmt: skip
        except Refused as error:
            raise CheckFailed(str(error)) from error


@dataclass(frozen=True)
class AllNew:
    """Every worker began after the reload, and there are as many as before."""

    wait_s: float = WAIT_S

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        """{"workers": how many}."""
        everyone = attempt.inside.processes()
        try:
            master = python.master_of(UVICORN_SERVER, attempt, everyone)
        except Vetoed:
            master = None
        return {"workers": len(_workers(everyone, master))} if master else {}

    def look(self, attempt: Attempt) -> Proven:
        everyone = attempt.inside.processes()
        try:
            master = python.master_of(UVICORN_SERVER, attempt, everyone)
        except Vetoed as error:
            raise NotYet(str(error)) from error
        if master is None:
            raise NotYet("No process here is a uvicorn supervisor.")
        workers = _workers(everyone, master)
        new = python.began_since(attempt, workers)
        old = [one for one in workers if one not in new]
        wanted = attempt.noted.get("workers", 1)
        if not attempt.told_at_ns and not workers:
            new = [master]  # a single process, which runs what it began with
        elif old or (isinstance(wanted, int) and len(new) < wanted):
            _need_hope(attempt)
            raise NotYet(
                f"uvicorn has replaced {len(new)} workers; there are still "
                f"{python.names(old) or 'none'} from before the reload."
            )
        young = [one for one in new if processes.uptime_s(one.process) < SETTLE_S]
        if young:
            raise NotYet(f"uvicorn's processes {python.names(young)} have only just begun.")
        return Proven(_pending(master, attempt))


def _need_hope(attempt: Attempt) -> None:
    """Raises Disproved once the supervisor has said that it gave up."""
    errors = said(attempt, lambda line: line.startswith("ERROR"))
    if any(GIVEN_UP in line for line in errors):
        raise Disproved(
            "uvicorn kept its old workers, because a new one did not become ready: "
            f"{quoted(errors)}"
        )


def _pending(master: Inhabitant, attempt: Attempt) -> tuple[str, ...]:
    """All that changed, where it comes through a file that only the supervisor reads, as it begins."""
    files = options(master.argv, "env-file")
    is_ours = any(file.startswith(f"{attempt.directory}/") for file in files)
    return tuple(sorted(attempt.changed)) if is_ours and attempt.told_at_ns else ()


UVICORN = Profile(
    name="uvicorn",
    check=Loads(),
    way=python.Hup(UVICORN_SERVER),
    proof=AllNew(),
    tested="uvicorn 0.54.0",
)
