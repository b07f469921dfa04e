"""Two requests to the Linux kernel that keep `make up` from leaving processes behind."""

import ctypes
import os
import signal
import sys
from pathlib import Path

# Numbers of prctl, from the header linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_LINUX = sys.platform.startswith("linux")
# Loaded before any fork, because a child must not take the dynamic linker's lock.
_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends.

    A grandchild in a session of its own is then still found, and ended, when we stop.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """In a child, before exec: ask for SIGTERM at the moment `parent` ends, even by kill -9."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            os.kill(os.getpid(), signal.SIGTERM)


def children_of(pid: int) -> list[int]:
    """Direct children of `pid`; empty where the kernel does not say."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    except OSError:
        return found
    return found


def descendants_of(pid: int) -> list[int]:
    """Children, their children and so on, parents before children."""
    found: list[int] = []
    waiting = children_of(pid)
    while waiting:
        found += waiting
        waiting = [child for parent in waiting for child in children_of(parent)]
    return found


def environment_of(pid: int) -> dict[str, str]:
    """What `pid` was started with; empty where it ended or is not ours to read."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (word.decode(errors="replace").partition("=") for word in words if word)
    return {name: value for name, _, value in pairs}
