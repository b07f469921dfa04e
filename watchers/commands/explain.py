"""`confhub agent explain`: everything the agent knows of one container, and what it may do to it."""

import os
import pwd
from dataclasses import asdict
from pathlib import Path
from typing import Any

from watchers import processes
from watchers.commands.common import DONE, REFUSED, Output
from watchers.commands.looking import Look, look, named, refuse_unknown
from watchers.etcd import Etcd
from watchers.instance.memory import Memory, ReadOnlyJournal
from watchers.instance.thread import receipt_of
from watchers.labels import Wishes
from watchers.options import Options
from watchers.processes import Gone, Handle, NotAllowed, ProcessId
from watchers.reload.signals import Signal
from watchers.runtimes import mounts
from watchers.runtimes.base import CannotReach, Workload
from watchers.runtimes.docker import Detail
from watchers.swap.disk import CannotWrite

# https://man7.org/linux/man-pages/man7/capabilities.7.html
RIGHTS = {
    "KILL": (5, "signal processes of other users"),
    "SYS_PTRACE": (19, "reach a container's files and namespaces through its process"),
    "DAC_OVERRIDE": (1, "write into directories of other users"),
    "SYS_ADMIN": (21, "run checks and reloads inside a container"),
}
CAUGHT = {
    True: "has a handler (SigCgt)",
    False: "has no handler (SigCgt), so it would not be sent",
    None: "cannot be read",
}


def show(told: Options, etcd: Etcd, container: str, output: Output) -> int:
    """The exit code, once everything is said."""
    held = look(told, etcd)
    workload = named(held, container) or refuse_unknown(held, container)
    said = _explained(held, workload)
    held.close()
    output.show(said, lambda: _words(said))
    return REFUSED if said["in_the_way"] else DONE


def _explained(held: Look, workload: Workload) -> dict[str, Any]:
    memory = ReadOnlyJournal(held.told.state_dir).load(workload.id)
    directory, process = _directory(held, workload), _process(workload)
    in_the_way = [*workload.problems]
    in_the_way += [text for part in (directory, process) if (text := part.get("problem"))]
    name = str(workload.container.get("name") or workload.id)
    return {
        "instance": workload.id,
        "container": dict(workload.container),
        "runtime": workload.runtime,
        "service": workload.service,
        "environment": workload.environment,
        "state": workload.state,
        "health": workload.health or None,
        "labels": held.runtime.labels_of(name) or {},
        "directory": directory,
        "process": process,
        "rights": _rights(),
        **_releases(held, workload, memory, in_the_way),
        "in_the_way": in_the_way,
        "next": _next(workload, memory),
    }


def _releases(
    held: Look, workload: Workload, memory: Memory, in_the_way: list[str]
) -> dict[str, Any]:
    """What it shall run and runs: by etcd, by this host's journal, by its agent's own status."""
    view, status, receipt = held.view(workload), held.status(workload), receipt_of(memory)
    if isinstance(view, str):
        in_the_way.append(view)
    elif view.unreadable:
        in_the_way.append(view.unreadable)
    if receipt is None and status is not None:
        receipt = status.receipt  # the agent keeps its journal elsewhere
    return {
        "target": None if isinstance(view, str) else view.target(workload.id),
        "running": status.running if status else None,
        "stage": memory.stage,
        "receipt": asdict(receipt) if receipt else None,
        "served_by": status.host if status else None,
    }


def _directory(held: Look, workload: Workload) -> dict[str, Any]:
    """Where the files go, by which ways that is reached from here, and whether it may be written."""
    wishes, detail = workload.wishes, workload.detail
    if wishes is None or not isinstance(detail, Detail):
        return {}
    found: dict[str, Any] = {"path": wishes.directory, "deliver": wishes.deliver}
    if wishes.deliver == "volume":
        mount, ways = mounts.ways_in(
            wishes.directory, detail.mounts, first=detail.first,
            shares_files=lambda: mounts.shares_files_with(held.told.docker_host),
        )  # fmt: skip
        found |= {"mount": asdict(mount) if mount else None, "reached_through": ways}
    try:
        with held.runtime.directory(workload) as directory:
            found |= {"shows": directory.current(), "last_known_good": directory.good()}
            if not directory.may_be_written():
                found["problem"] = (
                    f"{wishes.directory} may not be written by {_user()}: give this agent "
                    "CAP_DAC_OVERRIDE, or the directory to its user."
                )
    except (CannotReach, CannotWrite) as error:
        found["problem"] = str(error)
    return found


def _process(workload: Workload) -> dict[str, Any]:
    """Who is told, and whether each signal of the ladder would find a handler and be allowed."""
    process, wishes = workload.process, workload.wishes
    if process is None:
        return {}
    found: dict[str, Any] = {"pid": process.pid, "program": _program(process), "signals": {}}
    for way in wishes.ladder if wishes else ():
        if not isinstance(way, Signal):
            continue
        caught = processes.catches(process.pid, way.number)
        found["signals"][str(way)] = CAUGHT[caught]
        if caught is False:
            found["problem"] = f"Process {process.pid} has no handler for {way}."
        if objection := _may_not_signal(process):
            found["problem"] = objection
    return found


def _may_not_signal(process: ProcessId) -> str:
    try:
        with Handle(process) as handle:
            handle.send(0)
    except NotAllowed as error:
        return str(error)
    except Gone:
        return ""
    return ""


def _program(process: ProcessId) -> str:
    try:
        return Path(f"/proc/{process.pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _rights() -> dict[str, Any]:
    """Who this process is, and which of the rights it has that an agent may need."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    has = [name for name, (bit, _) in RIGHTS.items() if held >> bit & 1]
    lacks = {f"CAP_{name}": what for name, (_, what) in RIGHTS.items() if name not in has}
    return {"user": _user(), "has": [f"CAP_{name}" for name in has], "lacks": lacks}


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _next(workload: Workload, memory: Memory) -> str:
    """What follows when a release is published: one sentence a step."""
    wishes = workload.wishes
    if wishes is None:
        return "Nothing is touched, because of what is in the way."
    steps = [f"{', '.join(_names(wishes))} are written into {wishes.directory} as one generation."]
    if workload.process is None:
        return f"{steps[0]} Nothing runs; the next process begins with them."
    if wishes.check is not None:
        steps.append(f"The check must pass ({wishes.check}); else nothing is swapped.")
    ladder = " ; ".join(map(str, wishes.ladder))
    steps.append(f"They are swapped in, and process {workload.process.pid} is told by {ladder}.")
    proof = f" and {type(wishes.proof).__name__} must hold" if wishes.proof else ""
    steps.append(f"It must live for {wishes.soak_s:g} s{proof}; then it is confirmed.")
    good = f"release {memory.good_release}" if memory.good_release else "none yet"
    steps.append(f"Should it not hold, the last good one comes back: {good}.")
    return " ".join(steps)


def _names(wishes: Wishes) -> list[str]:
    files = wishes.files
    templates = [name for name, _ in files.templates]
    return [*(f"config.{form}" for form in files.formats), *files.entries, *templates]


# ── for people ────────────────────────────────────────────────────────────────────────────────────


def _words(said: dict[str, Any]) -> str:
    container, rights, receipt = said["container"], said["rights"], said["receipt"]
    scope = f"{said['service']}/{said['environment']}"
    lines = [
        f"{container['name']} ({said['instance']}, {said['runtime']}, {said['state']}) runs {scope}",
        *(f"  in the way: {text}" for text in said["in_the_way"]),
        "  labels:",
        *(f"    {name}={text}" for name, text in sorted(said["labels"].items())),
        *_directory_words(said["directory"]),
    ]
    if process := said["process"]:
        lines.append(f"  process: {process['pid']} ({process['program']})")
        lines += [f"    {way}: {text}" for way, text in process["signals"].items()]
    lines.append(f"  this user: {rights['user']}, {', '.join(rights['has']) or 'no capability'}")
    lines += [f"    lacks {name}: {what}" for name, what in rights["lacks"].items()]
    served = said["served_by"] or "nobody"
    lines.append(
        f"  target {said['target'] or '-'}, running {said['running'] or '-'}, served by {served}"
    )
    if receipt:
        reason = f" at {receipt['stage']}: {receipt['reason']}" if receipt["reason"] else ""
        lines.append(f"  receipt: release {receipt['release']} {receipt['state']}{reason}")
    lines.append(f"  at the next release: {said['next']}")
    return "\n".join(lines)


def _directory_words(directory: dict[str, Any]) -> list[str]:
    if not directory:
        return []
    shows, good = directory.get("shows") or "nothing", directory.get("last_known_good") or "none"
    lines = [f"  directory: {directory['path']}, shows {shows}, last known good {good}"]
    if mount := directory.get("mount"):
        lines.append(f"    mount: {mount['source'] or 'tmpfs'} at {mount['destination']}")
    for way, leads in directory.get("reached_through", {}).items():
        lines.append(f"    through {way}: {'yes' if leads else 'no'}")
    return lines
