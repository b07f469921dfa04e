"""Processes of this machine by what cannot be mistaken: boot, pid and start time, held by a pidfd.

https://man7.org/linux/man-pages/man2/pidfd_open.2.html
https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from watchers import moments

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessId:
    """One process, told from every other one that had or will have the same pid."""

    boot: str
    pid: int
    start_ticks: int  # since boot; field 22 of /proc/<pid>/stat

    def started_after(self, moment_ns: int) -> bool:
        """True when it certainly began later than `moment_ns` on the boot clock.

        A tick is about 10 ms and is rounded down, so a process of the same tick counts as earlier.
        """
        return self.start_ticks * 1_000_000_000 // _TICKS_PER_S > moment_ns


class Gone(Exception):
    """The process has ended, or another one has its pid now."""


class NotAllowed(Exception):
    """The kernel refuses to let this user signal the process."""


def identify(pid: int) -> ProcessId | None:
    """The process that has `pid` now, or None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in parentheses and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None  # ended; only its exit code is still waiting for its parent
    return ProcessId(moments.boot_id(), pid, int(fields[19]))


class Handle:
    """An open pidfd. Close it; a `with` block does."""

    def __init__(self, process: ProcessId) -> None:
        """Raises Gone unless exactly `process` is alive."""
        try:
            self._fd = os.pidfd_open(process.pid)
        except ProcessLookupError as error:
            raise Gone(f"process {process.pid} has ended") from error
        self.process = process
        # Only now: between the look and the open, the pid could have gone to another process.
        if identify(process.pid) != process:
            self.close()
            raise Gone(f"process {process.pid} has ended")

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def send(self, number: int) -> None:
        """Send signal `number`, or with 0 only ask whether it could be. Raises Gone, NotAllowed."""
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError as error:
            raise Gone(f"process {self.process.pid} has ended") from error
        except PermissionError as error:
            raise NotAllowed(
                f"This agent may not signal process {self.process.pid}: it runs as user "
                f"{os.geteuid()} without CAP_KILL. Run it as root, as the process's own user, or "
                "give it that capability."
            ) from error

    def ended(self, within_s: float = 0.0) -> bool:
        """True as soon as the process has ended, False when it has not within `within_s`."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(within_s * 1000))


def catches(pid: int, number: int) -> bool | None:
    """Whether `pid` has a handler for the signal, by SigCgt; None when it cannot be read.

    Clear means that the signal would be ignored or would end the process; set is no promise
    that it reloads anything.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in lines.splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return None


def uptime_s(process: ProcessId) -> float:
    """Seconds since `process` began."""
    return moments.boot_ns() / 1e9 - process.start_ticks / _TICKS_PER_S
