"""Ending a container's first process so that the engine starts the container again by its policy.

The engine is not told, so to it the process ended by itself; a container that the engine was told to
stop stays stopped (docs/decisions/0006-signals-not-the-engine.md).
"""

import contextlib
import signal
from pathlib import Path

import structlog

from watchers import processes
from watchers.inside import CannotRun
from watchers.processes import Gone, Handle, NotAllowed, ProcessId

log = structlog.get_logger("watchers.ending")
STOP_S = 10.0  # the engines' own grace
KILL_S = 30.0  # for the kernel to take a large process apart
BRINGS_BACK = ("always", "unless-stopped")


def why_not(first: ProcessId | None, policy: str) -> str:
    """Why ending the process would not restart the container, or cannot be done; "" where it would."""
    if policy not in BRINGS_BACK:
        return (
            f"its restart policy is {policy or 'no'!r}, so the engine would not start it again "
            "whenever its process ends. Give it restart: always or unless-stopped."
        )
    if first is None:
        return "it does not run."
    try:
        with Handle(first) as handle:
            handle.send(0)
    except Gone:
        return "its process has just ended."
    except NotAllowed as error:
        return str(error)
    return ""


def end(first: ProcessId, stop_signal: str, grace_s: float) -> None:
    """Its stop signal, `grace_s` seconds, then KILL. Returns once it has ended. Raises CannotRun."""
    try:
        with Handle(first) as handle:
            _end(handle, number_of(stop_signal) or signal.SIGTERM, grace_s)
    except Gone:
        return
    except NotAllowed as error:
        raise CannotRun(str(error)) from error


def _end(handle: Handle, number: int, grace_s: float) -> None:
    pid = handle.process.pid
    if _would_be_lost(pid, number):
        log.warning("process.kill", pid=pid, because=f"it has no handler for signal {number}")
    else:
        handle.send(number)
        if handle.ended(grace_s):
            return
        log.warning("process.kill", pid=pid, because=f"it did not end within {grace_s:g} s")
    with contextlib.suppress(Gone):
        handle.send(signal.SIGKILL)
    if not handle.ended(KILL_S):
        raise CannotRun(f"Process {pid} was killed and has not ended within {KILL_S:g} s.")


def _would_be_lost(pid: int, number: int) -> bool:
    """True when the process is the first one of its pid namespace and does not handle the signal."""
    if number == signal.SIGKILL or processes.catches(pid, number) is not False:
        return False
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = [line.split() for line in text.splitlines() if line.startswith("NSpid:")]
    return bool(found) and found[0][-1] == "1"


def poisons(number: int, stop_signal: str, policy: str) -> str:
    """Why this signal through the engine would cost the container its restart policy; "" = it would not.

    After any signal through it the engine holds the container for stopped by hand; after its stop
    signal, or where the image names none, it does not start it again when it next ends.
    """
    if policy == "unless-stopped":
        return (
            "with restart: unless-stopped it would not come back after the engine or the machine "
            "restarts. Write restart: always, or run the agent as root."
        )
    own = number_of(stop_signal)
    if own is None:
        return (
            "it has no stop signal of its own, so its restart policy would be cancelled. Give it a "
            "stop_signal other than this one, or run the agent as root."
        )
    if own == number:
        return (
            f"{signal.Signals(number).name} is its stop signal, so its restart policy would be "
            "cancelled. Give it another stop_signal, or run the agent as root."
        )
    return ""


def number_of(text: str) -> int | None:
    """`SIGQUIT`, `QUIT`, `3`, `RTMIN+3`; None for "" and what is no signal."""
    word = text.upper().removeprefix("SIG")
    if word.isdigit():
        return int(word) if 0 < int(word) <= signal.SIGRTMAX else None
    name, _, more = word.partition("+")
    found = signal.Signals.__members__.get(f"SIG{name}")
    if found is None or (more and not more.isdigit()):
        return None
    return found + int(more or 0)
