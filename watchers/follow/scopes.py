"""One service in one environment as etcd says it now, followed by a thread of its own."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from watchers.etcd import Etcd, EtcdError, Snapshot, Stored
from watchers.follow.cache import BadCache, Cache
from watchers.health import Pulse
from watchers.metrics import WATCH_RESTARTS
from watchers.stopping import Stop
from watchers.wire.documents import BadDocument, Pointer, ReleaseDocument, Rollout, target_of
from watchers.wire.keyspace import Keyspace, ScopeKeys

log = structlog.get_logger("watchers.scopes")
POLL_S = 30.0
AGAIN_S = 5.0  # after something that nobody foresaw
ALIVE_S = 120.0  # a poll is due three times within it


@dataclass(frozen=True)
class Unusable:
    """A release that is asked for and cannot be taken; whoever runs another one keeps it."""

    release: int
    reason: str


@dataclass(frozen=True)
class Wanted:
    """What an instance shall run, complete and checked."""

    document: ReleaseDocument
    from_pointer: bool  # and not from a rollout, which may lead back to an older release


@dataclass(frozen=True)
class View:
    """A scope at one revision of the store. Everything in it was read together."""

    service: str
    environment: str
    epoch: str | None
    pointer: Pointer | None = None
    rollout: Rollout | None = None
    documents: Mapping[int, ReleaseDocument | Unusable] = field(default_factory=dict)
    unreadable: str = ""  # why `current` or `rollout` cannot be believed
    cached: str = (
        ""  # that this is not etcd's word but what was kept here, as a sentence; "" = it is
    )

    def target(self, instance_id: str) -> int | None:
        """The release number that `instance_id` shall run; None where that is not known."""
        return target_of(instance_id, current=self.pointer, rollout=self.rollout)

    def wanted(self, instance_id: str) -> Wanted | Unusable | None:
        """None means that nothing is said: never published, or the store was wiped."""
        number = self.target(instance_id)
        if number is None:
            return None
        held = self.documents.get(number)
        from_pointer = self.rollout is None or not self.rollout.admits(instance_id)
        if held is None:
            return Unusable(
                number, f"Release {number} is asked for, but its document is not in etcd."
            )
        if isinstance(held, Unusable):
            return held
        if from_pointer and self.pointer is not None and held.checksum != self.pointer.checksum:
            return Unusable(
                number,
                f"current says that release {number} has {self.pointer.checksum}, but its document "
                f"has {held.checksum}.",
            )
        return Wanted(held, from_pointer)


class Follower:
    """Follows one scope and tells `seen` each new View, until it is stopped."""

    def __init__(
        self,
        etcd: Etcd,
        keyspace: Keyspace,
        *,
        scope: tuple[str, str],
        seen: Callable[[View], None],
        pulse: Pulse,
        cache: Cache | None = None,
    ) -> None:
        """`cache`: what is told where etcd is silent from the start."""
        self.service, self.environment = scope
        self.trouble: str | None = None  # why the store is not heard at the moment
        self._etcd, self._seen, self._pulse = etcd, seen, pulse
        self._cache = cache  # None once something was told
        self._keys: ScopeKeys = keyspace.scope(*scope)
        self._epoch_key = keyspace.epoch
        self._has_read = False
        self._read: dict[int, tuple[int, ReleaseDocument | Unusable]] = {}
        self._stop = Stop()
        self._name = f"scope {self.environment}/{self.service}"
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._beat()
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception:
                # A scope that nobody follows would stay as it is for ever.
                log.exception("scope.stumbled", scope=self._name)
                self._stop.wait(AGAIN_S)
        self._pulse.end(self._name)

    def _follow(self) -> None:
        for snapshot in self._etcd.follow(
            f"{self._keys.root}/",
            stop=self._stop,
            poll_s=POLL_S,
            wanted=self._is_wanted,
            epoch_key=self._epoch_key,
            on_trouble=self._on_trouble,
        ):
            self._take(snapshot)

    def _beat(self) -> None:
        self._pulse.beat(self._name, within_s=ALIVE_S)

    def _is_wanted(self, key: str) -> bool:
        return key in (self._keys.current, self._keys.rollout) or key.startswith(
            self._keys.releases
        )

    def _on_trouble(self, error: EtcdError) -> None:
        self._beat()  # the loop lives, though etcd does not answer it
        if self._cache is not None:
            self._tell_kept(self._cache)
            self._cache = None
        if self.trouble is None:
            log.warning("store.silent", scope=self._name, reason=str(error))
        self.trouble = str(error)

    def _take(self, snapshot: Snapshot) -> None:
        self._beat()
        if self.trouble is not None:
            log.info("store.heard", scope=self._name, revision=snapshot.revision)
            self.trouble = None
        if snapshot.anew and self._has_read:
            WATCH_RESTARTS.add()
        self._has_read = True
        self._cache = None
        if snapshot.changed or snapshot.anew:
            self._seen(self._view(snapshot))

    def read_once(self) -> View:
        """The scope as it is now, for whoever does not follow it. Raises EtcdError."""
        epoch, _ = self._etcd.get(self._epoch_key)
        keys, revision = self._etcd.read_prefix(f"{self._keys.root}/")
        return self._view(
            Snapshot(revision, keys, frozenset(), True, epoch.value.decode() if epoch else None)
        )

    def _tell_kept(self, cache: Cache) -> None:
        """Tell what this machine kept of the scope, for an instance that has no files at all."""
        try:
            kept = cache.load(self.service, self.environment)
        except (BadCache, OSError) as error:
            log.error("cache.rejected", scope=self._name, reason=str(error))
            return
        if kept is None:
            return
        document = kept.document
        self._seen(
            View(
                self.service,
                self.environment,
                None,
                Pointer(document.release, document.checksum, document.created_at),
                documents={document.release: document},
                cached=f"etcd does not answer: release {document.release} is from the cache, "
                f"{kept.age}.",
            )
        )

    def _view(self, snapshot: Snapshot) -> View:
        pointer, rollout, unreadable = None, None, ""
        try:
            if held := snapshot.keys.get(self._keys.current):
                pointer = Pointer.from_bytes(held.value)
            if held := snapshot.keys.get(self._keys.rollout):
                rollout = Rollout.from_bytes(held.value)
        except BadDocument as error:
            # Half of the truth would send instances somewhere, so nobody is sent anywhere.
            pointer, rollout, unreadable = None, None, str(error)
            log.warning("scope.unreadable", scope=self._name, reason=unreadable)
        numbers = {number for number in (
            pointer and pointer.release, rollout and rollout.release, rollout and rollout.baseline
        ) if number}  # fmt: skip
        return View(
            self.service,
            self.environment,
            snapshot.epoch,
            pointer,
            rollout,
            {
                number: self._document(number, held)
                for number in numbers
                if (held := snapshot.keys.get(self._keys.release(number)))
            },
            unreadable,
        )

    def _document(self, number: int, held: Stored) -> ReleaseDocument | Unusable:
        """The checked document; each one written is parsed and hashed once."""
        known = self._read.get(number)
        if known is None or known[0] != held.mod_revision:
            while (
                len(self._read) > 4
            ):  # two releases and their neighbours are all that is asked for
                self._read.pop(min(self._read))
            known = self._read[number] = (held.mod_revision, self._checked(number, held.value))
        return known[1]

    def _checked(self, number: int, raw: bytes) -> ReleaseDocument | Unusable:
        try:
            document = ReleaseDocument.from_bytes(raw)
        except BadDocument as error:
            return Unusable(number, f"{error}.")
        said = (document.service, document.environment, document.release)
        if said != (self.service, self.environment, number):
            return Unusable(
                number,
                f"The document at {self._keys.release(number)} says that it is release {said[2]} of "
                f"{said[0]} in {said[1]}.",
            )
        return document
