"""What the command line of `confhub run` asks for."""

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from watchers.labels import PREFIX, Wishes, read_wishes
from watchers.options import Options
from watchers.wire.names import BadName, check_slug

STOP_GRACE_S = 8.0  # Docker kills the whole container after 10
MAX_GRACE_S = 600.0
NO_END = ("STOP", "CONT", "CHLD")


class BadJob(ValueError):
    """An option that cannot be followed; the text names it and what can be written."""


@dataclass(frozen=True)
class Job:
    """One command to run, with whose configuration, and how."""

    service: str
    environment: str
    instance_id: str
    directory: Path
    wishes: Wishes
    command: Sequence[str]
    wait: bool = True  # for a first configuration, as long as it takes
    stop_signal: int = signal.SIGTERM
    stop_grace_s: float = STOP_GRACE_S

    def environment_words(self) -> dict[str, str]:
        """Whose configuration it is, as variables of the command."""
        return {
            "CONFHUB_SERVICE": self.service,
            "CONFHUB_ENVIRONMENT": self.environment,
            "CONFHUB_INSTANCE": self.instance_id,
        }


def job_from(
    told: Options,
    asked: Mapping[str, str | None],
    command: Sequence[str],
    *,
    directory: Path | None,
    wait: bool,
) -> Job:
    """`asked` are the options by their names without dashes, None for those that were not written.

    Raises BadJob with everything that is wrong.
    """
    service, environment = asked.get("service") or "", asked.get("environment") or ""
    try:
        check_slug(service, what="service")
        check_slug(environment, what="environment")
    except BadName as error:
        raise BadJob(str(error)) from error
    wishes = _wishes(asked)
    name = told.instance_id(service, environment, asked.get("instance"))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", name):
        raise BadJob(
            f"{name[:140]!r} cannot be an instance's id: write letters, digits, '_', '.' or '-' "
            "with --instance, or set CONFHUB_HOST."
        )
    where = (directory or told.state_dir / "run" / name / "files").absolute()
    return Job(
        service, environment, name, where, replace(wishes, directory=str(where.resolve())),
        command, wait,
        stop_signal=_stop_signal(asked.get("stop_signal") or "TERM"),
        stop_grace_s=_grace_s(asked.get("stop_grace") or f"{STOP_GRACE_S:g}s"),
    )  # fmt: skip


def _wishes(asked: Mapping[str, str | None]) -> Wishes:
    """The options that are labels for a container. Raises BadJob."""
    written = {
        name: text
        for name in ("deliver", "files", "check", "reload", "confirm", "soak", "process")
        if (text := asked.get(name)) is not None
    }
    # A later start without etcd reads its environment from this file.
    written["files"] = f"json,{written.get('files', 'json')}"
    problems: list[str] = []
    wishes = read_wishes(written, problems, supervised=True)
    if wishes is None:
        raise BadJob(" ".join(problems).replace(PREFIX, "--"))
    return wishes


def _stop_signal(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    if f"SIG{name}" not in signal.Signals.__members__ or name in NO_END:
        raise BadJob(f"--stop-signal={text!r}: write a signal that ends the command, such as TERM.")
    return signal.Signals[f"SIG{name}"]


def _grace_s(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
    seconds = float(found[1]) * {"ms": 0.001, "s": 1, "m": 60}[found[2]] if found else -1
    if not 0 <= seconds <= MAX_GRACE_S:
        raise BadJob(
            f"--stop-grace={text!r}: write a time up to {MAX_GRACE_S / 60:g}m, such as 8s or 500ms."
        )
    return seconds
