"""Mounts that keep what they showed when their container began, whatever is swapped in since.

A mount is of an inode. Mounting one of our files alone (`-v …/nginx.conf:/etc/nginx.conf`), or the
directory behind `current`, therefore shows that one release for ever; once the generation is
removed the kernel says so itself, with `//deleted` in mountinfo.

https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchers.processes import ProcessId

DELETED = "//deleted"


@dataclass(frozen=True)
class Shown:
    """What the kernel says that one mount point shows."""

    device: str  # "8:1"
    root: str  # the path within that file system: "/srv/confhub/web/gen-1/nginx.conf"
    is_deleted: bool


def shown_in(first: ProcessId | None) -> Mapping[str, Shown]:
    """{mount point: what it shows} in the process's mount namespace; {} where we may not look."""
    if first is None:
        return {}
    try:
        text = Path(f"/proc/{first.pid}/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        _, _, device, root, point, *_ = map(_plain, line.split(" "))
        found[point] = Shown(device, root.removesuffix(DELETED), root.endswith(DELETED))
    return found


def _plain(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)


def find_stale(
    path: str,
    above: tuple[str, str],
    others: Sequence[tuple[str, str]],
    first: ProcessId | None,
) -> str:
    """Why a mount of the container keeps an old release, as a sentence; "" where none does.

    `above` and `others` are (mount point in the container, source on the engine's machine): of the
    mount that holds the delivered directory `path`, and of all others that are bound from outside.
    """
    shown = shown_in(first)
    rest = path.removeprefix(above[0].rstrip("/"))
    ours = shown.get(above[0])
    for point, source in others:
        theirs = shown.get(point)
        by_kernel = (
            ours is not None
            and theirs is not None
            and theirs.device == ours.device
            and _is_below(theirs.root, ours.root.rstrip("/") + rest)
        )
        by_engine = bool(above[1]) and _is_below(source, above[1].rstrip("/") + rest)
        if by_kernel or by_engine:
            gone = ", which is removed already" if theirs and theirs.is_deleted else ""
            return (
                f"stale mount: {point} is {source}{gone}, a single part of the delivered directory "
                f"{path}, and keeps the release that it showed when the container began. Mount the "
                f"directory alone, and have the program read below {path}."
            )
    return ""


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
