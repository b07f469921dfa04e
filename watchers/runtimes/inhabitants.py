"""The processes of a container, told from the machine's others by their control group."""

import os
from dataclasses import dataclass
from pathlib import Path

from watchers import processes
from watchers.processes import ProcessId


class NotHere(Exception):
    """The process that was asked for cannot be told from here; the text says why."""


@dataclass(frozen=True)
class _Inhabitant:
    process: ProcessId
    parent: int
    exe: str


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
    found = [one for one in _all(full_id) if one.exe == exe]
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
    """True when the control group that the engine made for the container holds `pid`."""
    try:
        return full_id in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _all(full_id: str) -> list[_Inhabitant]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  # thousands of names, and no paths are needed
        if name.isdigit() and _belongs(int(name), full_id):
            one = _look(int(name))
            if one is not None:
                found.append(one)
    return found


def _look(pid: int) -> _Inhabitant | None:
    process = processes.identify(pid)
    if process is None:
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        parent = int(text.rpartition(")")[2].split()[1])
        exe = _exe(pid)
    except OSError:
        return None
    return _Inhabitant(process, parent, exe)


def _exe(pid: int) -> str:
    """The program's file name; its command name where the kernel does not show us the file."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except PermissionError:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
