"""Orphans: who takes them in, and how their ends are told from those that somebody waits for.

Whoever reaps a process takes its exit code with it, and Popen then says 0 for a command that failed
(https://github.com/python/cpython/issues/96863). So an ended process is only looked at first.
"""

import contextlib
import ctypes
import os
from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36


def take_in_orphans() -> None:
    """Become the parent of whatever our descendants leave behind, as process 1 is anyway."""
    if os.getpid() == 1:
        return
    with contextlib.suppress(OSError, AttributeError):  # a kernel that refuses: they go elsewhere
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(owned: Callable[[int], bool]) -> None:
    """Reap every ended child that nobody waits for.

    Stops at one that is `owned`: the kernel shows that one first until its owner has reaped it, and
    the next SIGCHLD, or the next look, goes on.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or owned(found.si_pid):
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(found.si_pid, os.WNOHANG)
