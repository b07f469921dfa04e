"""Where in this machine's files a container's directory is."""

import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchers import processes
from watchers.processes import ProcessId
from watchers.runtimes.base import CannotReach
from watchers.swap import folders


@dataclass(frozen=True)
class Mount:
    """One mount of a container, as the engine tells it."""

    destination: str  # in the container
    source: str  # on the engine's machine; "" for a tmpfs, which only the container sees


def open_delivered(
    path: str,
    mounts: Sequence[Mount],
    *,
    name: str,
    first: ProcessId | None,
    shares_files: Callable[[], bool],
) -> int:
    """A descriptor of the directory that the container `name` sees at `path`.

    `first` is its first process, None when it does not run; `shares_files` says whether this
    process has the same file system as the engine. Raises CannotReach.
    """
    mount = _mount_of(path, mounts)
    if mount is None:
        raise CannotReach(
            f"confhub.deliver names {path}, but {name} has no volume there, so files would be lost "
            f"with the container. Mount one, for example `-v /srv/confhub/{name}:{path}`."
        )
    # The container's own view is asked first: what stands at the mount's source here can be
    # another directory by now, if it was replaced since the container began.
    found = _from_inside(path, first)
    if found is None and mount.source and shares_files():
        found = _from_here(mount.source + path.removeprefix(mount.destination.rstrip("/")))
    if found is None:
        raise CannotReach(_why_not(path, mount, name, first))
    return found


def _mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The innermost mount at or above `path`."""
    above = [
        mount
        for mount in mounts
        if path == mount.destination or path.startswith(mount.destination.rstrip("/") + "/")
    ]
    return max(above, key=lambda mount: len(mount.destination), default=None)


def _from_here(path: str) -> int | None:
    try:
        return folders.open_directory(path, make=False)
    except OSError:
        return None


def _from_inside(path: str, first: ProcessId | None) -> int | None:
    """Through the container's own root, which the kernel lends to whoever may trace the process."""
    if first is None:
        return None
    try:
        root = os.open(f"/proc/{first.pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if processes.identify(first.pid) != first:
            return None  # the pid has gone to another process, and so has this root
        return folders.open_below(root, path)
    except OSError:
        return None
    finally:
        os.close(root)


def shares_files_with(engine: str) -> bool:
    """True unless the engine at `engine` certainly has another file system than this process.

    The kernel says whose socket it is (SO_PEERCRED); its mount namespace is compared with ours.
    """
    if not engine.startswith("unix://"):
        return False
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(2)
            asked.connect(engine.removeprefix("unix://"))
            raw = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = int(struct.unpack("3i", raw)[0])
    except OSError:
        return False
    if pid == 0:
        return False  # a process of another pid namespace
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return True  # an ordinary user of the machine may not compare; the paths will tell


def _why_not(path: str, mount: Mount, name: str, first: ProcessId | None) -> str:
    if first is None:
        return (
            f"{name} does not run, and its volume at {mount.destination} cannot be reached from "
            "here. Its files are written once it runs."
        )
    return (
        f"{path} of {name} cannot be opened as a directory, neither at {mount.source or 'a source'} "
        f"nor through its process {first.pid}. Mount a directory, not a single file, through no "
        "symbolic link, and run this agent as root (in a container: pid: host and CAP_SYS_PTRACE)."
    )
