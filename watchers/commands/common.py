"""What every command of the container side begins with, and how it refuses."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from watchers import logs, options
from watchers.agent import Agent
from watchers.etcd import Etcd
from watchers.health import HealthServer
from watchers.options import BadOption, Options

DONE, REFUSED, TIMED_OUT = 0, 1, 3


def read_options(*, quiet: bool = False) -> Options:
    """The environment's settings, with the log as they ask; `quiet`: warnings at most."""
    try:
        told = options.from_environment()
    except BadOption as error:
        raise click.UsageError(str(error)) from error
    level = "WARNING" if quiet and told.log_level == "INFO" else told.log_level
    logs.configure(level=level, as_json=told.log_json)
    return told


def etcd_of(told: Options) -> Etcd:
    try:
        return Etcd(told.endpoints, credentials=told.credentials)
    except ValueError as error:
        raise click.UsageError(f"ETCD_ENDPOINTS: {error}") from error


def health_of(served: Agent, told: Options) -> HealthServer | None:
    """Raises OSError when the address is taken."""
    if told.health is None:
        return None
    return HealthServer(told.health, served)


def refuse(text: str, code: int = REFUSED) -> NoReturn:
    click.echo(f"confhub: {text}", err=True)
    sys.exit(code)


@dataclass(frozen=True)
class Output:
    """Where `--output` sends what a command found: words for people, or one JSON document."""

    as_json: bool

    def show(self, found: Any, words: Callable[[], str]) -> None:
        click.echo(json.dumps(found, indent=2, sort_keys=True) if self.as_json else words())


output_option = click.option(
    "--output",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or one JSON document.",
)
