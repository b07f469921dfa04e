"""What one follower knows: the keys as they stood when read, and what the watch has told since.

The watch's thread adds, the follower's thread takes. What waits in between is one entry a key, so a
follower that is busy for long costs no more memory than the keys themselves.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from watchers.etcd.operations import Stored, name_of, stored
from watchers.etcd.reads import Read

COUNTS_KEPT = 10_000  # events that may pass between a poll's answer and its comparison


class ReadAnew(Exception):
    """What is known cannot be carried on from: compacted, wiped, restored, another epoch."""


class Ledger:
    """The keys below one prefix from one read on."""

    def __init__(
        self, read: Read, *, wanted: Callable[[str], bool] | None, epoch_key: str | None
    ) -> None:
        self.keys = read.keys  # changed by the follower's thread only
        self.epoch = read.epoch
        self.revision = read.revision  # `keys` is complete up to here
        self.proven = read.revision  # up to here a read, not only the watch, says so
        self.is_accepted = False  # the server has confirmed the watch
        self._wanted = wanted
        self._epoch_key = epoch_key
        self._told = read.revision  # the watch has told everything up to here
        self._waiting: dict[str, Stored | None] = {}  # None: deleted
        self._count = read.count
        self._counts = deque([(read.revision, read.count)], maxlen=COUNTS_KEPT)
        self._ended: Exception | None = None
        self._woken = False
        self._changed = threading.Condition()

    # The watch's thread

    def accept(self) -> None:
        with self._changed:
            self.is_accepted = True
            self._changed.notify_all()

    def add(self, events: Iterable[Any]) -> None:
        """Take the events of one answer, which holds whole revisions, in their order.

        Events of a revision already told are dropped: some servers repeat or step back
        (https://github.com/etcd-io/etcd/issues/15220).
        """
        with self._changed:
            told = self._told
            for event in events:
                if event.kv.mod_revision <= told:
                    continue
                self._told = max(self._told, event.kv.mod_revision)
                self._add_one(event)
            if self._told == told:
                return
            if self._waiting or self._ended:
                self._changed.notify_all()

    def _add_one(self, event: Any) -> None:
        is_delete = event.type == event.DELETE
        if is_delete:
            self._count -= 1
        elif event.kv.version == 1:
            self._count += 1
        self._counts.append((event.kv.mod_revision, self._count))
        key = name_of(event.kv)
        if key == self._epoch_key:
            word = None if is_delete else event.kv.value.decode(errors="replace")
            if word != self.epoch:
                self._ended = ReadAnew()
        if self._wanted is not None and not self._wanted(key):
            return
        if not is_delete:
            self._waiting[key] = stored(event.kv)
        elif key in self.keys:
            self._waiting[key] = None
        else:
            self._waiting.pop(key, None)  # came and went: nobody needs to know

    def end(self, why: Exception) -> None:
        """The watch is over; the follower's thread raises `why` once it has taken what was told."""
        with self._changed:
            self._ended = self._ended or why
            self._changed.notify_all()

    # Any thread

    def wake(self) -> None:
        """Let whoever waits look whether it shall go on."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    # The follower's thread

    def wait(self, timeout_s: float) -> None:
        """Return once there is something to take, the watch has ended, or time is up."""
        with self._changed:
            if not self._waiting and self._ended is None and not self._woken:
                self._changed.wait(timeout_s)
            self._woken = False

    def take(self) -> frozenset[str]:
        """Bring `keys` up to what was told; return the keys that this changed."""
        with self._changed:
            waiting, self._waiting = self._waiting, {}
            for key, value in waiting.items():
                if value is None:
                    del self.keys[key]
                else:
                    self.keys[key] = value
            self.revision = max(self.revision, self._told)
        return frozenset(waiting)

    def raise_if_ended(self) -> None:
        with self._changed:
            if self._ended is not None:
                raise self._ended

    def agrees_with(self, poll: Any, revision: int) -> bool:
        """True once what was told makes up what a poll found at `revision`.

        `poll` is a range's answer: `count` of all keys, and in `kvs` each key written since
        `proven`. A key missed since then differs there; a deletion missed differs in the count.
        """
        with self._changed:
            newest = max((kv.mod_revision for kv in poll.kvs), default=0)
            count: int = poll.count
            if self._told < newest or self._count_at(revision) != count:
                return False
            if not all(self._has(kv, revision) for kv in poll.kvs):
                return False
            self._told = max(self._told, revision)
            self._counts.append((self._told, self._count))
            self.proven = revision
            return True

    def _has(self, kv: Any, revision: int) -> bool:
        key = name_of(kv)
        if self._wanted is not None and not self._wanted(key):
            return True
        held = self._waiting.get(key, self.keys.get(key))
        if held is None:
            return self._told > revision  # deleted after the poll
        return bool(held.mod_revision >= kv.mod_revision)

    def _count_at(self, revision: int) -> int | None:
        """How many keys there were at `revision`, by what the watch told."""
        for told_at, count in reversed(self._counts):
            if told_at <= revision:
                return count
        return None
