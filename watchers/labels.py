"""What a container asks for by its labels (docs/container-side.md), and what is wrong with them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals

from watchers.render import BadSpec, Files, parse_files
from watchers.wire.names import SLUG

PREFIX = "confhub."
KNOWN = ("service", "environment", "deliver", "files", "reload", "confirm", "soak", "process")
LATER = ("check", "engine-kill")  # named by the contract, not offered by this version
DIRECTORY = "/run/confhub"
SOAK_S = 2.0
MAX_SOAK_S = 600.0  # a release waits behind the one before it for as long
NEVER = ("KILL", "STOP", "CONT", "CHLD")  # no program can take these as "read it again"


class BadLabel(ValueError):
    """One label that cannot be followed; the text names it and what can be written."""


@dataclass(frozen=True)
class Reload:
    """How the process is told. `signal` None means that it watches its files itself."""

    signal: Signals | None = None

    def __str__(self) -> str:
        return f"signal:{self.signal.name.removeprefix('SIG')}" if self.signal else "none"


@dataclass(frozen=True)
class Wishes:
    """One instance's labels, once all of them were understood."""

    files: Files
    reload: Reload
    directory: str = DIRECTORY  # inside the container
    soak_s: float = SOAK_S
    exe: str | None = None  # the program to signal where it is not the container's first process


@dataclass(frozen=True)
class Read:
    """What labels came to. With a problem there are no wishes, so nothing is touched."""

    service: str
    environment: str
    wishes: Wishes | None
    problems: tuple[str, ...]


def read_labels(labels: Mapping[str, str]) -> Read | None:
    """What a container's labels ask for; None when it is none of ours."""
    ours = {
        name.removeprefix(PREFIX): text.strip()
        for name, text in labels.items()
        if name.startswith(PREFIX)
    }
    if not ours.get("service") and not ours.get("environment"):
        return None
    problems = [_unknown(name) for name in sorted(ours) if name not in KNOWN]
    problems += [
        f"confhub.{name}={ours.get(name, '')!r} names no {name}: write 1 to 63 small "
        "letters, digits or '-'. Both confhub.service and confhub.environment are needed."
        for name in ("service", "environment")
        if not SLUG.fullmatch(ours.get(name, ""))
    ]
    wishes = _wishes(ours, problems)
    return Read(
        ours.get("service", ""),
        ours.get("environment", ""),
        None if problems else wishes,
        tuple(problems),
    )


def _wishes(ours: Mapping[str, str], problems: list[str]) -> Wishes | None:
    """The wishes in `ours`, or None once `problems` says why not. Every label is looked at."""
    found: dict[str, object] = {}
    for name, read in (
        ("files", lambda: parse_files(ours.get("files", "env,json"))),
        ("reload", lambda: read_reload(ours.get("reload", ""))),
        ("directory", lambda: _read_deliver(ours.get("deliver", "volume"))),
        ("soak_s", lambda: read_soak(ours.get("soak", "2s"))),
        ("exe", lambda: _read_process(ours.get("process"))),
        ("confirm", lambda: _read_confirm(ours.get("confirm", "pid"))),
    ):
        try:
            found[name] = read()
        except (BadLabel, BadSpec) as error:
            problems.append(str(error))
    found.pop("confirm", None)
    return None if problems else Wishes(**found)  # type: ignore[arg-type]  # each reader is typed


def _unknown(name: str) -> str:
    if name in LATER:
        return f"confhub.{name} is planned, but not offered by this version; remove the label."
    return f"confhub.{name} is no label that ConfHub knows; it knows {', '.join(KNOWN)}."


def read_reload(text: str) -> Reload:
    """`signal:HUP` or `none`. Raises BadLabel."""
    if text == "none":
        return Reload()
    now = "write signal:NAME, or none where the process watches its files itself"
    if not text:
        raise BadLabel(
            f"confhub.reload is missing: {now}. There is no default, because a signal that a "
            "program does not handle ends it."
        )
    kind, _, name = text.partition(":")
    if kind in ("exec", "http", "profile", "restart") or ";" in text:
        raise BadLabel(
            f"confhub.reload={text!r} is planned, but not offered by this version; {now}."
        )
    name = name.upper().removeprefix("SIG")
    if kind != "signal" or f"SIG{name}" not in Signals.__members__:
        raise BadLabel(f"confhub.reload={text!r} is no way to reload; {now}.")
    if name in NEVER:
        raise BadLabel(f"confhub.reload={text!r}: no program reads its files again on {name}.")
    return Reload(Signals[f"SIG{name}"])


def read_soak(text: str) -> float:
    """`2s`, `500ms` or `1m` in seconds. Raises BadLabel."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
    seconds = float(found[1]) * {"ms": 0.001, "s": 1, "m": 60}[found[2]] if found else -1
    if not 0 <= seconds <= MAX_SOAK_S:
        raise BadLabel(
            f"confhub.soak={text!r}: write a time up to {MAX_SOAK_S / 60:g}m, such as 2s or 500ms."
        )
    return seconds


def _read_deliver(text: str) -> str:
    kind, _, path = text.partition(":")
    if kind == "copy":
        raise BadLabel(
            "confhub.deliver=copy is planned, but not offered by this version; mount a volume and "
            "write volume:/its/path."
        )
    path = path or DIRECTORY
    parts = path.split("/")
    if (
        kind != "volume"
        or parts[0]
        or len(path) < 2
        or any(p in ("", ".", "..") for p in parts[1:])
    ):
        raise BadLabel(
            f"confhub.deliver={text!r} names no directory: write volume:/path, an absolute path "
            "in the container at which a volume is mounted."
        )
    return path


def _read_confirm(text: str) -> None:
    if text == "pid":
        return
    kind = text.partition(":")[0]
    if kind in ("health", "http", "exec"):
        raise BadLabel(
            f"confhub.confirm={text!r} is planned, but not offered by this version; write pid."
        )
    raise BadLabel(f"confhub.confirm={text!r} is no way to confirm; write pid.")


def _read_process(text: str | None) -> str | None:
    if text is None:
        return None
    found = re.fullmatch(r"exe=([^/\s]{1,64})", text)
    if found is None:
        raise BadLabel(
            f"confhub.process={text!r}: write exe=NAME, the file name of the program to signal."
        )
    return found[1]
