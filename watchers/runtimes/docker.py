"""Containers of one engine, found by their labels.

Subscribes first, then lists, then lists again whenever an event or the clock says so; events only
make it look sooner. The engine is asked with GET alone: files go through the file system, signals
through the kernel (docs/decisions/0006-signals-not-the-engine.md).
"""

import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

import structlog

from watchers import moments
from watchers.inside import Inside
from watchers.labels import PREFIX, Read, Wishes, read_labels
from watchers.options import Options
from watchers.processes import ProcessId
from watchers.runtimes import events, inhabitants, mounts
from watchers.runtimes.base import Beat, CannotReach, Report, Runtime, Workload
from watchers.runtimes.container import ContainerInside, detail_of, health_of
from watchers.runtimes.container import Detail as Detail
from watchers.runtimes.engine import Engine, EngineAway
from watchers.runtimes.events import Seen
from watchers.runtimes.inhabitants import NotHere
from watchers.runtimes.mounts import Mount
from watchers.stopping import Stop
from watchers.swap.disk import Directory
from watchers.wire.names import SLUG
from watchers.wire.status import Status

log = structlog.get_logger("watchers.docker")
ARCHIVE = (
    "Where it cannot be reached otherwise, the engine may put files into it, given "
    "CONFHUB_ENGINE_ALLOWS=archive."
)
LOOK_S = 60.0  # every container is inspected again, whatever the events said
NAMED_LOOK_S = 2.0  # a program within a container comes and goes without an event
GATHER_S = 0.01  # events come in flocks: kill, die, stop, start
FLOCK = 5  # looks that follow each other closely; with more of them it is a flood,
FLOOD_S = 0.1  # and one look serves all of this time
MAX_DIRTY = 1000  # containers that events named; with more of them everything is looked at
AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # until the engine is back


class DockerRuntime:
    """The labelled containers of the engine at `address`."""

    name = "docker"

    def __init__(
        self, address: str, *, id_prefix: str = "", allows: frozenset[str] = frozenset()
    ) -> None:
        """`address` as in DOCKER_HOST: "unix:///var/run/docker.sock"; `id_prefix` before each id.

        `allows` is what the engine may be asked to do beside telling: options.ENGINE_ACTS.
        """
        self._allows = allows
        self.reachable: bool | None = None  # whether it answered when it was last asked
        self._address, self._id_prefix = address, id_prefix
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
        self._looked_at = float("-inf")
        self._hurried = 0  # looks in a row that each came soon after the one before

    # ── asked by the agent ────────────────────────────────────────────────────────────────────

    def run(self, stop: Stop, report: Report, beat: Beat) -> None:
        listener = threading.Thread(
            target=self._listen, args=(stop,), name="docker-events", daemon=True
        )
        listener.start()
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
        listener.join(2)

    def look_again(self) -> None:
        with self._news:
            self._everything = True
            self._news.notify_all()

    def look_once(self) -> list[Workload]:
        """Every labelled container as it is now, for whoever does not `run`. Raises EngineAway."""
        self._look(everything=True)
        return list(self._held.values())

    def labels_of(self, word: str) -> dict[str, str] | None:
        """The ConfHub labels of the container with this name or id; None where there is no such.

        Raises EngineAway.
        """
        for one in self._engine.containers():
            names = [name.lstrip("/") for name in one.get("Names") or ()]
            if word in names or (len(word) >= 3 and one["Id"].startswith(word)):
                labels: Mapping[str, str] = one.get("Labels") or {}
                return {name: text for name, text in labels.items() if name.startswith(PREFIX)}
        return None

    def close(self) -> None:
        """Close the connection of look_once."""
        self._engine.close()

    def directory(self, workload: Workload) -> Directory:
        detail: Detail = workload.detail
        path = workload.wishes.directory if workload.wishes else ""
        if workload.wishes and workload.wishes.deliver == "copy":
            return self._copied(workload, path)
        opened = mounts.open_delivered(
            path,
            detail.mounts,
            name=detail.name,
            first=detail.first,
            shares_files=lambda: mounts.shares_files_with(self._address),
        )
        return Directory(
            opened.descriptor,
            f"{path} of {detail.name}",
            seen_from_inside=opened.seen_from_inside,
        )

    def _copied(self, workload: Workload, path: str) -> Directory:
        """A directory in the container's own files. Raises CannotReach, CannotWrite."""
        detail: Detail = workload.detail
        name = f"{path} of {detail.name}"
        try:
            opened = mounts.open_copied(path, name=detail.name, first=detail.first)
        except CannotReach as error:
            if "archive" not in self._allows or not mounts.is_out_of_reach(detail.first):
                raise CannotReach(f"{error} {ARCHIVE}") from error
            # Here, because Docker's client is large and few containers need it.
            from watchers.runtimes.archives import Archived, Archives

            return Archived(Archives(self._address), detail.full_id, path, name)
        return Directory(opened.descriptor, name, seen_from_inside=True)

    def inside(self, workload: Workload) -> Inside:
        detail: Detail = workload.detail
        directory = workload.wishes.directory if workload.wishes else ""
        return ContainerInside(self._address, detail, directory, self._allows)

    def told(self, status: Status) -> None:
        """A container needs nothing from here: it has its files."""

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def _listen(self, stop: Stop) -> None:
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
            elif (seen := events.read(event)) is None or self._is_known(seen):
                return
            else:
                self._note_ending(seen)
                self._dirty.add(seen.full_id)
                if len(self._dirty) > MAX_DIRTY:
                    self._dirty.clear()
                    self._everything = True
            self._news.notify_all()

    def _is_known(self, seen: Seen) -> bool:
        """True for a health probe that says what the one before it said: podman tells each of them."""
        held = self._held.get(seen.full_id)
        return bool(seen.health) and held is not None and held.health == seen.health

    def _note_ending(self, seen: Seen) -> None:
        """Remember whether a container's process ended because somebody told the engine so."""
        full_id, is_podman = seen.full_id, self._engine.kind == "podman"
        if seen.asks_to_end or (
            is_podman and seen.action == "restart"
        ):  # docker says it afterwards
            self._ending.add(full_id)
        elif seen.action == "start":
            self._ending.discard(full_id)
        elif seen.is_end:
            is_asked = full_id in self._ending or (is_podman and seen.looks_asked)
            (self._was_asked.add if is_asked else self._was_asked.discard)(full_id)
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
            is_soon = time.monotonic() - self._looked_at < FLOOD_S
            self._hurried = self._hurried + 1 if is_soon else 0
            stop.wait(FLOOD_S if self._hurried > FLOCK else GATHER_S)
        return everything

    def _look(self, everything: bool) -> None:
        """Bring `_held` up to date. Raises EngineAway, having changed nothing that matters."""
        self._looked_at = time.monotonic()
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
            id=f"{self._id_prefix}{full_id[:12]}",
            service=read.service,
            environment=read.environment,
            runtime=self._engine.kind,
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
            health=health_of(state),
            asked_to_stop=full_id in self._was_asked and not state.get("OOMKilled"),
            ending=f"exit code {code}" if code and where == "stopped" else "",
            began_at=began_at,
            lived_s=(ended_at - began_at).total_seconds()
            if where == "stopped" and began_at and ended_at
            else None,
            detail=detail_of(full_id, name, held, _mounts(held), first),
        )

    # ── the engine's absence ──────────────────────────────────────────────────────────────────

    def _say_away(self, error: EngineAway) -> None:
        self.reachable = False
        if not self._failures:
            log.warning("engine.away", reason=str(error))
        self._failures += 1

    def _say_back(self) -> None:
        if self._failures:
            log.info("engine.back", address=self._address)
        self._failures, self.reachable = 0, True


def _chosen(first: ProcessId | None, wishes: Wishes | None, full_id: str) -> ProcessId | None:
    """The process that the labels want told; the container's first one unless they name another."""
    if first is None or wishes is None or wishes.exe is None:
        return first
    return inhabitants.named(wishes.exe, full_id)


def _state(state: Mapping[str, Any]) -> Literal["running", "paused", "stopped"]:
    if state.get("Paused"):
        return "paused"
    return "running" if state.get("Running") and not state.get("Restarting") else "stopped"


def _mounts(held: Mapping[str, Any]) -> tuple[Mount, ...]:
    """Its volumes, and the tmpfs of `--tmpfs`, which the engine lists apart."""
    tmpfs = ((held.get("HostConfig") or {}).get("Tmpfs") or {}).keys()
    return (
        *(
            Mount(str(one.get("Destination", "")), str(one.get("Source") or ""))
            for one in held.get("Mounts") or ()
        ),
        *(Mount(str(path), "") for path in tmpfs),
    )


def runtimes_from(told: Options) -> list[Runtime]:
    """The runtimes that a host's agent serves."""
    return [DockerRuntime(told.docker_host, id_prefix=told.id_prefix, allows=told.engine_allows)]
