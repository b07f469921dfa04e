"""Telling one process to read its files again: who it is, whether it may, and the signal itself."""

import time

from watchers import processes
from watchers.labels import Reload
from watchers.processes import Gone, Handle, ProcessId

YOUNG_S = 3.0  # a process that has just begun gets this long to install its handler
LOOK_S = 0.02


class Vetoed(Exception):
    """The signal would end the process or be lost, so it is not sent. The text says why."""


def ready(process: ProcessId, reload: Reload, *, patience_s: float = 0.0) -> Handle:
    """A handle on exactly `process`, once it is known that the reload may be sent.

    Waits `patience_s` for a handler, and at least until the process is no longer young. Raises
    Gone when it has ended, NotAllowed when this user may not signal it, Vetoed when it has no
    handler. Nothing is sent.
    """
    handle = Handle(process)
    try:
        if reload.signal is not None:
            handle.send(0)
            _need_handler(handle, reload, until=time.monotonic() + patience_s)
    except BaseException:
        handle.close()
        raise
    return handle


def send(handle: Handle, reload: Reload) -> None:
    """Tell it. Raises Gone when it has ended meanwhile, NotAllowed."""
    if reload.signal is not None:
        handle.send(reload.signal)
    elif handle.ended():
        raise Gone(f"process {handle.process.pid} has ended")


def _need_handler(handle: Handle, reload: Reload, *, until: float) -> None:
    process, number = handle.process, reload.signal
    assert number is not None  # noqa: S101  # the caller looked
    while not processes.catches(process.pid, number):
        if handle.ended():
            raise Gone(f"process {process.pid} has ended")
        if processes.uptime_s(process) > YOUNG_S and time.monotonic() >= until:
            name = number.name.removeprefix("SIG")
            raise Vetoed(
                f"Process {process.pid} has no handler for {name}, so the signal was not sent: it "
                "would end the process, or be lost if it is the first one of its container. Handle "
                f"{name} in the program, name the right process with confhub.process=exe=NAME, or "
                "write confhub.reload=none if it watches its files itself."
            )
        time.sleep(LOOK_S)
