"""Containers of one engine, found by their labels.

Subscribes first, then lists, then lists again whenever an event or the clock says so; events only
make it look sooner. The engine is asked with GET alone: files go through the file system, signals
through the kernel (docs/decisions/0006-signals-not-the-engine.md).
"""

import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from watchers import moments
from watchers.inside import Inside
from watchers.labels import Read, Wishes, read_labels
from watchers.options import Options
from watchers.processes import ProcessId
from watchers.runtimes import inhabitants, mounts
from watchers.runtimes.base import Beat, Report, Runtime, Workload
from watchers.runtimes.engine import Engine, EngineAway
from watchers.runtimes.here import Here
from watchers.runtimes.inhabitants import NotHere
from watchers.runtimes.mounts import Mount
from watchers.swap.disk import Directory
from watchers.wire.names import SLUG
from watchers.wire.status import Status

log = structlog.get_logger("watchers.docker")
LOOK_S = 60.0  # every container is inspected again, whatever the events said
NAMED_LOOK_S = 2.0  # a program within a container comes and goes without an event
GATHER_S = 0.01  # events come in flocks: kill, die, stop, start
AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # until the engine is back
ENDING = {signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT}


@dataclass(frozen=True)
class Detail:
    """What is needed to reach a container's directory."""

    name: str
    mounts: tuple[Mount, ...]
    first: ProcessId | None


class DockerRuntime:
    """The labelled containers of the engine at `address`."""

    name = "docker"

    def __init__(self, address: str) -> None:
        """`address` as in DOCKER_HOST: "unix:///var/run/docker.sock"."""
        self._address = address
        self._engine = Engine(address)
        self._news = threading.Condition()
        self._dirty: set[str] = set()  # full ids that an event named
        self._everything = True
        self._held: dict[str, Workload] = {}  # {full id: as last inspected}
        self._seen: dict[str, tuple[str, str]] = {}  # {full id: (State, Status) as last listed}
        self._ending: set[str] = set()  # somebody told the engine to end it
        self._was_asked: set[str] = set()  # and so its last process ended
        self._said: set[str] = set()
        self._failures = 0

    # ── asked by the agent ────────────────────────────────────────────────────────────────────

    def run(self, stop: threading.Event, report: Report, beat: Beat) -> None:
        events = threading.Thread(
            target=self._listen, args=(stop,), name="docker-events", daemon=True
        )
        events.start()
        while not stop.is_set():
            beat()
            everything = self._wait(stop)
            if stop.is_set():
                break
            try:
                self._look(everything)
            except EngineAway as error:
                self._say_away(error)
                stop.wait(AGAIN_S[min(self._failures, len(AGAIN_S)) - 1])
                self.look_again()
            else:
                self._say_back()
                report(list(self._held.values()))
        self._engine.close()
        events.join(2)

    def look_again(self) -> None:
        with self._news:
            self._everything = True
            self._news.notify_all()

    def directory(self, workload: Workload) -> Directory:
        detail: Detail = workload.detail
        path = workload.wishes.directory if workload.wishes else ""
        descriptor = mounts.open_delivered(
            path,
            detail.mounts,
            name=detail.name,
            first=detail.first,
            shares_files=lambda: mounts.shares_files_with(self._address),
        )
        return Directory(descriptor, f"{path} of {detail.name}")

    def inside(self, workload: Workload) -> Inside:
        detail: Detail = workload.detail
        return Here(detail.first, {})

    def told(self, status: Status) -> None:
        """A container needs nothing from here: it has its files."""

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def _listen(self, stop: threading.Event) -> None:
        engine, failures = Engine(self._address), 0
        while not stop.is_set():
            try:
                for event in engine.events(stop):
                    failures = 0
                    self._take(event)
            except EngineAway as error:
                log.debug("engine.events_ended", reason=str(error))
            failures += 1
            stop.wait(AGAIN_S[min(failures, len(AGAIN_S)) - 1])
        engine.close()

    def _take(self, event: Mapping[str, Any] | None) -> None:
        with self._news:
            if event is None:  # subscribed: whatever was missed before is found by looking now
                self._everything = True
            else:
                self._note_ending(event)
                self._dirty.add(str(event.get("id") or event.get("Actor", {}).get("ID", "")))
            self._news.notify_all()

    def _note_ending(self, event: Mapping[str, Any]) -> None:
        """Remember whether a container's process ended because somebody told the engine so."""
        actor = event.get("Actor", {})
        full_id, action = str(actor.get("ID", "")), event.get("Action", "")
        told = str(actor.get("Attributes", {}).get("signal", ""))
        if action == "kill" and told.isdigit() and int(told) in ENDING:
            self._ending.add(full_id)
        elif action == "die":
            (self._was_asked.add if full_id in self._ending else self._was_asked.discard)(full_id)
            self._ending.discard(full_id)

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    def _wait(self, stop: threading.Event) -> bool:
        """Until there is something to look at; True when that is everything."""
        has_named = any(held.wishes and held.wishes.exe for held in self._held.values())
        with self._news:
            is_due = not self._news.wait_for(
                lambda: self._everything or self._dirty or stop.is_set(),
                NAMED_LOOK_S if has_named else LOOK_S,
            )
            everything, self._everything = self._everything or is_due, False
        if not everything:
            stop.wait(GATHER_S)
        return everything

    def _look(self, everything: bool) -> None:
        """Bring `_held` up to date. Raises EngineAway, having changed nothing that matters."""
        with self._news:
            dirty, self._dirty = self._dirty, set()
        listed = {one["Id"]: one for one in self._engine.containers()}
        fresh: dict[str, Workload] = {}
        for full_id, one in listed.items():
            read = read_labels(one.get("Labels") or {})
            if read is None or not self._has_place(full_id, read):
                continue
            seen = (str(one.get("State", "")), str(one.get("Status", "")).partition(" ")[0])
            known = self._held.get(full_id)
            if everything or known is None or full_id in dirty or self._seen.get(full_id) != seen:
                known = self._inspect(full_id, read)
            if known is not None:
                fresh[full_id], self._seen[full_id] = known, seen
        self._held = fresh
        self._seen = {full_id: self._seen[full_id] for full_id in fresh}
        self._was_asked &= listed.keys()

    def _has_place(self, full_id: str, read: Read) -> bool:
        """False, and said once, when there is no place where its status could stand."""
        if SLUG.fullmatch(read.service) and SLUG.fullmatch(read.environment):
            return True
        if full_id not in self._said:
            self._said.add(full_id)
            log.warning("container.refused", container=full_id[:12], problems=list(read.problems))
        return False

    def _inspect(self, full_id: str, read: Read) -> Workload | None:
        held = self._engine.container(full_id)
        return None if held is None else self._workload(full_id, held, read)

    def _workload(self, full_id: str, held: Mapping[str, Any], read: Read) -> Workload:
        state = held.get("State") or {}
        first, process, problems = None, None, list(read.problems)
        where = _state(state)
        if where != "stopped":
            try:
                first = inhabitants.first_process(int(state.get("Pid") or 0), full_id)
                process = _chosen(first, read.wishes, full_id)
            except NotHere as error:
                problems.append(str(error))
        name = str(held.get("Name", "")).lstrip("/") or full_id[:12]
        code, began_at = state.get("ExitCode"), moments.parse(state.get("StartedAt"))
        ended_at = moments.parse(state.get("FinishedAt"))
        return Workload(
            id=full_id[:12],
            service=read.service,
            environment=read.environment,
            runtime="docker",
            wishes=None if problems else read.wishes,
            state=where if process is not None else "stopped",
            process=process,
            problems=tuple(problems),
            container={
                "name": name,
                "image": str((held.get("Config") or {}).get("Image", "")),
                "started_at": state.get("StartedAt"),
                "restarts": held.get("RestartCount", 0),
            },
            health=_health(state),
            asked_to_stop=full_id in self._was_asked,
            ending=f"exit code {code}" if code and where == "stopped" else "",
            began_at=began_at,
            lived_s=(ended_at - began_at).total_seconds()
            if where == "stopped" and began_at and ended_at
            else None,
            detail=Detail(name, _mounts(held), first),
        )

    # ── the engine's absence ──────────────────────────────────────────────────────────────────

    def _say_away(self, error: EngineAway) -> None:
        if not self._failures:
            log.warning("engine.away", reason=str(error))
        self._failures += 1

    def _say_back(self) -> None:
        if self._failures:
            log.info("engine.back", address=self._address)
        self._failures = 0


def _chosen(first: ProcessId | None, wishes: Wishes | None, full_id: str) -> ProcessId | None:
    """The process that the labels want told; the container's first one unless they name another."""
    if first is None or wishes is None or wishes.exe is None:
        return first
    return inhabitants.named(wishes.exe, full_id)


def _state(state: Mapping[str, Any]) -> Literal["running", "paused", "stopped"]:
    if state.get("Paused"):
        return "paused"
    return "running" if state.get("Running") and not state.get("Restarting") else "stopped"


def _health(state: Mapping[str, Any]) -> str:
    """The engine's own check; "" where the container declares none."""
    word = str((state.get("Health") or {}).get("Status", ""))
    return word if word in ("healthy", "unhealthy", "starting") else ""


def _mounts(held: Mapping[str, Any]) -> tuple[Mount, ...]:
    return tuple(
        Mount(str(one.get("Destination", "")), str(one.get("Source") or ""))
        for one in held.get("Mounts") or ()
    )


def runtimes_from(told: Options) -> list[Runtime]:
    """The runtimes that a host's agent serves."""
    return [DockerRuntime(told.docker_host)]
