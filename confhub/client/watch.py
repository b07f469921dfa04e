"""One process's view of its configuration: taken release by release, by one thread, or refused."""

import contextlib
import logging
import os
import socket
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from confhub.client.errors import BadValue, NoConfiguration
from confhub.client.reports import Report
from confhub.client.snapshot import Change, Snapshot
from confhub.client.sources import Source
from watchers.wire.canonical import Json

log = logging.getLogger("confhub.client")
T = TypeVar("T")
Callback = Callable[[Snapshot, Snapshot, frozenset[str]], object]
TAKE_BACK_S = 3.0  # for whoever delivers to show the last good release again
FORK_S = 2.0  # a fork waits as long for a release that is being taken
JOIN_S = 2.0
AGAIN_S = 5.0  # after something that nobody foresaw


class Watch:
    """Holds the newest release that this process accepts. Reading it takes no lock."""

    def __init__(self, source: Source, wait_s: float) -> None:
        self.source, self._wait_s = source, wait_s
        self._held: Snapshot | None = None
        self._moment = ""
        self.trouble = ""  # why a newer release was not taken, until another one is
        self._is_behind = False  # the directory shows a release that was refused here
        self._models: dict[type, None] = {}
        self._callbacks: list[Callback] = []
        self._wakes: set[Callable[[], object]] = set()
        self._at_start: dict[str, Json] = {}  # {entry: its value when it was read once and for all}
        self._pinned: ContextVar[Snapshot | None] = ContextVar("confhub.pinned", default=None)
        self._stop = False
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        """What belongs to one process: locks, the thread and how it is woken."""
        self.busy = threading.RLock()  # held while a release is taken
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    @property
    def current(self) -> Snapshot:
        """The release that this thread or task shall see. Raises NoConfiguration at the first use."""
        pinned = self._pinned.get()
        if pinned is not None:
            return pinned
        return self.start() if self._held is None else self._held

    @contextlib.contextmanager
    def pinned(self, snapshot: Snapshot) -> Iterator[Snapshot]:
        """Within it, this thread or task sees `snapshot`, whatever comes."""
        token = self._pinned.set(snapshot)
        try:
            yield snapshot
        finally:
            self._pinned.reset(token)

    def load(self, model: type[T]) -> T:
        """The current release as a `model`, which each later release must be able to become.

        A release that cannot is reported. Where it is then taken back, the one before is loaded.
        Raises BadValue, TypeError.
        """
        for _ in range(3):
            snapshot = self.current
            try:
                made: T = (
                    snapshot.built[model] if model in snapshot.built else snapshot.build(model)
                )
            except BadValue as error:
                if not self._is_taken_back(snapshot, error):
                    raise
                continue
            snapshot.built[model] = made
            self._models[model] = None
            if self.current is snapshot:  # or it came in between, and was not asked for this model
                return made
        return self.current.build(model)

    def _is_taken_back(self, snapshot: Snapshot, error: BadValue) -> bool:
        log.error("release %s is not what this program needs: %s", snapshot.release, error)
        self._report(snapshot, str(error))
        if not self.source.takes_back or self._pinned.get() is not None:
            return False
        with self._news:
            return self._news.wait_for(lambda: self._held is not snapshot, TAKE_BACK_S)

    def read_at_start(self, key: str) -> None:
        """Remember that the program reads `key` once, so that a change of it waits for a restart."""
        snapshot = self.current
        self._at_start[key] = snapshot.get(key)

    # ── being told ────────────────────────────────────────────────────────────────────────────

    def call(self, callback: Callback) -> None:
        self.start()
        self._callbacks.append(callback)

    def wait_for_other(self, seen: Snapshot, timeout_s: float | None) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self._held is not seen, timeout_s)

    def wake_also(self, wake: Callable[[], object]) -> None:
        """Have `wake` called, in our thread, whenever a release was taken."""
        self._wakes.add(wake)

    def wake_no_more(self, wake: Callable[[], object]) -> None:
        self._wakes.discard(wake)

    # ── the thread ────────────────────────────────────────────────────────────────────────────

    def start(self) -> Snapshot:
        """Read the first release and begin to look for others. Raises NoConfiguration."""
        with self.busy:
            if self._held is None:
                self.source.open(self._wait_s)
                self._moment = self.source.files.moment()
                self._held = self.source.files.read()
                self._report(self._held)
            self._begin()
            return self._held

    def _begin(self) -> None:
        if self._thread is None and not self._stop:
            self._wake = socket.socketpair()
            self._thread = threading.Thread(
                target=self._run, args=(self._wake,), name="confhub", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Look no more; what is held stays readable."""
        self._stop = True
        thread, wake = self._thread, self._wake
        if wake is not None and thread is not None:
            with contextlib.suppress(OSError):  # the thread has ended by itself meanwhile
                wake[1].send(b".")
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        self._thread = None
        self.source.close()

    @property
    def is_closed(self) -> bool:
        return self._stop

    def _run(self, wake: tuple[socket.socket, socket.socket]) -> None:
        while not self._stop:
            try:
                self.source.wait(wake[0].fileno())
                with self.busy:
                    self._look()
            except Exception:
                log.exception(
                    "looking for a release stumbled"
                )  # and must go on, or none ever comes
                time.sleep(AGAIN_S)
        for end in wake:
            end.close()

    def _look(self) -> None:
        moment = self.source.files.moment()
        if not moment or moment == self._moment or self._stop or self._held is None:
            return
        self._moment = moment
        try:
            shown = self.source.files.read()
        except NoConfiguration as error:
            log.warning("release not read: %s", error)
            return
        if shown.generation == self._held.generation:
            self._is_behind = False  # it was taken back
            self._report(self._held)
        else:
            self._take(shown, self._held)

    def _take(self, new: Snapshot, old: Snapshot) -> None:
        """Have everything that depends on the configuration accept `new`, or keep `old`."""
        told: list[Callback] = []
        try:
            for model in list(self._models):
                new.built[model] = new.build(model)
            self._call(list(self._callbacks), new, old, told)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # _refuse logs and reports it
            self._refuse(new, old, told, error)
            return
        with self._news:
            self._held, self.trouble, self._is_behind = new, "", False
            self._news.notify_all()
        log.info("release %s is loaded", new.release)
        self._report(new)
        for wake in list(self._wakes):
            try:
                wake()
            except RuntimeError:  # its event loop has ended
                self._wakes.discard(wake)

    def _call(
        self, callbacks: list[Callback], new: Snapshot, old: Snapshot, told: list[Callback]
    ) -> None:
        keys = Change(new, old).keys
        with self.pinned(new):
            for callback in callbacks:
                callback(new, old, keys)
                told.append(callback)

    def _refuse(
        self, new: Snapshot, old: Snapshot, told: list[Callback], error: BaseException
    ) -> None:
        text = str(error)
        if not isinstance(error, BadValue):
            text = new.without_values(old.without_values(f"{type(error).__name__}: {error}"))
        self.trouble, self._is_behind = f"Release {new.release} is refused: {text}", True
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error(
            "release %s is refused, %s is kept: %s\n%s", new.release, old.release, text, frames
        )
        for callback in reversed(told):
            try:
                self._call([callback], old, new, [])
            except (Exception, SystemExit):
                log.exception("a callback did not take release %s back", old.release)
        self._report(new, text)

    def _report(self, snapshot: Snapshot, error: str = "") -> None:
        pending = tuple(key for key, value in self._at_start.items() if snapshot.get(key) != value)
        self.source.report(Report(snapshot.release, snapshot.generation, not error, error, pending))

    def report_again(self) -> None:
        """Say once more what is loaded: a worker that has just become ready, say."""
        with self.busy:
            if self._held is not None and not self._is_behind:
                self._report(self._held)

    # ── forks ─────────────────────────────────────────────────────────────────────────────────

    def go_on_in_child(self) -> None:
        """Only the forking thread lives here: make anew what the others held."""
        had_thread, wake = self._thread is not None, self._wake
        self._renew()
        self._wakes = set()  # event loops of the parent
        for end in wake or ():
            end.close()
        self.source.abandon()
        if had_thread:
            self._begin()


_all: "weakref.WeakSet[Watch]" = weakref.WeakSet()
_forking = threading.local()  # .locked: what the thread that forks holds


def all_watches() -> list[Watch]:
    """Every one of this process."""
    return list(_all)


def _before_fork() -> None:
    """Let no release be taken meanwhile, so that the child finds everything whole."""
    _forking.locked = [watch.busy for watch in all_watches() if watch.busy.acquire(timeout=FORK_S)]


def _after_in_parent() -> None:
    for lock in _forking.__dict__.pop("locked", ()):
        lock.release()


def _after_in_child() -> None:
    _forking.__dict__.pop("locked", None)
    for watch in all_watches():
        watch.go_on_in_child()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
