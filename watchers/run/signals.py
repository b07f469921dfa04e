"""Signals, and whatever else the supervisor waits for, in one place: its main thread's."""

import selectors
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Self

# Not ours to pass on: what cannot be caught, what the kernel says of this process's own faults and
# limits, what a terminal says to whoever holds it, and the word that a child has ended.
KEPT = {
    signal.Signals[f"SIG{name}"]
    for name in ("KILL", "STOP", "CHLD", "SEGV", "BUS", "FPE", "ILL", "TRAP", "ABRT", "SYS",
                 "PIPE", "XCPU", "XFSZ", "TSTP", "TTIN", "TTOU")
}  # fmt: skip
FORWARDED = frozenset(int(number) for number in signal.valid_signals()) - KEPT
# What `nohup` and a shell's `&` have ignored stays so, for us and for what we start.
MAY_BE_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


class Interrupted(Exception):
    """We were asked to end while there was no process to pass it on to."""

    def __init__(self, number: int) -> None:
        super().__init__(name_of(number))
        self.number = number


class Signals:
    """Signals as something to wait for. Only the main thread may make one."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        # A handler of our own, because only caught signals are written to the descriptor; and
        # because a child begins with the default for those, not with what we do with them.
        self._before = {
            number: signal.signal(number, lambda *_: None)
            for number in (*sorted(FORWARDED), signal.SIGCHLD)
            if not (number in MAY_BE_IGNORED and signal.getsignal(number) is signal.SIG_IGN)
        }
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._ours, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        self._ours.close()
        self._theirs.close()

    def wake(self) -> None:
        """Have `wait` return. Any thread may ask, also when it is too late."""
        try:
            self._theirs.send(b"\0")
        except OSError:
            return  # nobody waits any more, or there is so much to wake up for already

    def attend(self, sources: Sequence[tuple[int, Callable[[], None]]]) -> None:
        """Call what belongs to a descriptor, from `wait`, whenever it can be read."""
        for descriptor, take in sources:
            self._selector.register(descriptor, selectors.EVENT_READ, take)

    def leave(self, sources: Sequence[tuple[int, Callable[[], None]]]) -> None:
        """Take the last of what they have, and look at them no longer."""
        for descriptor, take in sources:
            take()
            self._selector.unregister(descriptor)

    def wait(self, timeout_s: float) -> list[int]:
        """Those that came, SIGCHLD left out; returns early for any, and for everything else."""
        came: set[int] = set()
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._ours:
                came |= set(self._ours.recv(4096))
            else:
                key.data()
        return sorted(came - {0, signal.SIGCHLD})

    def ending(self, timeout_s: float = 0.0, *, also: Collection[int] = ()) -> int | None:
        """A signal that comes within `timeout_s` and asks us to end; None without one."""
        asks = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, *also}
        return next((number for number in self.wait(timeout_s) if number in asks), None)


def name_of(number: int) -> str:
    """`TERM`, or `RTMIN+3` for one without a name of its own."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"RTMIN+{number - signal.SIGRTMIN}"
