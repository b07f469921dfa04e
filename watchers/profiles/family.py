"""Servers that are a family of processes: a first one that reads the configuration, and its workers."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from signal import Signals

from watchers import moments, processes
from watchers.attempt import Attempt
from watchers.check.base import CheckFailed
from watchers.inside import Inhabitant, Inside
from watchers.processes import Gone, Handle
from watchers.profiles.started import staged
from watchers.reload.base import Vetoed
from watchers.reload.signals import LOOK_S, YOUNG_S, ArmedSignal, Signal
from watchers.wire.canonical import Json

TICK_NS = 10_000_000  # a process's start is known to a tick, rounded down
WORDS = 8  # lines of a log in a receipt


@dataclass(frozen=True)
class Family:
    """The processes of one server as they are now."""

    parent: Inhabitant
    children: tuple[Inhabitant, ...]

    @property
    def title(self) -> str:
        """The parent's arguments, or what it wrote over them, on one line."""
        return title(self.parent)


def title(one: Inhabitant) -> str:
    return " ".join(one.argv).strip("\0 ")


def find(inside: Inside, programs: Iterable[str]) -> Family | None:
    """The one that runs one of `programs` and was not begun by another such; None where none does."""
    found = [one for one in inside.processes() if one.exe in programs]
    pids = {one.process.pid for one in found}
    first = next((one for one in found if one.parent not in pids), None)
    if first is None:
        return None
    return Family(first, tuple(one for one in found if one.parent == first.process.pid))


def await_family(
    attempt: Attempt, programs: Sequence[str], *, patience_s: float, otherwise: str = ""
) -> Family:
    """The family, once it is there: an entrypoint may be about to start it.

    Raises Gone when the workload's process has ended, Vetoed with `otherwise` when it does not come.
    """
    if attempt.process is None:
        raise Gone("nothing runs")
    until = time.monotonic() + patience_s
    with Handle(attempt.process) as handle:
        while (family := find(attempt.inside, programs)) is None:
            if handle.ended():
                raise Gone(f"process {attempt.process.pid} has ended")
            if processes.uptime_s(attempt.process) > YOUNG_S and time.monotonic() >= until:
                raise Vetoed(otherwise)
            time.sleep(LOOK_S)
    return family


def arm(attempt: Attempt, family: Family, number: Signals, *, patience_s: float) -> ArmedSignal:
    """A signal to the family's first process, whichever process of the workload is watched."""
    to_parent = attempt.but(process=family.parent.process)
    return Signal(number).arm(to_parent, patience_s=patience_s)


# ── old and new ───────────────────────────────────────────────────────────────────────────────────


def name_of(one: Inhabitant) -> str:
    """A word that no other process of this boot has."""
    return f"{one.process.pid}@{one.process.start_ticks}"


def names(family: Family | None) -> Mapping[str, Json]:
    """What a proof notes of a family: {"parent": …, "children": […]}; {} where there is none."""
    if family is None:
        return {}
    return {"parent": name_of(family.parent), "children": [name_of(one) for one in family.children]}


def is_new(attempt: Attempt, family: Family, one: Inhabitant) -> bool:
    """True for a child that was not there before the reload, and for every one of a new parent."""
    if not attempt.told_at_ns:
        return True
    if attempt.noted.get("parent") == name_of(family.parent):
        before = attempt.noted.get("children")
        return not isinstance(before, list) or name_of(one) not in before
    return one.process.started_after(attempt.told_at_ns - TICK_NS)


# ── its new files, before they are swapped in ─────────────────────────────────────────────────────


def as_staged(attempt: Attempt, argv: Sequence[str]) -> tuple[list[str], str]:
    """(argv, shows) with which `Inside.run` reads the new generation where `argv` reads the delivered one.

    Raises CheckFailed where it cannot be made to.
    """
    if attempt.inside.shows_generations:
        return list(argv), attempt.generation
    _need_relative(attempt)
    moved = [_staged(attempt, word) for word in argv]
    if moved == list(argv):
        raise CheckFailed(
            f"{argv[0]} reads a main file that is not one of the release's, and new files cannot be "
            f"shown to it here before they are swapped in. Deliver the main file to {attempt.directory} "
            "too and start the program with it, or write confhub.check."
        )
    return moved, ""


def _staged(attempt: Attempt, word: str) -> str:
    directory = attempt.directory
    if word.rstrip("/") in (directory, f"{directory}/current"):
        return attempt.staged
    return staged(attempt, word)


def _need_relative(attempt: Attempt) -> None:
    """A delivered file that names another one by its whole path would be checked with the old one."""
    for name, raw in attempt.files.items():
        for other in attempt.files:
            if f"{attempt.directory}/{other}".encode() in raw:
                raise CheckFailed(
                    f"{name} names {attempt.directory}/{other}, and new files cannot be shown to its "
                    f"program here before they are swapped in. Write {other} alone, relative to {name}."
                )


def text_of(attempt: Attempt, name: str) -> str:
    return attempt.files.get(name, b"").decode(errors="replace")


# ── its words ─────────────────────────────────────────────────────────────────────────────────────


def told_at_s(attempt: Attempt) -> float:
    """When it was told, in seconds of the epoch; now where it was not."""
    ago_ns = moments.boot_ns() - attempt.told_at_ns if attempt.told_at_ns else 0
    return time.time() - ago_ns / 1e9


def said(attempt: Attempt, is_said: Callable[[str], bool]) -> list[str]:
    """The lines since it was told for which `is_said`, oldest first; [] where it was not told."""
    if not attempt.told_at_ns:
        return []
    lines = attempt.inside.said_since(told_at_s(attempt)).splitlines()
    return [line.strip() for line in lines if is_said(line)]


def quoted(lines: Sequence[str]) -> str:
    """Lines for a receipt: each message once, without the time before it."""
    messages = [re.sub(r"^[\d/: .TZ+-]+(?=\[)", "", line) for line in lines]
    return " ".join(list(dict.fromkeys(messages))[-WORDS:])
