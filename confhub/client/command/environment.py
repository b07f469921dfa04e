"""What the environment says to the command. The only module that reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

PATIENCE_S = 30.0  # how long a call is repeated while nobody answers


@dataclass(frozen=True)
class Told:
    """CONFHUB_URL and its like; empty where they are not set."""

    url: str
    token: str
    token_file: str
    place: str
    config_dir: Path  # $XDG_CONFIG_HOME/confhub
    patience_s: float


def read(environment: Mapping[str, str] | None = None) -> Told:
    """Raises click.UsageError naming the variable that cannot be used."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CONFIG_HOME") or ""
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    told = Told(
        url=environment.get("CONFHUB_URL", "").strip(),
        token=environment.get("CONFHUB_TOKEN", "").strip(),
        token_file=environment.get("CONFHUB_TOKEN_FILE", "").strip(),
        place=environment.get("CONFHUB_PLACE", "").strip(),
        config_dir=home / "confhub",
        patience_s=_seconds(environment.get("CONFHUB_RETRY_S", "")),
    )
    if told.token and told.token_file:
        raise click.UsageError("CONFHUB_TOKEN and CONFHUB_TOKEN_FILE are both set: keep one.")
    return told


def variable(name: str) -> str:
    """One that another system sets: a CI job's identity."""
    return os.environ.get(name, "").strip()


def is_dumb_terminal() -> bool:
    """True where lines cannot be drawn anew (https://no-color.org is rich's and click's affair)."""
    return os.environ.get("TERM", "") in ("", "dumb")


def _seconds(text: str) -> float:
    if not text:
        return PATIENCE_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise click.UsageError(f"CONFHUB_RETRY_S={text[:40]!r}: write seconds, 0 to 3600.")
    return seconds
