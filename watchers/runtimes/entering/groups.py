"""Control groups: the container's own, so that its limits hold, and one within for the command.

The hierarchies are opened by themselves and not where they may be mounted: an agent in a container
sees only its own part of them, and that one read-only.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence
from typing import Protocol

from watchers.runtimes.entering import kernel

RUN = "confhub-run-"  # a group of this name holds what we run inside a container
KILL_S = 10.0


class Kept(Protocol):
    """All processes that a command has begun."""

    def pids(self) -> list[int]:
        """Those that are alive, as this process counts them."""

    def terminate(self, command: int) -> None:
        """Ask them to end; `command` is the process group that they began in, 0 where not known."""

    def kill(self, command: int) -> None:
        """End all of them, however they fork meanwhile."""


class Groups:
    """The groups of one container's process, opened, and two of our own within."""

    def __init__(self, pid: int) -> None:
        """Raises OSError."""
        self._outer, self._joins = -1, list[int]()
        self._name = f"{RUN}{os.getpid()}"
        # Where that is refused, our own view may do: on the engine's machine it is the same.
        with contextlib.suppress(OSError):
            _enter_engines_view()
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:  # noqa: PTH123
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        for _, controllers, path in lines:
            folder = _open_group(controllers, path)
            if controllers:
                self._joins.append(_procs(folder))
                os.close(folder)
            else:
                self._outer = folder
        if self._outer < 0:
            raise OSError(errno.ENOTSUP, "this kernel has no control groups of version 2")
        # Ours is within the container's, so its limits hold for what we run. The inner group is
        # what gets killed; the outer one holds who waits for it.
        os.mkdir(self._name, dir_fd=self._outer)
        self._ours = os.open(self._name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._outer)
        os.mkdir("command", dir_fd=self._ours)
        self._inner = os.open("command", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._ours)
        self._joins.append(_procs(self._ours))
        self._join_inner = _procs(self._inner)

    def join(self) -> None:
        """Move this process into the container's groups."""
        for descriptor in self._joins:
            os.write(descriptor, b"0")

    def join_inner(self) -> None:
        """Move this process to where pids() and kill() find it and all that it begins."""
        os.write(self._join_inner, b"0")

    def pids(self) -> list[int]:
        return [int(line) for line in _read(self._inner, "cgroup.procs").split()]

    def terminate(self, command: int) -> None:
        _signal(self.pids(), signal.SIGTERM)

    def kill(self, command: int) -> None:
        deadline = time.monotonic() + KILL_S
        with contextlib.suppress(FileNotFoundError):
            _write(self._inner, "cgroup.kill", b"1")  # from Linux 5.14
        with contextlib.suppress(FileNotFoundError):
            # Before that: what is frozen cannot fork, and SIGKILL reaches it all the same.
            _write(self._inner, "cgroup.freeze", b"1")
        while (left := self.pids()) and time.monotonic() < deadline:
            _signal(left, signal.SIGKILL)
            time.sleep(0.01)

    def close(self) -> None:
        """Remove our groups. What cannot be removed goes with the container."""
        for parent, name in ((self._ours, "command"), (self._outer, self._name)):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=parent)


class Descendants:
    """The same for a command that runs where we do: everything below one process of ours."""

    def __init__(self, root: int) -> None:
        """`root` adopts the orphans of its descendants, so that none gets away."""
        self._root = root

    def pids(self) -> list[int]:
        return list(self._groups())

    def terminate(self, command: int) -> None:
        if command:
            _signal_group(command, signal.SIGTERM)
        _signal([pid for pid, group in self._groups().items() if group != command], signal.SIGTERM)

    def kill(self, command: int) -> None:
        # By group, because the kernel signals all of one at once: a process that is just about to
        # fork gets the signal instead of a child. One at a time, a fork bomb is never caught up with.
        deadline = time.monotonic() + KILL_S
        if command:
            _signal_group(command, signal.SIGKILL)
        while (left := self._groups()) and time.monotonic() < deadline:
            for group in set(left.values()) - {os.getpgrp()}:
                _signal_group(group, signal.SIGKILL)
            _signal(list(left), signal.SIGKILL)
            time.sleep(0.005)

    def _groups(self) -> dict[int, int]:
        """{pid: its process group} of all that are alive."""
        alive = _alive()
        found, level = dict[int, int](), {self._root}
        while level:
            level = {pid for pid, (parent, _) in alive.items() if parent in level}
            found |= {pid: alive[pid][1] for pid in level}
        return found


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _enter_engines_view() -> None:
    """See the groups as the first process of the machine does, in an agent's container too."""
    theirs = os.open("/proc/1/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(theirs)
    finally:
        os.close(theirs)


def _open_group(controllers: str, path: str) -> int:
    """`controllers` as in /proc/PID/cgroup: "cpu,cpuacct", "name=systemd", "" for version 2."""
    if path.startswith("/.."):
        raise OSError(errno.EXDEV, f"control group {path} is not below what this process may see")
    if not controllers:
        root = kernel.mounted("cgroup2")
    elif controllers.startswith("name="):
        root = kernel.mounted("cgroup", ("none",), name=controllers.removeprefix("name="))
    else:
        root = kernel.mounted("cgroup", tuple(controllers.split(",")))
    try:
        return os.open(
            path.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root
        )
    finally:
        os.close(root)


def _procs(folder: int) -> int:
    return os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)


def _read(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _write(folder: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _alive() -> dict[int, tuple[int, int]]:
    """{pid: (its parent, its process group)} of all processes that have not ended."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  # thousands of names, and no paths are needed
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
                if fields[0] not in (b"Z", b"X"):
                    found[int(name)] = (int(fields[1]), int(fields[2]))
    return found
