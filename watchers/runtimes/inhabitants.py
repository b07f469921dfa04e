"""The processes of a container, told from the machine's others by their control group."""

import os
from pathlib import Path

from watchers import processes
from watchers.inside import Inhabitant
from watchers.processes import ProcessId
from watchers.runtimes.entering.groups import RUN


class NotHere(Exception):
    """The process that was asked for cannot be told from here; the text says why."""


def first_process(pid: int, full_id: str) -> ProcessId | None:
    """The process `pid` of the container `full_id`; None when it has just ended.

    Raises NotHere when that pid is no process of the container: the engine runs on another
    machine, or in another pid namespace than this agent.
    """
    process = processes.identify(pid)
    if process is None and not Path(f"/proc/{pid}").exists():
        return None
    if not _belongs(pid, full_id):
        if processes.identify(pid) != process:
            return None
        raise NotHere(
            f"Process {pid}, which the engine calls the first one of this container, is not one of "
            "its processes here. Run the agent on the engine's machine (in a container: pid: host)."
        )
    return process


def named(exe: str, full_id: str) -> ProcessId:
    """The one process of the container that runs the program `exe` and was not begun by another such.

    Raises NotHere when there is none, or more than one.
    """
    found = [one for one in all_of(full_id) if one.exe == exe]
    pids = {one.process.pid for one in found}
    top = [one for one in found if one.parent not in pids]
    if not top:
        raise NotHere(f"confhub.process=exe={exe}: no process of this container runs {exe}.")
    if len(top) > 1:
        these = ", ".join(str(one.process.pid) for one in top)
        raise NotHere(
            f"confhub.process=exe={exe}: {len(top)} processes of this container run {exe} side by "
            f"side ({these}), so it is not clear which to signal."
        )
    return top[0].process


def _belongs(pid: int, full_id: str) -> bool:
    """True when the control group that the engine made for the container holds `pid`.

    It is named `…/docker-ID.scope`, `…/docker/ID` or `…/libpod-ID`. Beside it podman has
    `libpod-conmon-ID`, for the process that watches over the container from outside. What we run
    in it ourselves is no process of its own.
    """
    try:
        group = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return full_id in group and f"conmon-{full_id}" not in group and f"/{RUN}" not in group


def all_of(full_id: str) -> list[Inhabitant]:
    """Every process of the container, those that the engine ran in it by `exec` included."""
    names = os.listdir("/proc")  # noqa: PTH208  # thousands of names, and no paths are needed
    found = (_look(int(name)) for name in names if name.isdigit() and _belongs(int(name), full_id))
    return [one for one in found if one is not None]


def below(first: ProcessId) -> list[Inhabitant]:
    """`first` and all that descend from it; empty when it has ended."""
    looked = [_look(int(name)) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    everything = {one.process.pid: one for one in looked if one is not None}
    top = everything.get(first.pid)
    if top is None or top.process != first:
        return []
    found, level = [top], {first.pid}
    while level:
        below = [one for one in everything.values() if one.parent in level]
        level = {one.process.pid for one in below}
        found += below
    return found


def _look(pid: int) -> Inhabitant | None:
    process = processes.identify(pid)
    if process is None:
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        parent = int(text.rpartition(")")[2].split()[1])
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        exe = _exe(pid)
    except OSError:
        return None
    argv = tuple(os.fsdecode(word) for word in raw.rstrip(b"\0").split(b"\0")) if raw else ()
    return Inhabitant(process, parent, exe, argv)


def _exe(pid: int) -> str:
    """The program's file name; its command name where the kernel does not show us the file."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except PermissionError:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
