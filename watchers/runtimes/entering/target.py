"""The process whose surroundings a command is to have: all that is read of it, before it is entered."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

NAMESPACES = ("ipc", "uts", "net", "cgroup", "mnt", "pid", "user")
LIMITS = {
    "Max cpu time": resource.RLIMIT_CPU, "Max file size": resource.RLIMIT_FSIZE,
    "Max data size": resource.RLIMIT_DATA, "Max stack size": resource.RLIMIT_STACK,
    "Max resident set": resource.RLIMIT_RSS, "Max processes": resource.RLIMIT_NPROC,
    "Max open files": resource.RLIMIT_NOFILE, "Max locked memory": resource.RLIMIT_MEMLOCK,
    "Max address space": resource.RLIMIT_AS, "Max pending signals": resource.RLIMIT_SIGPENDING,
    "Max msgqueue size": resource.RLIMIT_MSGQUEUE, "Max nice priority": resource.RLIMIT_NICE,
    "Max realtime priority": resource.RLIMIT_RTPRIO, "Max realtime timeout": resource.RLIMIT_RTTIME,
}  # fmt: skip
LABEL_WIDTH = 26  # of the first column of /proc/PID/limits


class Refused(Exception):
    """It cannot be entered; the text says why."""


@dataclass(frozen=True)
class Target:
    """Descriptors and numbers. The ids are as this machine counts them, not as its user namespace does."""

    namespaces: dict[str, int]  # {"mnt": descriptor, …}, those alone that differ from ours
    root: int
    cwd: int
    user: int
    group: int
    groups: tuple[int, ...]
    umask: int
    effective: int
    permitted: int
    inheritable: int
    bounding: int
    ambient: int
    no_new_privs: bool
    label: str  # of AppArmor or SELinux; "" = none
    limits: dict[int, tuple[int, int]]
    environment: dict[str, str]


def look(pid: int, start_ticks: int) -> Target:
    """Raises Refused when `pid` is another process by now, OSError when we may not look."""
    status = _status(pid)
    users, groups = status["Uid"].split(), status["Gid"].split()
    held = Target(
        namespaces={name: one for name in NAMESPACES if (one := _namespace(pid, name)) is not None},
        root=os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
        cwd=os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
        user=int(users[1]),
        group=int(groups[1]),
        groups=tuple(int(one) for one in status["Groups"].split()),
        umask=int(status.get("Umask", "022"), 8),
        effective=int(status["CapEff"], 16),
        permitted=int(status["CapPrm"], 16),
        inheritable=int(status["CapInh"], 16),
        bounding=int(status["CapBnd"], 16),
        ambient=int(status.get("CapAmb", "0"), 16),
        no_new_privs=status.get("NoNewPrivs", "0") == "1",
        label=_label(pid),
        limits=_limits(pid),
        environment=environment(Path(f"/proc/{pid}/environ").read_bytes()),
    )
    # Last, because until now the pid could have gone to another process.
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    if int(stat.rpartition(")")[2].split()[19]) != start_ticks:
        raise Refused(f"process {pid} has ended")
    return held


def environment(raw: bytes) -> dict[str, str]:
    """{name: value}; empty where the program has written its title over it, as nginx does."""
    entries = [os.fsdecode(entry) for entry in raw.split(b"\0")]
    if not entries[0].partition("=")[0].isidentifier():
        return {}
    return {
        name: value for name, is_one, value in (one.partition("=") for one in entries) if is_one
    }


def _status(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: rest.strip() for name, _, rest in pairs}


def _namespace(pid: int, name: str) -> int | None:
    """A descriptor of it; None where it is ours, or the kernel has no such kind."""
    try:
        theirs = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if Path(f"/proc/self/ns/{name}").exists():
            raise
        return None
    ours, other = os.stat(f"/proc/self/ns/{name}"), os.fstat(theirs)  # noqa: PTH116  # a magic link
    if (ours.st_dev, ours.st_ino) == (other.st_dev, other.st_ino):
        os.close(theirs)
        return None
    return theirs


def _limits(pid: int) -> dict[int, tuple[int, int]]:
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines():
        number = LIMITS.get(line[:LABEL_WIDTH].strip())
        if number is not None:
            soft, hard = line[LABEL_WIDTH:].split()[:2]
            found[number] = (_limit(soft), _limit(hard))
    return found


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _label(pid: int) -> str:
    """What AppArmor or SELinux confine it by; "" where it is unconfined."""
    for name in ("apparmor/current", "current"):
        try:
            text = Path(f"/proc/{pid}/attr/{name}").read_text(encoding="utf-8")
        except OSError:
            continue  # no such module, or none that answers
        label = text.strip("\0\n").removesuffix(" (enforce)").removesuffix(" (complain)")
        return "" if label in ("", "unconfined", "kernel") else label
    return ""
