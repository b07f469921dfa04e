"""Connections into a container's own network."""

import os
import socket
import threading
from collections.abc import Sequence

from watchers import processes
from watchers.processes import ProcessId
from watchers.runtimes.entering import kernel

LOOPBACK = ("127.0.0.1", "::1")


def connect(addresses: Sequence[str], port: int, timeout_s: float) -> socket.socket:
    """To the first address where something listens. Raises OSError, the first one's."""
    failed: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            failed = failed or error
    raise failed or OSError("no address to connect to")


def connect_within(
    process: ProcessId, addresses: Sequence[str], port: int, timeout_s: float
) -> socket.socket:
    """From within the network of `process`: its loopback first, then its own addresses.

    A socket stays in the network that it was made in, so a thread goes there to make it, and ends.
    """
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            kernel.setns(theirs, kernel.CLONE_NEWNET)
            made.append(connect((*LOOPBACK, *addresses), port, timeout_s))
        except OSError as error:
            made.append(error)

    theirs = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if processes.identify(process.pid) != process:
            raise ProcessLookupError(f"process {process.pid} has ended")
        thread = threading.Thread(target=make, name="connect-within")
        thread.start()
        thread.join()
    finally:
        os.close(theirs)
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]
