"""What a container asks for by its labels (docs/container-side.md), and what is wrong with them."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Literal, TypeVar

from watchers.check.base import Check
from watchers.check.commands import CommandCheck
from watchers.confirm.asked import CommandProof, HealthProof, HttpProof
from watchers.confirm.base import Proof
from watchers.confirm.reported import NotifyProof, ReportProof
from watchers.profiles import PROFILES
from watchers.profiles.base import Profile
from watchers.reload.asked import Exec, Http, Quiet, Restart
from watchers.reload.base import Way
from watchers.reload.signals import Signal
from watchers.render.errors import BadSpec
from watchers.render.files import Files, parse_files
from watchers.wire.names import SLUG

PREFIX = "confhub."
KNOWN = (
    "service", "environment", "deliver", "files", "check", "reload", "confirm", "soak", "process",
    "engine-kill",
)  # fmt: skip
DIRECTORY = "/run/confhub"
SOAK_S = 2.0
MAX_SOAK_S = 600.0  # a release waits behind the one before it for as long
MAX_RUNGS = 4
NEVER = ("KILL", "STOP", "CONT", "CHLD")  # no program can take these as "read it again"
WAYS = "signal:NAME, profile:NAME, http:POST :PORT/PATH, exec:PROGRAM, restart, or none"
METHODS = "GET|POST|PUT"
REQUEST = re.compile(rf"(?P<method>{METHODS}) :(?P<port>\d{{1,5}})(?P<path>/[^\s]*)")

T = TypeVar("T")
Deliver = Literal["volume", "copy", "env"]  # env: `confhub run` alone, for programs without files
VOLUME: tuple[Deliver, str] = ("volume", DIRECTORY)


class BadLabel(ValueError):
    """One label that cannot be followed; the text names it and what can be written."""


@dataclass(frozen=True)
class Reload:
    """How the workload is told: a ladder of ways, and the profile that one of them came from."""

    ladder: tuple[Way, ...]
    profile: Profile | None = None

    def __str__(self) -> str:
        return " ; ".join(str(way) for way in self.ladder)


@dataclass(frozen=True)
class Wishes:
    """One instance's labels, once all of them were understood."""

    files: Files
    ladder: tuple[Way, ...]
    check: Check | None = None
    needs_check: bool = False  # a bad file would end the process
    proof: Proof | None = None  # beside that the process lives through the soak
    deliver: Deliver = "volume"
    directory: str = DIRECTORY  # inside the container
    soak_s: float = SOAK_S
    exe: str | None = None  # the program to tell where it is not the container's first process
    profile: str = ""  # its name, for sentences

    @property
    def waits_for_restart(self) -> bool:
        """True where nothing reaches the process before somebody restarts it."""
        return self.deliver == "env" and not self.ladder[0].restarts


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
    wishes = read_wishes(ours, problems)
    return Read(
        ours.get("service", ""),
        ours.get("environment", ""),
        None if problems else wishes,
        tuple(problems),
    )


def read_wishes(
    ours: Mapping[str, str], problems: list[str], *, supervised: bool = False
) -> Wishes | None:
    """What {"reload": "signal:HUP", …} asks for, or None once `problems` says why not.

    Every label is looked at, so that all that is wrong is said at once. `supervised`: for a process
    that `confhub run` starts, which may be started anew and can speak for itself.
    """

    def read(reader: Callable[[], T], otherwise: T) -> T:
        try:
            return reader()
        except (BadLabel, BadSpec) as error:
            problems.append(str(error))
            return otherwise

    by_engine = read(lambda: _read_engine_kill(ours.get("engine-kill")), False)
    how = read(lambda: read_reload(ours.get("reload", ""), by_engine=by_engine), Reload((Quiet(),)))
    deliver = read(
        lambda: read_deliver(ours.get("deliver", "volume"), supervised=supervised), VOLUME
    )
    files = read(lambda: parse_files(ours.get("files", "env,json")), Files())
    check = read(lambda: read_check(ours.get("check", "")), None)
    proof = read(lambda: read_confirm(ours.get("confirm", ""), supervised=supervised), None)
    soak_s = read(lambda: read_soak(ours.get("soak", "2s")), SOAK_S)
    exe = read(lambda: _read_process(ours.get("process")), None)
    read(lambda: _need_no_hot_reload(deliver[0], how), None)
    if problems:
        return None
    profile = how.profile
    return Wishes(
        files=files,
        ladder=how.ladder,
        check=check or (profile.check if profile else None),
        needs_check=profile is not None and profile.dies_on_bad,
        proof=proof or (profile.proof if profile and "confirm" not in ours else None),
        deliver=deliver[0],
        directory=deliver[1],
        soak_s=soak_s,
        exe=exe or (profile.exe if profile else None),
        profile=profile.name if profile else "",
    )


def _unknown(name: str) -> str:
    return f"confhub.{name} is no label that ConfHub knows; it knows {', '.join(KNOWN)}."


# ── how it is told ────────────────────────────────────────────────────────────────────────────────


def read_reload(text: str, *, by_engine: bool = False) -> Reload:
    """`profile:nginx ; restart` as a ladder. Raises BadLabel."""
    if not text:
        raise BadLabel(
            f"confhub.reload is missing: write {WAYS}. There is no default, because a signal that "
            "a program does not handle ends it."
        )
    rungs = [rung.strip() for rung in text.split(";")]
    if len(rungs) > MAX_RUNGS:
        raise BadLabel(f"confhub.reload has {len(rungs)} rungs; {MAX_RUNGS} are the most.")
    if "none" in rungs[:-1] or (len(rungs) > 1 and rungs[-1] == "none"):
        raise BadLabel("confhub.reload=none stands alone: there is nothing to climb to after it.")
    profiles = [_profile(rung) for rung in rungs if rung.startswith("profile:")]
    if len(profiles) > 1:
        raise BadLabel("confhub.reload names two profiles; one program has one.")
    ladder = tuple(_read_way(rung, by_engine=by_engine) for rung in rungs)
    return Reload(ladder, profiles[0] if profiles else None)


def _profile(rung: str) -> Profile:
    name = rung.partition(":")[2]
    if name not in PROFILES:
        raise BadLabel(
            f"confhub.reload={rung!r} names no profile; there are {', '.join(sorted(PROFILES))}."
        )
    return PROFILES[name]


def _read_way(rung: str, *, by_engine: bool) -> Way:
    kind, _, rest = rung.partition(":")
    if rung == "none":
        return Quiet()
    if rung == "restart":
        return Restart()
    if kind == "profile":
        return _profile(rung).way
    if kind == "http":
        return Http(*_request(f"confhub.reload={rung!r}", rest))
    if kind == "exec":
        return Exec(_argv("confhub.reload", rest))
    return Signal(_signal(rung, kind, rest), by_engine)


def _signal(rung: str, kind: str, name: str) -> Signals:
    name = name.upper().removeprefix("SIG")
    if kind != "signal" or f"SIG{name}" not in Signals.__members__:
        raise BadLabel(f"confhub.reload={rung!r} is no way to reload; write {WAYS}.")
    if name in NEVER:
        raise BadLabel(f"confhub.reload={rung!r}: no program reads its files again on {name}.")
    return Signals[f"SIG{name}"]


def _argv(label: str, text: str) -> tuple[str, ...]:
    """Words as a shell would split them; nothing else of a shell. Raises BadLabel."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise BadLabel(f"{label}=exec:{text}: {error}.") from error
    if not words:
        raise BadLabel(f"{label}=exec: names no program: write exec:PROGRAM ARGUMENT….")
    return words


def _request(label: str, text: str) -> tuple[str, int, str]:
    found = REQUEST.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise BadLabel(
            f"{label}: write a method ({METHODS.replace('|', ', ')}), the workload's own port and "
            "a path, such as http:POST :9090/-/reload."
        )
    return found["method"], int(found["port"]), found["path"]


# ── what it is asked before and after ─────────────────────────────────────────────────────────────


def read_check(text: str) -> Check | None:
    """`exec:nginx -t -c {dir}/nginx.conf`; "" asks for none. Raises BadLabel."""
    if not text:
        return None
    kind, _, rest = text.partition(":")
    if kind != "exec":
        raise BadLabel(
            f"confhub.check={text!r} is no check: write exec:PROGRAM ARGUMENT…, where {{dir}} is "
            "the directory of the new files."
        )
    return CommandCheck(_argv("confhub.check", rest))


def read_confirm(text: str, *, supervised: bool = False) -> Proof | None:
    """`health`, `http:GET :8080/version contains {release}`, `exec:…`; `pid` and "" ask for none.

    For a process that is `supervised` also `notify` and `report`. Raises BadLabel.
    """
    if text in ("", "pid"):
        return None
    if text in ("notify", "report"):
        if not supervised:
            raise BadLabel(
                f"confhub.confirm={text} works for a process that `confhub run` starts, because it "
                "makes the socket; from outside nobody hears it. Write pid, health, exec:PROGRAM, or "
                "http:GET :PORT/PATH contains {release}."
            )
        return NotifyProof() if text == "notify" else ReportProof()
    if text == "health":
        return HealthProof()
    kind, _, rest = text.partition(":")
    if kind == "exec":
        return CommandProof(_argv("confhub.confirm", rest))
    if kind == "http":
        request, _, contains = rest.partition(" contains ")
        method, port, path = _request(f"confhub.confirm={text!r}", request)
        return HttpProof(method, port, path, contains.strip())
    raise BadLabel(
        f"confhub.confirm={text!r} is no way to confirm: write pid, health, "
        f"{'notify, report, ' if supervised else ''}exec:PROGRAM, or "
        "http:GET :PORT/PATH contains {release}."
    )


def read_soak(text: str) -> float:
    """`2s`, `500ms` or `1m` in seconds. Raises BadLabel."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
    seconds = float(found[1]) * {"ms": 0.001, "s": 1, "m": 60}[found[2]] if found else -1
    if not 0 <= seconds <= MAX_SOAK_S:
        raise BadLabel(
            f"confhub.soak={text!r}: write a time up to {MAX_SOAK_S / 60:g}m, such as 2s or 500ms."
        )
    return seconds


# ── where ─────────────────────────────────────────────────────────────────────────────────────────


def read_deliver(text: str, *, supervised: bool = False) -> tuple[Deliver, str]:
    """(volume or copy, the directory in the container). Raises BadLabel.

    For a process that is `supervised`: volume or env, and its directory is told by another option.
    """
    kind, _, path = text.partition(":")
    if supervised:
        if text not in ("volume", "env"):
            raise BadLabel(
                f"confhub.deliver={text!r}: write volume, for a command that reads its files, or env "
                "for one that reads its environment only; --dir says where the files go."
            )
        return ("env" if text == "env" else "volume"), DIRECTORY
    path = path or DIRECTORY
    parts = path.split("/")
    is_path = not parts[0] and len(path) > 1 and not {"", ".", ".."} & set(parts[1:])
    if kind not in ("volume", "copy") or not is_path:
        raise BadLabel(
            f"confhub.deliver={text!r} names no directory: write volume:/path, an absolute path in "
            "the container at which a volume is mounted, or copy:/path for one without."
        )
    return ("copy" if kind == "copy" else "volume"), path


def _need_no_hot_reload(deliver: Deliver, how: Reload) -> None:
    """A process's environment cannot change while it lives, whatever it is told. Raises BadLabel."""
    if deliver == "env" and not all(isinstance(way, Quiet | Restart) for way in how.ladder):
        raise BadLabel(
            f"confhub.deliver=env and confhub.reload={how}: no reload changes the environment of a "
            "process that runs. Write confhub.reload=restart, or none to wait for a restart."
        )


def _read_process(text: str | None) -> str | None:
    if text is None:
        return None
    found = re.fullmatch(r"exe=([^/\s]{1,64})", text)
    if found is None:
        raise BadLabel(
            f"confhub.process={text!r}: write exe=NAME, the file name of the program to signal."
        )
    return found[1]


def _read_engine_kill(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise BadLabel(f"confhub.engine-kill={text!r}: write true or false.")
    return text == "true"
