"""`confhub agent once`: bring everything to its release, say so, and end."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from watchers import options
from watchers.agent import Agent
from watchers.commands.common import DONE, REFUSED, TIMED_OUT, Output, refuse
from watchers.commands.still import Still
from watchers.etcd import Etcd, EtcdError
from watchers.follow.scopes import Follower, Unusable, Wanted
from watchers.health import Pulse
from watchers.instance.memory import ReadOnlyJournal
from watchers.instance.rendering import Rendering
from watchers.labels import Wishes, read_wishes
from watchers.options import Options
from watchers.redact import REDACTOR
from watchers.render.errors import CannotRender
from watchers.runtimes.base import CannotReach, Workload
from watchers.runtimes.process import ProcessRuntime
from watchers.swap.disk import CannotWrite
from watchers.wire.documents import ReleaseDocument
from watchers.wire.names import BadName, check_slug
from watchers.wire.status import Status

LOOK_S = 0.1
ASK_S = 1.0  # between two questions to etcd for a scope that has nothing yet
OK = ("confirmed", "written", "waits for a restart")


# ── every labelled container ──────────────────────────────────────────────────────────────────────


def serve_once(told: Options, etcd: Etcd, timeout_s: float, output: Output) -> int:
    """The exit code, once every labelled container is settled or the time is over."""
    from watchers.runtimes.docker import runtimes_from

    try:
        served = Agent(etcd, told.keyspace, runtimes_from(told), told.state_dir, told.host)
        _refuse_beside_another(told.state_dir)
    except OSError as error:
        refuse(f"{error}. Set CONFHUB_STATE_DIR to a directory that may be written.")
    stop = threading.Event()
    running = threading.Thread(target=served.run, args=(stop,), name="agent")
    running.start()
    try:
        found = _await_settled(served, time.monotonic() + timeout_s)
    finally:
        stop.set()
        running.join()
        etcd.close()
    waits_for = _missing(served) if found is None else []
    rows = [_row(status) for status in served.standing()] if found is None else found
    output.show({"instances": rows, "waits_for": waits_for}, lambda: _words(rows, waits_for))
    if any(row["outcome"] == "failed" for row in rows):
        return REFUSED
    return TIMED_OUT if found is None else DONE


def _refuse_beside_another(state_dir: Path) -> None:
    """Two agents with one journal would tell each process twice. Raises OSError."""
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        refuse(
            f"another agent holds {state_dir / 'lock'} and serves this host's containers already; "
            "`confhub agent explain CONTAINER` says how far each is."
        )
    finally:
        os.close(descriptor)


def _await_settled(served: Agent, deadline: float) -> list[dict[str, Any]] | None:
    """A row for each instance once all are settled; None when the time is over."""
    while True:
        rows = [_row(status) for status in served.standing()]
        if not served.not_ready() and all(row["outcome"] != "waits" for row in rows):
            return rows
        if time.monotonic() > deadline:
            return None
        time.sleep(LOOK_S)


def _missing(served: Agent) -> list[str]:
    said = served.silence()
    return [*served.not_ready(), *([said] if said else [])]


def _row(status: Status) -> dict[str, Any]:
    receipt = status.receipt
    outcome, why = _outcome(status)
    return {
        "instance": status.id,
        "container": status.container.get("name"),
        "service": status.service,
        "environment": status.environment,
        "target": status.target,
        "running": status.running,
        "state": receipt.state if receipt else None,
        "outcome": outcome,
        "why": why,
    }


def _outcome(status: Status) -> tuple[str, str]:
    """(one of OK, "failed" or "waits"; why)."""
    receipt, problems = status.receipt, " ".join(status.problems)
    if status.target is None:
        return ("failed", problems) if problems else ("waits", "Nothing is published for it yet.")
    if receipt is None or receipt.release != status.target:
        return ("failed", problems) if problems else ("waits", "")
    if receipt.state == "confirmed":
        return "confirmed", ""
    if receipt.state == "failed":
        # What is also a problem is this machine's (rights, a disk), and is tried again.
        passing = receipt.reason in status.problems
        return "waits" if passing else "failed", f"{receipt.stage}: {receipt.reason}"
    if receipt.pending_restart:
        return "waits for a restart", ", ".join(receipt.pending_restart)
    if receipt.state == "delivered" and status.pid is None:
        return "written", "It does not run; it begins with these files."
    return "waits", ""


def _words(rows: list[dict[str, Any]], waits_for: list[str]) -> str:
    lines = [
        f"{row['container'] or row['instance']}  {row['service']}/{row['environment']}  "
        f"release {row['target'] or '-'}  {row['outcome']}"
        + (f": {row['why']}" if row["why"] else "")
        for row in rows
    ]
    lines += [f"not heard in time: {what}" for what in waits_for]
    return "\n".join(lines) or "No container of this engine has confhub.service and .environment."


# ── the files of one scope ────────────────────────────────────────────────────────────────────────


def write_scope(
    told: Options,
    etcd: Etcd,
    scope: tuple[str, str],
    directory: Path | None,
    spec: str,
    instance: str | None,
    timeout_s: float,
    output: Output,
) -> int:
    """The exit code, once the files of (service, environment) stand in `directory`."""
    wishes = _checked(scope, spec)
    where = (directory or Path(options.delivered_directory())).absolute()
    follower = Follower(etcd, told.keyspace, scope=scope, seen=lambda _: None, pulse=Pulse())
    name = told.instance_id(*scope, instance)
    wanted, why = _await_wanted(
        lambda: follower.read_once().wanted(name), time.monotonic() + timeout_s
    )
    etcd.close()
    if wanted is None:
        output.show({"release": None, "why": why}, lambda: why)
        return TIMED_OUT
    if isinstance(wanted, Unusable):
        refuse(wanted.reason)
    workload = Workload(name, *scope, "process", replace(wishes, directory=str(where)), "stopped")
    release = wanted.document.release
    try:
        _Writer(told, ProcessRuntime(workload, where), workload).write(wanted.document)
    except (CannotRender, CannotReach, CannotWrite) as error:
        refuse(REDACTOR.text(str(error)))
    output.show(
        {"release": release, "directory": str(where)}, lambda: f"release {release} is in {where}"
    )
    return DONE


class _Writer(Rendering):
    """Writes one release for nobody in particular: whoever starts next reads it."""

    def __init__(self, told: Options, runtime: ProcessRuntime, workload: Workload) -> None:
        around = Still(runtime, workload, told.secrets)
        super().__init__(workload.id, ReadOnlyJournal(told.state_dir), around, lambda: None)

    def write(self, document: ReleaseDocument) -> None:
        """Raises CannotRender, CannotReach, CannotWrite."""
        wishes = self._around.workload().wishes
        assert wishes is not None  # noqa: S101  # given by whoever made us
        opened, files = self._rendered(document, wishes)
        with self._around.directory() as directory:
            directory.swap(self._write(directory, opened, files))
            directory.settle()


def _checked(scope: tuple[str, str], spec: str) -> Wishes:
    problems: list[str] = []
    try:
        check_slug(scope[0], what="service")
        check_slug(scope[1], what="environment")
    except BadName as error:
        problems.append(str(error))
    wishes = read_wishes({"files": spec, "reload": "none"}, problems)
    if wishes is None or problems:
        raise click.UsageError(" ".join(problems))
    return wishes


def _await_wanted(
    ask: Callable[[], Wanted | Unusable | None], deadline: float
) -> tuple[Wanted | Unusable | None, str]:
    """(what is wanted, ""), or (None, why not) when the time is over."""
    while True:
        try:
            wanted, why = ask(), "Nothing is published there yet."
        except EtcdError as error:
            wanted, why = None, str(error)
        if wanted is not None:
            return wanted, ""
        if time.monotonic() + ASK_S > deadline:
            return None, f"Not done in time. {why}"
        time.sleep(ASK_S)
