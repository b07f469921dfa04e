"""HAProxy with a master process: it reads everything again on USR2, and counts what failed."""

import contextlib
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from signal import SIGUSR2

from watchers import processes
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.confirm.base import Disproved, NotYet, Proven
from watchers.inside import CannotRun
from watchers.profiles import family
from watchers.profiles.base import Profile
from watchers.profiles.family import Family
from watchers.reload.base import Vetoed
from watchers.reload.signals import ArmedSignal
from watchers.wire.canonical import Json

NAME = "haproxy"
PATIENCE_S = 2.0  # a master that has just begun itself anew has no handlers for a moment
ASK_S = 3.0
STEADY_S = 1.0  # a worker that cannot listen ends sooner
MAX_DRAINING = 8  # workers that still finish their connections
ANSWER_BYTES = 256 * 1024
# A master leaves itself these for when it begins anew. With them `haproxy -c` reads no file at all.
OF_MASTER = (
    "HAPROXY_MWORKER",
    "HAPROXY_MWORKER_REEXEC",
    "HAPROXY_MWORKER_WAIT_ONLY",
    "HAPROXY_PROCESSES",
)
ALONE = (
    "HAProxy runs without a master process, so nothing was sent: USR2 would be ignored, and HUP "
    "reloads nothing. Start it with -W (haproxy -W -f …)."
)
# As in 2.6: "1  master  2 [failed: 1]  0d00h00m05s  2.6.12" and "18  worker  0  0d00h00m04s  2.6.12"
MASTER_LINE = re.compile(r"^\d+\s+master\s+(\d+)(?:\s+\[failed: (\d+)\])?", re.MULTILINE)
WORKER_LINE = re.compile(r"^\d+\s+worker\s+(?:\[was: \d+\]\s+)?(\d+)\s", re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """What the master's command line says of its reloads."""

    reloads: int  # all of them, the failed ones included
    failed: int
    newest: int  # workers that the last reload began

    def note(self) -> dict[str, Json]:
        return {"reloads": self.reloads, "failed": self.failed}


def read_counts(answer: str) -> Counts | None:
    """The counts in an answer to `show proc`; None where it is none."""
    master = MASTER_LINE.search(answer)
    if master is None:
        return None
    ages = [int(age) for age in WORKER_LINE.findall(answer)]
    return Counts(int(master[1]), int(master[2] or 0), ages.count(0))


def has_master(found: Family) -> bool:
    return bool(found.children) or any(re.fullmatch("-Ws?", word) for word in found.parent.argv)


def check_argv(argv: Sequence[str]) -> list[str]:
    """`haproxy -c` with the files of a running master. One that reloaded has -sf and -x in front."""
    kept, words = [argv[0], "-c"], list(argv[1:])
    while words:
        word = words.pop(0)
        if word in ("-f", "-C", "-L", "-n", "-N", "-m") and words:
            kept += [word, words.pop(0)]
        elif word in ("-dr", "-dW"):
            kept.append(word)
        elif word == "--":
            return [*kept, word, *words]
    return kept


class HAProxyCheck:
    """`haproxy -c` with the files that the running master was given, as they will be."""

    def run(self, attempt: Attempt) -> None:
        found = family.find(attempt.inside, (NAME,))
        if found is None:
            return  # nothing runs that could be told; that it starts with the files is its proof
        argv, shows = family.as_staged(attempt, check_argv(found.parent.argv))
        without = [word for name in OF_MASTER for word in ("-u", name)]
        outcome = attempt.inside.run(["env", *without, *argv], shows=shows)
        if not outcome.passed:
            words = outcome.output.splitlines()
            alerts = [line for line in words if "[NOTICE]" not in line]
            raise CheckFailed(f"haproxy -c: {outcome.how}. {' '.join(alerts).strip()}")


class HAProxyWay:
    """USR2 to the master."""

    restarts = False

    def __str__(self) -> str:
        return "profile:haproxy"

    def arm(self, attempt: Attempt, *, patience_s: float = 0.0) -> ArmedSignal:
        """Raises Vetoed where there is no master, CannotRun while too many old workers are left."""
        none = "No haproxy runs here, so nobody was told."
        found = family.await_family(attempt, (NAME,), patience_s=patience_s, otherwise=none)
        if not has_master(found):
            raise Vetoed(ALONE)
        if len(found.children) > MAX_DRAINING + 1:
            raise CannotRun(
                f"{len(found.children) - 1} old workers of HAProxy still finish their connections, so "
                "it is not reloaded once more yet. Limit how long they may with hard-stop-after."
            )
        return family.arm(attempt, found, SIGUSR2, patience_s=max(patience_s, PATIENCE_S))


class HAProxyProof:
    """The master's own counts where it has a command line (-S), else a new worker that stays."""

    wait_s = 20.0

    def note(self, attempt: Attempt) -> Mapping[str, Json]:
        found = family.find(attempt.inside, (NAME,))
        counts = _ask(attempt, found)
        return {**family.names(found), **(counts.note() if counts else {})}

    def look(self, attempt: Attempt) -> Proven:
        found = family.find(attempt.inside, (NAME,))
        if found is None:
            raise NotYet("No haproxy runs.")
        if not attempt.told_at_ns:
            return _has_begun(found)
        counts, before = _ask(attempt, found), attempt.noted.get("reloads")
        if counts is None or not isinstance(before, int):
            return _new_worker(attempt, found)
        failed = attempt.noted.get("failed")
        if counts.failed > (failed if isinstance(failed, int) else 0):
            raise Disproved(f"HAProxy kept its old worker: {_alerts(attempt)}")
        if counts.reloads == before or not counts.newest:
            raise NotYet("HAProxy's master has not reloaded yet.")
        return Proven()


def _has_begun(found: Family) -> Proven:
    if has_master(found) and not found.children:
        raise NotYet("HAProxy has begun no worker.")
    return Proven()


def _new_worker(attempt: Attempt, found: Family) -> Proven:
    """What the processes tell: the master begins a worker only where it could load the files."""
    new = [one for one in found.children if family.is_new(attempt, found, one)]
    if any(processes.uptime_s(one.process) > STEADY_S for one in new):
        return Proven()
    if not new and family.said(attempt, lambda line: "Loading failure!" in line):
        raise Disproved(f"HAProxy kept its old worker: {_alerts(attempt)}")
    raise NotYet(f"HAProxy has begun no new worker that stays. {_alerts(attempt)}".strip())


def _alerts(attempt: Attempt) -> str:
    return family.quoted(family.said(attempt, lambda line: "[ALERT]" in line))


# ── the master's command line ─────────────────────────────────────────────────────────────────────


def master_socket(argv: Sequence[str]) -> str:
    """Where the master listens, as -S says: a path or a port of the loopback; "" where nowhere."""
    words = list(argv)
    if "-S" not in words[:-1]:
        return ""
    address = words[words.index("-S") + 1].partition(",")[0].removeprefix("unix@")
    if address.startswith("/"):
        return address
    port = address.removeprefix("ipv4@").rpartition(":")[2]
    return port if port.isdigit() else ""


def _ask(attempt: Attempt, found: Family | None) -> Counts | None:
    """The master's counts; None where it has no command line, or does not answer just now."""
    where = master_socket(found.parent.argv) if found else ""
    if not where:
        return None
    with contextlib.suppress(OSError), _connect(attempt, where) as held:
        held.sendall(b"show proc\n")
        held.shutdown(socket.SHUT_WR)
        answer = b""
        while len(answer) < ANSWER_BYTES and (read := held.recv(65536)):
            answer += read
        return read_counts(answer.decode(errors="replace"))
    return None


def _connect(attempt: Attempt, where: str) -> socket.socket:
    if where.isdigit():
        return attempt.inside.connect(int(where), timeout_s=ASK_S)
    return attempt.inside.connect_unix(where, timeout_s=ASK_S)


HAPROXY = Profile(
    name=NAME, check=HAProxyCheck(), way=HAProxyWay(), proof=HAProxyProof(), tested="HAProxy 2.6.12"
)
