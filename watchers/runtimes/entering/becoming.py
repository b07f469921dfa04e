"""Becoming what the container's process is: its place first, then its rights, and nothing beyond them."""

import contextlib
import os
import re
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

from watchers.runtimes.entering import kernel
from watchers.runtimes.entering.target import Refused, Target

GENERATION = re.compile(r"gen-\d{1,10}(\.\d{1,4})?")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what engines give
FILE_BYTES = 1024**3  # the largest file that a command may write
CPU_SPARE_S = 10
UNLIMITED = resource.RLIM_INFINITY
# The pid namespace is for children alone; the user namespace comes last, because it takes our rights.
PLACES = ("ipc", "uts", "net", "cgroup", "mnt")


def enter(target: Target) -> None:
    """Go where the process is. Raises OSError."""
    for name in PLACES:
        if name in target.namespaces:
            kernel.setns(target.namespaces[name])
    os.fchdir(target.root)
    os.chroot(".")
    with contextlib.suppress(
        OSError
    ):  # a directory that was removed meanwhile: then it is the root
        os.fchdir(target.cwd)


def show(directory: str, generation: str) -> None:
    """Let `directory`/current lead to `generation` for this process and those it begins.

    What `current` leads to gets the other generation mounted over it, so that absolute paths and
    includes find the new files too. Raises OSError.
    """
    try:
        held = str(Path(f"{directory}/current").readlink())
    except FileNotFoundError:
        return
    if held == generation or not GENERATION.fullmatch(held):
        return
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount(f"{directory}/{generation}", f"{directory}/{held}", kernel.MS_BIND)


def take_rights(target: Target, label_file: int | None) -> None:
    """Take on the user and no more rights than the process has. Raises OSError, Refused.

    `label_file` is our own attr directory where a security module has to confine what we run.
    """
    kernel.set_securebits(kernel.KEEP_ACROSS_SETUID)
    os.setgroups(target.groups)
    os.setresgid(target.group, target.group, target.group)
    os.setresuid(target.user, target.user, target.user)
    if "user" in target.namespaces:
        kernel.setns(target.namespaces["user"])
    if label_file is not None:
        _confine(target.label, label_file)
    bounding = target.bounding
    if os.getuid() == 0:
        # A program that root runs gets all of the bounding set, so that has to shrink to what the
        # process itself still has.
        bounding &= target.permitted | target.inheritable
    kernel.bound_capabilities(bounding)
    kernel.set_securebits(0)
    ours = kernel.permitted_capabilities()
    permitted = target.permitted & ours
    inheritable = target.inheritable & ours
    kernel.set_capabilities(
        target.effective & permitted, permitted, inheritable,
        target.ambient & permitted & inheritable,
    )  # fmt: skip
    if target.no_new_privs:
        kernel.gain_nothing()
    kernel.hide_memory()  # again, because a change of user may have shown it


def _confine(label: str, attributes: int) -> None:
    """Have what we run next confined by `label`. Raises Refused where that cannot be had."""
    for name, text in (
        ("apparmor/exec", f"exec {label}"),
        ("exec", f"exec {label}"),
        ("exec", label),
    ):
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=attributes)
        except OSError:
            continue
        try:
            os.write(descriptor, text.encode())
        except OSError:
            continue
        else:
            return
        finally:
            os.close(descriptor)
    raise Refused(
        f"the container is confined by {label!r}, and this agent may not confine a command so. Run "
        "the agent unconfined (in a container: security_opt apparmor=unconfined)."
    )


def limit(theirs: dict[int, tuple[int, int]], timeout_s: float) -> None:
    """The process's own limits, none of them raised, and bounds that a command needs beside."""
    bounds = dict(theirs)
    own = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CPU: int(timeout_s) + CPU_SPARE_S,
    }
    for number, most in own.items():
        soft, hard = bounds.get(number, resource.getrlimit(number))
        bounds[number] = (_least(soft, most), _least(hard, most))
    for number, (soft, hard) in bounds.items():
        # Raising one takes a right that may not be there; then what is there stays.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(number, (soft, hard))


def _least(one: int, other: int) -> int:
    return other if one == UNLIMITED else min(one, other)


def execute(argv: Sequence[str], environment: dict[str, str]) -> None:
    """Run the program in our place. Returns never; raises OSError."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    found = {"PATH": PATH, **environment}
    os.execvpe(argv[0], list(argv), found)  # no shell is wanted
