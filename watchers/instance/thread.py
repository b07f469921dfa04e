"""One instance's thread: what it was told, what it does about it, what it says of itself."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from watchers.follow.scopes import Unusable, View, Wanted
from watchers.health import Pulse
from watchers.inside import Inside
from watchers.instance.applying import Applying
from watchers.instance.memory import Journal, Memory
from watchers.options import AGENT
from watchers.processes import ProcessId
from watchers.redact import REDACTOR
from watchers.runtimes.base import CannotReach, Runtime, Workload
from watchers.swap.disk import CannotWrite, Directory
from watchers.unsealing import Secrets
from watchers.wire.documents import ReleaseDocument
from watchers.wire.status import MAX_PENDING, MAX_REASON_CHARS, Receipt, State, Status

log = structlog.get_logger("watchers.instance")
LOOK_S = 60.0  # everything is compared again this often, whether or not anything was heard
TURN_S = 0.5  # how soon an instance that waits for its turn notices that it shall stop
RETRY_S = (5.0, 10.0, 20.0, LOOK_S)  # after a failure that this machine may get over
ALIVE_S = LOOK_S + 660.0  # a soak may last ten minutes
REPORT_S = 2.0  # a runtime needs a fraction of it to say why a process ended


class SharedDirectory(Exception):
    """Two instances that want different things have the same directory; neither is touched."""


class Claims(Protocol):
    """Who writes into which directory."""

    def take(self, instance_id: str, identity: tuple[int, int], purpose: object) -> None:
        """Raises SharedDirectory when it is another's for another purpose."""


class Turns:
    """One lock for each service in each environment: its instances here reload one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, str], threading.Lock] = {}

    def of(self, service: str, environment: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault((service, environment), threading.Lock())


@dataclass(frozen=True)
class Agency:
    """What all instances of one agent share."""

    host: str
    journal: Journal
    claims: Claims
    pulse: Pulse
    publish: Callable[[Status], None]
    turns: Turns = field(default_factory=Turns)
    secrets: Secrets = field(default_factory=Secrets)
    keep: Callable[[ReleaseDocument], None] = lambda _: None  # a release that was proven


class Instance:
    """Follows what it is told, one release at a time, in a thread of its own.

    Whoever tells it something never waits: it takes the newest of everything when it is free, so
    that one slow process holds up nobody else.
    """

    def __init__(self, workload: Workload, runtime: Runtime, agency: Agency) -> None:
        self._runtime, self._agency, self.id = runtime, agency, workload.id
        self._news = threading.Condition()
        self._workload = workload
        self._view: View | None = None
        self._asked: set[str] = {"look"}  # "look", "retry", "fall back"
        self._fell_back: bool | None = None
        self._judged = workload  # as the newest finished look found it
        self._stop = False
        self._problem = ""
        self._from_cache = False  # what runs was made from it, because there was nothing else
        self._failures = 0
        self._told: Status | None = None
        self._has_looked = False
        self._steps = Applying(workload.id, agency.journal, self, self._tell)
        self._name = f"instance {workload.id}"
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    # ── told by others ────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        self._thread.start()

    def see(self, workload: Workload) -> None:
        """How the runtime sees it now."""
        with self._news:
            if workload != self._workload:
                self._asked.add("look")
            self._workload = workload
            self._news.notify_all()

    def consider(self, view: View) -> None:
        """What etcd says of its scope now."""
        with self._news:
            self._view = view
            self._from_cache = self._from_cache and bool(view.cached)
            self._asked.add("look")
            self._news.notify_all()

    def ask(self, what: str) -> None:
        """`look` again, or `retry` the release that failed."""
        with self._news:
            self._asked.add(what)
            self._news.notify_all()

    def fall_back(self, timeout_s: float) -> bool:
        """Show the last good generation, because etcd says nothing; False where there is none."""
        with self._news:
            self._fell_back = None
            self._asked.add("fall back")
            self._news.notify_all()
            self._news.wait_for(lambda: self._fell_back is not None, timeout_s)
            return bool(self._fell_back)

    def await_verdict(self, timeout_s: float, *, began_at: datetime | None) -> None:
        """Return once a whole look was taken at the workload after its process ended.

        `began_at`: when that process had begun, because others may have ended before.
        """
        with self._news:
            self._news.wait_for(
                lambda: self._judged.lived_s is not None and self._judged.began_at == began_at,
                timeout_s,
            )

    def said(self) -> Status | None:
        """What it last said of itself; None before its first look."""
        with self._news:
            return self._told

    def has_looked(self) -> bool:
        """True once it has finished a look with what etcd says of its scope."""
        with self._news:
            return self._has_looked

    def stop(self) -> None:
        with self._news:
            self._stop = True
            self._news.notify_all()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    # ── asked by the steps ────────────────────────────────────────────────────────────────────

    def workload(self) -> Workload:
        with self._news:
            return self._workload

    def changed_from(self, process: ProcessId) -> Workload:
        with self._news:
            self._news.wait_for(lambda: self._workload.process != process, REPORT_S)
            return self._workload

    def directory(self) -> Directory:
        workload = self.workload()
        directory = self._runtime.directory(workload)
        purpose = (
            workload.service,
            workload.environment,
            workload.wishes and workload.wishes.files,
        )
        try:
            self._agency.claims.take(self.id, directory.identity(), purpose)
        except SharedDirectory as error:
            directory.close()
            raise CannotReach(str(error)) from error
        return directory

    def secrets(self) -> Secrets:
        return self._agency.secrets

    def keep_proven(self, document: ReleaseDocument) -> None:
        self._agency.keep(document)

    def inside(self) -> Inside:
        return self._runtime.inside(self.workload())

    def stopping(self) -> bool:
        with self._news:
            return self._stop

    # ── the thread ────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while not self.stopping():
                self._agency.pulse.beat(self._name, within_s=ALIVE_S)
                self._look(self._wait())
        finally:
            self._agency.pulse.end(self._name)

    def _wait(self) -> set[str]:
        """What was asked since the last look, as soon as there is something or a look is due."""
        passing = self._steps.memory.stage == "failed" and self._steps.memory.passing
        due_s = RETRY_S[min(self._failures, len(RETRY_S) - 1)] if passing else LOOK_S
        with self._news:
            self._news.wait_for(lambda: self._asked or self._stop, due_s)
            asked, self._asked = self._asked, set()
            return asked

    def _look(self, asked: set[str]) -> None:
        with self._news:
            found, view = self._workload, self._view
        try:
            if "retry" in asked:
                self._steps.try_again()
            if "fall back" in asked:
                self._answer_fall_back()
            self._step()
        except Exception:
            # The thread must live on: the next look begins from what stands on disk.
            log.exception("instance.stumbled", instance=self.id)
            time.sleep(1)
        memory = self._steps.memory
        self._failures = self._failures + 1 if memory.stage == "failed" and memory.passing else 0
        self._tell()
        with self._news:
            self._judged = found
            self._has_looked |= view is not None
            self._news.notify_all()

    def _answer_fall_back(self) -> None:
        try:
            held = self._steps.fall_back()
            if not held and self._is_offline():
                self._step()  # makes the files from what was kept
                held = self._steps.fall_back()
        except (CannotReach, CannotWrite) as error:
            log.warning("directory.away", instance=self.id, reason=str(error))
            held = False
        with self._news:
            self._fell_back = held
            self._news.notify_all()

    def _step(self) -> None:
        if not self._steps.is_due(self._newest()[0]):
            self._step_now()
            return
        workload = self.workload()
        turn = self._agency.turns.of(workload.service, workload.environment)
        while not turn.acquire(timeout=TURN_S):
            self._agency.pulse.beat(self._name, within_s=ALIVE_S)
            if self.stopping():
                return
        try:
            self._step_now()
        finally:
            turn.release()

    def _step_now(self) -> None:
        wanted, workload = self._newest()
        if workload.wishes is not None and not self._stop:
            self._steps.step(wanted, workload.wishes)

    def _newest(self) -> tuple[Wanted | Unusable | None, Workload]:
        with self._news:
            workload, view = self._workload, self._view
        return self._wanted(view), workload

    def _wanted(self, view: View | None) -> Wanted | Unusable | None:
        """What etcd wants of this instance, unless it is an older etcd than one seen."""
        self._problem = view.unreadable if view else ""
        if view is not None and view.cached:
            return self._wanted_offline(view)
        wanted = view.wanted(self.id) if view else None
        if isinstance(wanted, Wanted) and view is not None and view.pointer is not None:
            number = view.pointer.release
            if not self._steps.saw_pointer(number, view.epoch) and wanted.from_pointer:
                self._problem = (
                    f"etcd says release {number} again, after {self._steps.memory.pointer_seen} was "
                    "seen: it was restored from a backup. What runs is kept until ConfHub has "
                    "published anew."
                )
                return None
        return wanted

    def _is_offline(self) -> bool:
        with self._news:
            return self._view is not None and bool(self._view.cached)

    def _wanted_offline(self, view: View) -> Wanted | Unusable | None:
        """What was kept on this machine, for an instance that has nothing at all to run."""
        try:
            self._from_cache = self._from_cache or self._steps.has_nothing()
        except (CannotReach, CannotWrite) as error:
            log.warning("directory.away", instance=self.id, reason=str(error))
        if not self._from_cache:
            return None
        self._problem = view.cached
        return view.wanted(self.id)

    # ── what it says of itself ────────────────────────────────────────────────────────────────

    def _tell(self) -> None:
        status = self._status()
        if status != self._told:
            with self._news:
                self._told = status
            self._agency.publish(status)
            self._runtime.told(status)

    def _status(self) -> Status:
        with self._news:
            workload, view = self._workload, self._view
        memory = self._steps.memory
        is_known = workload.process is not None and workload.process == memory.process
        return Status(
            id=workload.id,
            service=workload.service,
            environment=workload.environment,
            host=self._agency.host,
            runtime=workload.runtime,
            agent=AGENT,
            container=dict(workload.container),
            pid=workload.process.pid if workload.process else None,
            target=view.target(self.id) if view and (self._from_cache or not view.cached) else None,
            running=memory.running if is_known else None,
            checksum=memory.running_checksum if is_known else None,
            receipt=receipt_of(memory),
            health=_health(workload, memory),
            problems=tuple(
                map(REDACTOR.text, workload.problems + _problems(memory, self._problem))
            ),
        )


def receipt_of(memory: Memory) -> Receipt | None:
    """The receipt of the newest release that was tried."""
    if not memory.release:
        return None
    state, at = _state(memory)
    return Receipt(
        release=memory.release,
        state=state,
        at=at or "",
        stage=memory.fail_stage if state == "failed" else "",
        reason=memory.reason[:MAX_REASON_CHARS] if state == "failed" else "",
        delivered_at=memory.delivered_at,
        applied_at=memory.applied_at,
        confirmed_at=memory.confirmed_at,
        pending_restart=memory.pending_restart[:MAX_PENDING],
        request_id=memory.request_id,
    )


def _state(memory: Memory) -> tuple[State, str | None]:
    """(the receipt's state, since when)."""
    if memory.stage in ("failed", "reverting"):
        return "failed", memory.failed_at
    if memory.stage == "confirmed":
        return "confirmed", memory.confirmed_at
    if memory.stage == "soaking":
        return "applied", memory.applied_at
    return "delivered", memory.delivered_at


def _problems(memory: Memory, problem: str) -> tuple[str, ...]:
    """What is wrong with the machine or the store, beside what is wrong with the labels."""
    found = [problem] if problem else []
    if memory.stage == "failed" and memory.passing:
        found.append(memory.reason)
    if memory.stage == "awaits_restart":
        names = ", ".join(memory.pending_restart[:10])
        more = f" and {left} more" if (left := len(memory.pending_restart) - 10) > 0 else ""
        found.append(f"Release {memory.release} waits for a restart: {names}{more}.")
    return tuple(found)


def _health(workload: Workload, memory: Memory) -> str:
    """The runtime's own check where there is one, else whether the proof that was asked for holds."""
    if workload.state == "stopped" or workload.process is None:
        return "stopped"
    if workload.health:
        return workload.health
    if workload.state == "paused" or workload.process != memory.process:
        return "unknown"
    return "starting" if memory.stage == "soaking" else "healthy"
