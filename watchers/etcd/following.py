"""follow(): read where things stand, watch from there, and never believe the watch alone.

read anew ──► watch from the revision behind ──► snapshot for each change
    ▲                │ stream ended, compacted, other epoch, revision fell,
    └── back off ◄───┘ poll unanswered or found something that the watch did not tell
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from watchers.etcd.connection import Connection
from watchers.etcd.errors import Compacted, EtcdError, Unreachable
from watchers.etcd.ledger import Ledger, ReadAnew
from watchers.etcd.operations import Stored, prefix_end
from watchers.etcd.reads import ask_with_epoch, range_message, read_prefix
from watchers.etcd.stream import Stream
from watchers.stopping import Stop

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 3.0  # with gRPC's own 2 s a server that is back is found within 5 s
STEADY_S = 5.0  # a watch that lived this long was not a failure; the next delay is short again
GLANCE_S = 0.25  # how often a quiet follower looks whether it shall stop; with a Stop it need not
ASK_AGAIN_S = 0.5
CATCH_UP_S = 2.0  # how long the watch may be behind a poll before it counts as deaf


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything wanted below the prefix, at one revision."""

    revision: int  # complete up to this store revision
    keys: Mapping[str, Stored]  # the live mapping: read it before asking for the next, keep none
    changed: frozenset[str]  # put or deleted since the last snapshot; empty: a poll found it true
    anew: bool  # read from scratch: first, after compaction, a lost watch, a wipe or a restore
    epoch: str | None  # the value of `epoch_key`, where it was asked for


@dataclass(frozen=True, slots=True)
class Follow:
    """What is followed, and how."""

    connection: Connection
    prefix: str
    stop: threading.Event
    poll_s: float
    wanted: Callable[[str], bool] | None
    epoch_key: str | None
    on_trouble: Callable[[EtcdError], None] | None

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield until `stop` is set; trouble is told to `on_trouble` and outlasted."""
        known: dict[str, Stored] = {}
        failures = 0
        while not self.stop.is_set():
            started = time.monotonic()
            try:
                ledger = self._read()
                stream = Stream(self.connection, self.prefix, ledger)
                try:
                    changed = _difference(known, ledger.keys)
                    known = ledger.keys
                    yield self._snapshot(ledger, changed, anew=True)
                    yield from self._carry_on(ledger)
                finally:
                    stream.close()
            except (ReadAnew, Compacted):
                pass  # a step of the work, not trouble
            except EtcdError as error:
                if self.on_trouble is not None:
                    self.on_trouble(error)
            failures = 1 if time.monotonic() - started > STEADY_S else failures + 1
            self.stop.wait(_delay_s(failures))

    def _read(self) -> Ledger:
        read = read_prefix(
            self.connection, self.prefix, wanted=self.wanted, epoch_key=self.epoch_key
        )
        return Ledger(read, wanted=self.wanted, epoch_key=self.epoch_key)

    def _carry_on(self, ledger: Ledger) -> Iterator[Snapshot]:
        """Yield what the watch tells and the polls confirm, until `stop` or until it raises."""
        accept_by = time.monotonic() + self.connection.timeout_s
        poll_at = self._next_poll()
        while not self.stop.is_set():
            self._await_news(ledger, until=poll_at if ledger.is_accepted else accept_by)
            if changed := ledger.take():
                yield self._snapshot(ledger, changed)
            else:
                ledger.raise_if_ended()  # only once all that it told before is taken
            if not ledger.is_accepted and time.monotonic() > accept_by:
                raise Unreachable(f"etcd at {self.connection.name} did not confirm the watch.")
            if time.monotonic() >= poll_at:
                # Not only when it is quiet: a prefix that is never quiet needs its proof as well.
                self._poll(ledger)
                yield self._snapshot(ledger, ledger.take())
                poll_at = self._next_poll()

    def _await_news(self, ledger: Ledger, *, until: float) -> None:
        """Return once there is something to take or to do, `stop` is set, or the time is up."""
        rest_s = max(0.0, until - time.monotonic())
        if not isinstance(self.stop, Stop):
            ledger.wait(min(GLANCE_S, rest_s))
            return
        with self.stop.waking(ledger.wake):
            if not self.stop.is_set():
                ledger.wait(rest_s)

    def _poll(self, ledger: Ledger) -> None:
        """Ask the store what was written since the last proof, and make sure that we know it."""
        message = range_message(
            self.prefix.encode(),
            prefix_end(self.prefix),
            min_mod_revision=ledger.proven + 1,
            keys_only=True,
        )
        deadline = time.monotonic() + CATCH_UP_S
        while not self.stop.is_set():
            revision, found, epoch = ask_with_epoch(self.connection, message, self.epoch_key)
            if revision < ledger.revision or epoch != ledger.epoch:
                raise ReadAnew
            ask_again_at = time.monotonic() + ASK_AGAIN_S
            while time.monotonic() < ask_again_at and not self.stop.is_set():
                if ledger.agrees_with(found, revision):
                    return
                ledger.raise_if_ended()
                self.stop.wait(0.01)  # what the poll saw may still be on the watch's way
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"etcd at {self.connection.name} has changes below {self.prefix} up to "
                    f"revision {revision} that its watch did not tell. It is read anew."
                )

    def _snapshot(self, ledger: Ledger, changed: frozenset[str], *, anew: bool = False) -> Snapshot:
        keys = MappingProxyType(ledger.keys)
        return Snapshot(ledger.revision, keys, changed, anew, ledger.epoch)

    def _next_poll(self) -> float:
        """Spread by a third either way, so that many followers do not ask in step."""
        return time.monotonic() + self.poll_s * random.uniform(2 / 3, 4 / 3)  # noqa: S311


def _difference(old: Mapping[str, Stored], new: Mapping[str, Stored]) -> frozenset[str]:
    return frozenset(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _delay_s(failures: int) -> float:
    """A random wait whose limit doubles with each failure in a row."""
    limit_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 8))
    return random.uniform(0, limit_s)  # noqa: S311  # spreads load, keeps no secret
