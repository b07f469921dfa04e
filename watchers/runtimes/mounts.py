"""Where in this machine's files a container's directory is."""

import os
import socket
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from watchers import processes
from watchers.processes import ProcessId
from watchers.runtimes.base import CannotReach
from watchers.runtimes.stale import find_stale
from watchers.swap import folders


@dataclass(frozen=True)
class Mount:
    """One mount of a container, as the engine tells it."""

    destination: str  # in the container
    source: str  # on the engine's machine; "" for a tmpfs, which only the container sees


class Opened(NamedTuple):
    """A directory that is held open."""

    descriptor: int
    seen_from_inside: bool  # through the container's own root, so what we see is what it sees


def open_delivered(
    path: str,
    mounts: Sequence[Mount],
    *,
    name: str,
    first: ProcessId | None,
    shares_files: Callable[[], bool],
) -> Opened:
    """The directory that the container `name` sees at `path`.

    `first` is its first process, None when it does not run; `shares_files` says whether this
    process has the same file system as the engine. Raises CannotReach.
    """
    mount = _mount_of(path, mounts)
    if mount is None:
        raise CannotReach(
            f"confhub.deliver names {path}, but {name} has no volume there, so files would be lost "
            f"with the container. Mount one, for example `-v /srv/confhub/{name}:{path}`, or write "
            f"confhub.deliver=copy:{path}."
        )
    others = [(one.destination, one.source) for one in mounts if one is not mount and one.source]
    if others and (why := find_stale(path, (mount.destination, mount.source), others, first)):
        raise CannotReach(why)
    # The container's own view is asked first: what stands at the mount's source here can be
    # another directory by now, if it was replaced since the container began.
    found = _from_inside(path, first)
    if found is not None:
        return Opened(found, True)
    if mount.source and shares_files():
        found = _from_here(mount.source + path.removeprefix(mount.destination.rstrip("/")))
    if found is None:
        raise CannotReach(_why_not(path, mount, name, first))
    return Opened(found, False)


def open_copied(path: str, *, name: str, first: ProcessId | None) -> Opened:
    """The directory `path` in the running container's own files, made where it is not there.

    Raises CannotReach.
    """
    if first is None:
        raise CannotReach(f"{name} does not run, so its files cannot be reached from here.")
    found = _from_inside(path, first, make=True)
    if found is None:
        raise CannotReach(
            f"{path} of {name} cannot be opened or made as a directory through its process "
            f"{first.pid}. Name one in confhub.deliver that no symbolic link leads to, on files that "
            "the container may write, and run this agent as root (in a container: pid: host and "
            "CAP_SYS_PTRACE)."
        )
    return Opened(found, True)


def ways_in(
    path: str, mounts: Sequence[Mount], *, first: ProcessId | None, shares_files: Callable[[], bool]
) -> tuple[Mount | None, dict[str, bool]]:
    """(the mount at or above `path`, {way: whether it leads to the directory from here})."""
    mount = _mount_of(path, mounts)
    if mount is None:
        return None, {}
    inside = _from_inside(path, first)
    tail = path.removeprefix(mount.destination.rstrip("/"))
    outside = _from_here(mount.source + tail) if mount.source and shares_files() else None
    for descriptor in (inside, outside):
        if descriptor is not None:
            os.close(descriptor)
    ways = {f"/proc/{first.pid}/root{path}": inside is not None} if first else {}
    return mount, {**ways, f"{mount.source}{tail}": outside is not None}


def is_out_of_reach(first: ProcessId | None) -> bool:
    """True where a container's own root cannot be opened from here: it is stopped, say."""
    root = _root_of(first) if first is not None else None
    if root is None:
        return True
    os.close(root)
    return False


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


def _root_of(first: ProcessId) -> int | None:
    """The process's own root, which the kernel lends to whoever may trace it."""
    try:
        root = os.open(f"/proc/{first.pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    if processes.identify(first.pid) == first:
        return root
    os.close(root)  # the pid has gone to another process, and so has this root
    return None


def _from_inside(path: str, first: ProcessId | None, *, make: bool = False) -> int | None:
    root = _root_of(first) if first is not None else None
    if root is None:
        return None
    try:
        return folders.open_below(root, path, make=make)
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


def _is_file(path: str, mount: Mount, first: ProcessId | None) -> bool:
    """True where what is mounted at `path` itself is a file."""
    if path != mount.destination:
        return False
    for seen in (f"/proc/{first.pid}/root{path}" if first is not None else "", mount.source):
        try:
            if seen and stat.S_ISREG(os.lstat(seen).st_mode):
                return True
        except OSError:
            continue
    return False


def _why_not(path: str, mount: Mount, name: str, first: ProcessId | None) -> str:
    if _is_file(path, mount, first):
        return (
            f"stale mount: confhub.deliver names {path}, at which {name} has a single file mounted "
            f"({mount.source}). It would keep its old content when a new file is put in its place. "
            "Mount the directory that holds it, and name that one."
        )
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
