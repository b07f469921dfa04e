"""The agent: finds what runs here, follows what it shall run, and brings the two together."""

import fcntl
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog

from watchers import options
from watchers.etcd import Etcd
from watchers.follow.cache import Cache
from watchers.follow.scopes import Follower, View
from watchers.follow.statuses import Statuses
from watchers.health import Pulse
from watchers.instance.memory import Journal
from watchers.instance.thread import Agency, Instance, SharedDirectory
from watchers.metrics import Meter, exposition
from watchers.redact import REDACTOR
from watchers.runtimes.base import Runtime, Workload
from watchers.stopping import Stop
from watchers.unsealing import Secrets
from watchers.wire.documents import ReleaseDocument
from watchers.wire.keyspace import Keyspace
from watchers.wire.status import Status

log = structlog.get_logger("watchers.agent")
RUNTIME_ALIVE_S = 180.0
JOIN_S = 5.0  # threads that are in a call to an engine or to etcd are left to end with the process
STANDBY_S = 0.5
AGAIN_S = 5.0  # after something that nobody foresaw


class _Claims:
    """Who writes into which directory, so that two wishes never fight over one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[tuple[int, int], tuple[object, set[str]]] = {}

    def take(self, instance_id: str, identity: tuple[int, int], purpose: object) -> None:
        with self._lock:
            held, owners = self._taken.setdefault(identity, (purpose, set()))
            if held != purpose and owners - {instance_id}:
                raise SharedDirectory(
                    f"The delivered directory is also that of {', '.join(sorted(owners))}, which "
                    "asks for another service, environment or confhub.files. Mount one of its own."
                )
            self._taken[identity] = (purpose, owners | {instance_id})

    def leave(self, instance_id: str) -> None:
        with self._lock:
            for identity, (purpose, owners) in list(self._taken.items()):
                self._taken[identity] = (purpose, owners - {instance_id})
                if not owners - {instance_id}:
                    del self._taken[identity]


class Agent:
    """Serves every workload that `runtimes` report, until it is stopped.

    Everything is level-triggered: events only make it look sooner. etcd away means that nothing
    new comes; what is on disk stays, and what was begun is finished.
    """

    def __init__(
        self,
        etcd: Etcd,
        keyspace: Keyspace,
        runtimes: Sequence[Runtime],
        state_dir: Path,
        host: str,
        *,
        ends_with_us: bool = False,
        secrets: Secrets | None = None,
    ) -> None:
        """`ends_with_us`: the workloads end with this process, so their keys are taken away then.

        `secrets`: as the environment says where left out. Raises BadOption for that, and OSError
        when `state_dir` cannot be made or written.
        """
        self.pulse = Pulse()
        self._etcd, self._keyspace, self._runtimes = etcd, keyspace, tuple(runtimes)
        self._state_dir, self._ends_with_us = state_dir, ends_with_us
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._statuses = Statuses(etcd, keyspace, self.pulse)
        self._claims = _Claims()
        self._meter = Meter()
        self._cache = Cache(state_dir)
        self._agency = Agency(
            host,
            Journal(state_dir),
            self._claims,
            self.pulse,
            self._publish,
            secrets=options.secrets_from() if secrets is None else secrets,
            keep=self._keep,
        )
        self._lock = threading.RLock()
        self._instances: dict[str, Instance] = {}
        self._seen: dict[str, dict[str, Workload]] = {}  # {runtime: {id: workload}}
        self._followers: dict[tuple[str, str], Follower] = {}
        self._views: dict[tuple[str, str], View] = {}

    # ── asked by others, from any thread ──────────────────────────────────────────────────────

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. One agent at a time per state directory; another stands by."""
        with _only_one(self._state_dir, stop) as is_ours:
            if not is_ours:
                return
            ending = Stop()
            threads = [
                threading.Thread(
                    target=self._serve, args=(runtime, ending), name=runtime.name, daemon=True
                )
                for runtime in self._runtimes
            ]
            writing = threading.Event()
            writer = threading.Thread(
                target=self._statuses.run, args=(writing,), name="status", daemon=True
            )
            for thread in (*threads, writer):
                thread.start()
            stop.wait()
            ending.set()
            self._close()
            writing.set()
            self._statuses.wake()
            for runtime in self._runtimes:
                runtime.look_again()  # and find that it is to stop
            for thread in (*threads, writer):
                thread.join(JOIN_S)
            if self._ends_with_us:
                self._statuses.farewell()

    def look_again(self) -> None:
        """Discover and compare everything now."""
        for runtime in self._runtimes:
            runtime.look_again()
        with self._lock:
            for instance in self._instances.values():
                instance.ask("look")

    def retry(self, instance_id: str) -> bool:
        """Try the release that failed in `instance_id` once more; False for an unknown instance."""
        instance = self._instance(instance_id)
        if instance is not None:
            instance.ask("retry")
        return instance is not None

    def fall_back(self, instance_id: str, timeout_s: float = 10.0) -> bool:
        """Show `instance_id` its last good generation; False where there is none."""
        instance = self._instance(instance_id)
        return instance is not None and instance.fall_back(timeout_s)

    def await_verdict(
        self, instance_id: str, timeout_s: float, *, began_at: datetime | None
    ) -> None:
        """Return once the agent has judged the end of the process that began then."""
        instance = self._instance(instance_id)
        if instance is not None:
            instance.await_verdict(timeout_s, began_at=began_at)

    def silence(self) -> str | None:
        """Why etcd is not heard at the moment, or None."""
        with self._lock:
            return next((f.trouble for f in self._followers.values() if f.trouble), None)

    def not_ready(self) -> list[str]:
        """What was not read a first time yet: runtimes, scopes, and instances without a first look."""
        with self._lock:
            waits = [one.name for one in self._runtimes if one.name not in self._seen]
            waits += [f"{e}/{s}" for s, e in self._followers if (s, e) not in self._views]
            waits += [name for name, held in self._instances.items() if not held.has_looked()]
        return waits

    def standing(self) -> list[Status]:
        """What each instance says of itself now."""
        with self._lock:
            instances = list(self._instances.values())
        return [status for each in instances if (status := each.said()) is not None]

    def reachable(self) -> dict[str, bool]:
        """{runtime: whether it answers}, of those that can be away."""
        found = {one.name: getattr(one, "reachable", None) for one in self._runtimes}
        return {name: bool(is_there) for name, is_there in found.items() if is_there is not None}

    def exposition(self) -> str:
        """The metrics, as Prometheus reads them."""
        return exposition(self, self._meter)

    def _publish(self, status: Status) -> None:
        self._meter.see(status)
        self._statuses.put(status)

    def is_empty(self, service: str, environment: str) -> bool:
        """True when etcd was read and nothing has been published in that scope."""
        with self._lock:
            view = self._views.get((service, environment))
        return view is not None and view.pointer is None and view.rollout is None

    def _instance(self, instance_id: str) -> Instance | None:
        with self._lock:
            return self._instances.get(instance_id)

    # ── what runs here ────────────────────────────────────────────────────────────────────────

    def _serve(self, runtime: Runtime, stop: Stop) -> None:
        def beat() -> None:
            self.pulse.beat(runtime.name, within_s=RUNTIME_ALIVE_S)

        beat()
        while not stop.is_set():
            try:
                runtime.run(stop, lambda workloads: self._found(runtime, workloads), beat)
            except Exception:
                # A runtime that ended would leave its containers unseen for ever.
                log.exception("runtime.stumbled", runtime=runtime.name)
                stop.wait(AGAIN_S)
        self.pulse.end(runtime.name)

    def _found(self, runtime: Runtime, workloads: Sequence[Workload]) -> None:
        """`runtime` has exactly `workloads` now."""
        fresh = {workload.id: workload for workload in workloads}
        with self._lock:
            known = self._seen.get(runtime.name, {})
            self._seen[runtime.name] = fresh
            if len(self._seen) == len(self._runtimes):
                self._agency.journal.keep_only(
                    [name for seen in self._seen.values() for name in (*seen, *known)]
                )
            gone = [self._instances.pop(name) for name in known if name not in fresh]
            for instance in gone:
                instance.stop()
            for workload in workloads:
                self._meet(runtime, workload)
            self._follow_scopes()
        for instance in gone:
            self._bury(instance, known[instance.id])

    def _meet(self, runtime: Runtime, workload: Workload) -> None:
        instance = self._instances.get(workload.id)
        if instance is not None:
            instance.see(workload)
            return
        instance = self._instances[workload.id] = Instance(workload, runtime, self._agency)
        view = self._views.get((workload.service, workload.environment))
        if view is not None:
            instance.consider(view)
        log.info(
            "instance.found",
            instance=workload.id,
            service=workload.service,
            environment=workload.environment,
            problems=list(workload.problems),
        )
        instance.start()

    def _bury(self, instance: Instance, workload: Workload) -> None:
        instance.join(JOIN_S)
        self._claims.leave(instance.id)
        self._agency.journal.forget(instance.id)
        REDACTOR.forget(instance.id)
        self._meter.forget(instance.id)
        self._statuses.drop(workload.service, workload.environment, instance.id)
        log.info("instance.gone", instance=instance.id)

    # ── what they shall run ───────────────────────────────────────────────────────────────────

    def _follow_scopes(self) -> None:
        """One follower for each scope that a workload is in, and none for others."""
        needed = {
            (workload.service, workload.environment)
            for workloads in self._seen.values()
            for workload in workloads.values()
        }
        for scope in needed - self._followers.keys():
            follower = self._followers[scope] = Follower(
                self._etcd,
                self._keyspace,
                scope=scope,
                seen=self._considered,
                pulse=self.pulse,
                cache=self._cache,
            )
            follower.start()
        for scope in self._followers.keys() - needed:
            self._followers.pop(scope).stop()
            self._views.pop(scope, None)

    def _considered(self, view: View) -> None:
        scope = (view.service, view.environment)
        if view.pointer is None:
            self._statuses.doubt()
        with self._lock:
            if scope not in self._followers:
                return
            self._views[scope] = view
            concerned = [
                self._instances[workload.id]
                for workloads in self._seen.values()
                for workload in workloads.values()
                if (workload.service, workload.environment) == scope
            ]
        for instance in concerned:
            instance.consider(view)

    def _keep(self, document: ReleaseDocument) -> None:
        """For a start without etcd."""
        try:
            self._cache.keep(document)
        except OSError as error:
            log.error("cache.not_written", release=document.release, reason=error.strerror)

    def _close(self) -> None:
        with self._lock:
            followers = list(self._followers.values())
            instances = list(self._instances.values())
        for follower in followers:
            follower.stop()
        for instance in instances:
            instance.stop()
        for instance in instances:
            instance.join(JOIN_S)
        for follower in followers:
            follower.join(JOIN_S)


class _only_one:  # noqa: N801  # reads as a phrase in its `with`
    """Holds the state directory's lock; waits for it, because the one before may be ending."""

    def __init__(self, state_dir: Path, stop: threading.Event) -> None:
        self._path, self._stop = state_dir / "lock", stop
        self._fd = -1

    def __enter__(self) -> bool:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        is_told = False
        while not self._stop.is_set():
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not is_told:
                    log.info("agent.stands_by", because=f"another agent holds {self._path}")
                is_told = True
                self._stop.wait(STANDBY_S)
            else:
                return True
        return False

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
